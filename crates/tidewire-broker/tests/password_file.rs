//! The password file as a handler: who comes in, and what it keeps from whom.

mod wire;

use std::io::{Read, Write};
use std::time::Duration;
use tidewire_broker::handlers::{HashAlgorithm, PasswordFile, PasswordRecord};
use tidewire_broker::{Broker, Settings};
use tidewire_handler::Registration;
use tidewire_net::BlockingPipe;
use wire::packet;

fn connect(username: Option<&str>, password: Option<&str>) -> Vec<u8> {
    let mut flags = 0b10;
    let mut texts = vec!["c"];
    if let Some(name) = username {
        flags |= 0b1000_0000;
        texts.push(name);
    }
    if let Some(password) = password {
        flags |= 0b0100_0000;
        texts.push(password);
    }
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 0];
    for text in texts {
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    }
    packet(0x10, &body)
}

fn connack(broker: &Broker, username: Option<&str>, password: Option<&str>) -> u8 {
    let mut client = BlockingPipe::new(broker.handle().connect_piped().unwrap());
    client.write_all(&connect(username, password)).unwrap();
    let mut connack = [0; 4];
    client.read_exact(&mut connack).unwrap();
    connack[3]
}

#[test]
fn the_right_password_alone_opens_the_door() {
    let record = |algorithm| PasswordRecord::make(algorithm, b"secret").unwrap();
    let file = format!(
        "# users\nalice:{}\n\nbob:{}\n",
        record(HashAlgorithm::Argon2id),
        record(HashAlgorithm::Sha512)
    );
    let handler = PasswordFile::parse(&file).unwrap();
    assert_eq!(handler.users(), 2);
    let registration =
        Registration::new("password file", handler).deadline(Duration::from_secs(60));
    let broker = Broker::builder()
        .settings(Settings {
            workers: 1,
            ..Settings::default()
        })
        .register(registration)
        .start()
        .unwrap();
    // Return codes of MQTT 3.1.1: 0 accepted, 4 bad user name or password, 5 not authorized.
    let table = [
        (Some("alice"), Some("secret"), 0),
        (Some("bob"), Some("secret"), 0),
        (Some("alice"), Some("Secret"), 4),
        (Some("alice"), Some(""), 4),
        (Some("alice"), None, 4),
        (Some("carol"), Some("secret"), 4),
        (Some(""), Some("secret"), 4),
        (None, None, 5),
    ];
    for (username, password, code) in table {
        assert_eq!(
            connack(&broker, username, password),
            code,
            "{username:?} {password:?}"
        );
    }
    let rows = broker.handle().clients(None, 10).unwrap().rows;
    assert!(rows.len() <= 2, "a refused client has no session: {rows:?}");
    let counts = broker.handle().handlers()[0].counts;
    assert_eq!((counts.calls, counts.denials), (8, 5));
    // Hashing is never done on a worker: a check of a name that is given waits, known or not, unless another thread was quick.
    assert!((1..=7).contains(&counts.waits), "{}", counts.waits);
}

#[test]
fn a_faulty_file_is_refused_with_the_line() {
    let table = [
        (
            "alice\n",
            "1: a line is a user name, `:` and a hashed password",
        ),
        (
            "\n:$6$AAAA$AAAA\n",
            "2: a line is a user name, `:` and a hashed password",
        ),
        (
            "alice:secret\n",
            "1: it is no hashed password; `tidewire passwd -U FILE` hashes a file of plain ones",
        ),
    ];
    for (text, message) in table {
        assert_eq!(PasswordFile::parse(text).unwrap_err().to_string(), message);
    }
    let record = PasswordRecord::make(HashAlgorithm::Sha512, b"x").unwrap();
    let twice = PasswordFile::parse(&format!("a:{record}\na:{record}\n")).unwrap_err();
    assert_eq!(twice.to_string(), "2: `a` has a line already");
}
