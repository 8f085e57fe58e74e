//! A program of the field, unmodified: the secure publisher of the seed, with Debian's library of Paho for C++.
//!
//! It looks in its folder for `client.pem`, which is our `NAME-combined.pem`, and for `test-root-ca.crt`, our `ca.pem`.

use crate::material::{Material, provided, seed};
use crate::support::{Finished, PATIENCE, TestBroker, finish, run};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use tempfile::TempDir;
use tidewire_broker::{Broker, ListenerSettings, Settings};
use tidewire_client::{Messages, Subscription};
use tidewire_handler::{AuthorizePublish, Client, Decide, Verdict, handler};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The program, compiled once for all tests; `None` where there are no seeds.
fn publisher(test: &str) -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let text = seed("002_", test)?;
        let start = text.find("#include").expect("the program begins");
        let end = text.rfind("```").expect("the program ends");
        let folder = tempfile::tempdir().expect("a folder");
        let (source, program) = (folder.path().join("p.cpp"), folder.path().join("p"));
        std::fs::write(&source, &text[start..end]).expect("written");
        let mut compiler = Command::new(provided("TIDEWIRE_CXX"));
        compiler
            .args(["-std=c++11", "-o"])
            .arg(&program)
            .arg(source);
        compiler.args(["-lpaho-mqttpp3", "-lpaho-mqtt3as", "-lpthread"]);
        let compiled = finish(&mut compiler);
        assert_eq!(compiled.code, Some(0), "{compiled:?}");
        Some((folder, program))
    });
    built.as_ref().map(|(_, program)| program.as_path())
}

/// A folder in which the program finds its two files.
fn home(client: &Material, trusted: &Material) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to) in [
        (client.path("alice-combined.pem"), "client.pem"),
        (trusted.path("ca.pem"), "test-root-ca.crt"),
    ] {
        std::fs::copy(from, folder.path().join(to)).expect("copied");
    }
    folder
}

/// The program's command in its folder.
fn command(program: &Path, home: &TempDir, url: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).arg(url).stdin(Stdio::null());
    command
}

fn publish(program: &Path, home: &TempDir, url: &str) -> Finished {
    finish(&mut command(program, home, url))
}

/// A broker that wants the seed's user, with a password file and client certificates.
fn guarded(material: &Material, password: &str) -> TestBroker {
    let passwords = material.path("passwords");
    let _ = std::fs::remove_file(&passwords);
    let made = run(&["passwd", "-c", "-b", &passwords, "testuser", password]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let ca = material.path("ca.pem");
    material.broker(&format!(
        "client_certificate = \"required\"\nclient_ca_file = \"{ca}\"\nallow_anonymous = false\n\
         [auth]\npassword_file = \"{passwords}\"\n"
    ))
}

#[test]
fn the_seeds_program_publishes_with_our_certificates_and_fails_in_words_without() {
    let name = "the_seeds_program_publishes_with_our_certificates_and_fails_in_words_without";
    let Some(program) = publisher(name) else {
        return;
    };
    let (ours, others) = (Material::new(), Material::of_authority("Other CA"));
    let good = home(&ours, &ours);
    let broker = guarded(&ours, "testpassword");
    let url = format!("ssl://localhost:{}", broker.port());
    let done = publish(program, &good, &url);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stdout.contains("Delivery complete for token: 1"),
        "{done:?}"
    );
    broker.wait_for_log("client_id=ssl_publish_cpp");

    let wrong = guarded(&ours, "another password");
    let refused = publish(program, &good, &format!("ssl://localhost:{}", wrong.port()));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let line = wrong.wait_for_log("refused");
    assert!(line.contains("password"), "{line}");

    let foreign = publish(program, &home(&others, &ours), &url);
    assert_eq!(foreign.code, Some(1), "{foreign:?}");
    broker.wait_for_log("`CN=Other CA`, which is not in client_ca_file");

    let distrusting = publish(program, &home(&ours, &others), &url);
    assert_eq!(distrusting.code, Some(1), "{distrusting:?}");
    broker.wait_for_log("the client does not know the authority of this server's certificate");
}

/// Lets everything pass but `hello`, about which nothing is said before the test says so.
struct Undecided {
    asked: Mutex<Sender<oneshot::Sender<()>>>,
}

handler! {
    impl Handler for Undecided {
        fn authorize_publish(&self, _: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            if ask.topic != "hello" {
                return Decide::answer(());
            }
            let (say, said) = oneshot::channel();
            self.asked.lock().expect("whole").send(say).expect("the test waits");
            Decide::later(async move {
                let _ = said.await;
                Verdict::Answer(())
            })
        }
    }
}

/// Kills a process that has not ended by itself.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_seeds_program_killed_before_its_puback_leaves_its_will_retained() {
    let name = "the_seeds_program_killed_before_its_puback_leaves_its_will_retained";
    let Some(program) = publisher(name) else {
        return;
    };
    let ours = Material::new();
    let mut secure = ListenerSettings::new("secure", "tls://127.0.0.1:0".parse().expect("a url"));
    secure.tls.cert_files = vec![ours.path("server.pem").into()];
    secure.tls.key_files = vec![ours.path("server.key").into()];
    secure.allow_anonymous = true;
    let mut plain = ListenerSettings::new("plain", "tcp://127.0.0.1:0".parse().expect("a url"));
    plain.allow_anonymous = true;
    let (asked, questions) = channel();
    let asked = Mutex::new(asked);
    let broker = Broker::builder()
        .settings(Settings {
            workers: 2,
            listeners: vec![secure, plain],
            ..Settings::default()
        })
        .handler(0, Undecided { asked })
        .start()
        .expect("started");
    let [secure, plain] = [0, 1].map(|index| broker.addresses()[index].address.port());

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let watcher = format!("mqtt://127.0.0.1:{plain}");
    let mut live = runtime.block_on(will_watcher(&watcher));
    let url = format!("ssl://localhost:{secure}");
    let home = home(&ours, &ours);
    let mut running = command(program, &home, &url);
    let mut running = Killed(running.stdout(Stdio::null()).spawn().expect("it starts"));
    // Its PUBLISH has come, and its PUBACK waits for our word.
    let say = questions.recv_timeout(PATIENCE).expect("it publishes");
    running.0.kill().expect("killed");
    running.0.wait().expect("ended");
    let _ = say.send(());
    let will = "Last will and testament.";
    assert_eq!(runtime.block_on(next(&mut live)), (will.to_owned(), false));
    let mut late = runtime.block_on(will_watcher(&watcher));
    assert_eq!(runtime.block_on(next(&mut late)), (will.to_owned(), true));
}

/// A client that is subscribed to the seed's will.
async fn will_watcher(url: &str) -> (tidewire_client::Client, Messages) {
    let client = tidewire_client::Client::builder(url).connect();
    let client = timeout(PATIENCE, client).await.expect("in time");
    let client = client.expect("connected");
    let subscribed = client.subscribe(Subscription::new("events/disconnect"));
    let messages = timeout(PATIENCE, subscribed).await.expect("in time");
    (client, messages.expect("subscribed"))
}

/// Payload of the next message, and whether it comes from the store.
async fn next((_, messages): &mut (tidewire_client::Client, Messages)) -> (String, bool) {
    let message = timeout(PATIENCE, messages.recv()).await.expect("in time");
    let message = message.expect("a message");
    (message.text().expect("text").to_owned(), message.retain)
}

/// What Paho's own tests of TLS want a broker to have: each row is a listener, what the program does there, and its end.
#[test]
fn the_listeners_of_pahos_tests_are_expressed() {
    let name = "the_listeners_of_pahos_tests_are_expressed";
    let Some(program) = publisher(name) else {
        return;
    };
    let ours = Material::new();
    let mitm = Material::of_authority("Tidewire CA");
    let (cert, key, ca) = (
        ours.path("server.pem"),
        ours.path("server.key"),
        ours.path("ca.pem"),
    );
    let files = format!("cert_file = \"{cert}\"\nkey_file = \"{key}\"\n");
    let mutual = format!("{files}client_certificate = \"required\"\nclient_ca_file = \"{ca}\"\n");
    let foreign = format!(
        "cert_file = \"{}\"\nkey_file = \"{}\"\n",
        mitm.path("server.pem"),
        mitm.path("server.key")
    );
    let rows = [
        ("plain", "tcp", String::new(), Some(0)),
        ("mutual", "tls", mutual, Some(0)),
        ("web", "wss", files.clone(), Some(0)),
        ("anonymous", "tls", files.clone(), Some(0)),
        ("wrong", "tls", foreign, Some(1)),
        (
            "newer",
            "tls",
            files + "min_tls_version = \"1.2\"\n",
            Some(0),
        ),
    ];
    let listener = |(name, scheme, more, _): &(&str, &str, String, _)| {
        format!("[[listener]]\nname = \"{name}\"\nurl = \"{scheme}://127.0.0.1:0\"\n{more}")
    };
    let file = ours.path("matrix.toml");
    std::fs::write(&file, rows.iter().map(listener).collect::<String>()).expect("written");
    let broker = TestBroker::with(&["--dev", "--config", &file]);
    let home = home(&ours, &ours);
    for ((name, scheme, _, end), address) in rows.iter().zip(broker.addresses()) {
        let scheme = if *scheme == "tls" { "ssl" } else { scheme };
        let url = format!("{scheme}://localhost:{}", address.port());
        let done = publish(program, &home, &url);
        assert_eq!(done.code, *end, "{name}: {done:?}");
    }
    // Its last listener speaks TLS-PSK, which ours does not: whoever configures it is told.
    std::fs::write(
        &file,
        "[[listener]]\nurl = \"tls://127.0.0.1:1\"\npsk_file = \"psk\"\n",
    )
    .expect("written");
    let refused = run(&["check-config", &file]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let said = refused.stdout + &refused.stderr;
    assert!(
        said.contains("pre-shared keys (TLS-PSK) are not spoken"),
        "{said}"
    );
}
