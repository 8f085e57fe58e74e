//! Certificates that `tidewire cert` makes, faulty ones beside them, and brokers that have them.

use crate::support::{Finished, TestBroker, finish, tidewire};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What `cargo xtask test` says about a program's place.
pub(crate) fn provided(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run cargo xtask test, which installs it and sets the variable"
        )
    })
}

/// The text of the seed whose file begins with this number; `None` where there are no seeds, which CI does not accept.
pub(crate) fn seed(number: &str, test: &str) -> Option<String> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/seeds");
    let files = std::fs::read_dir(seeds).into_iter().flatten().flatten();
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with(number))
    };
    let found = files.map(|entry| entry.path()).find(is_wanted);
    if found.is_none() {
        let ci = std::env::var("CI");
        let is_ci = ci.as_deref() == Ok("true");
        assert!(
            !is_ci,
            "the seeds are not beside the repository, and CI must not skip {test}"
        );
        eprintln!("not run: {test} (the seeds are not beside the repository)");
    }
    found.map(|path| std::fs::read_to_string(path).expect("the seed is text"))
}

/// A folder with certificates.
pub(crate) struct Material {
    folder: TempDir,
}

impl Material {
    /// An authority `ca`, a server's certificate for localhost, and the client `alice`.
    pub(crate) fn new() -> Self {
        Self::of_authority("Tidewire CA")
    }

    /// As [`new`](Self::new), of an authority with this name.
    pub(crate) fn of_authority(name: &str) -> Self {
        let material = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        material.make("make-ca", &["--name", name]);
        material.make("make-server", &["localhost", "127.0.0.1"]);
        material.make("make-client", &["alice"]);
        material
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }

    /// `tidewire cert` in this folder.
    pub(crate) fn make(&self, operation: &str, arguments: &[&str]) {
        let mut command = tidewire();
        command
            .args(["cert", operation, "--dir"])
            .arg(self.folder());
        let finished = finish(command.args(arguments));
        assert_eq!(finished.code, Some(0), "{operation}: {finished:?}");
    }

    /// Has the authority in `by`.pem and `by`.key sign a certificate for `name`, changed by `change`.
    pub(crate) fn sign(&self, by: &str, name: &str, change: impl Fn(&mut CertificateParams)) {
        let text = |name: String| std::fs::read_to_string(self.folder().join(name)).expect("read");
        let authority = KeyPair::from_pem(&text(format!("{by}.key"))).expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&text(format!("{by}.pem")), authority);
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &issuer.expect("an authority"));
        let write = |ending: &str, text: String| {
            std::fs::write(self.folder().join(format!("{name}.{ending}")), text).expect("written");
        };
        write("pem", made.expect("signed").pem());
        write("key", key.serialize_pem());
    }

    /// Certificates with each of the usual faults: `expired`, `early`, and `unchained`, whose authority `between` is not shown.
    pub(crate) fn add_faulty(&self) {
        self.sign("ca", "expired", |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        });
        self.sign("ca", "early", |params| {
            params.not_before = rcgen::date_time_ymd(2200, 1, 1);
            params.not_after = rcgen::date_time_ymd(2201, 1, 1);
        });
        // `make-ca` allows no authorities below it.
        self.sign("ca", "between", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.extended_key_usages.clear();
        });
        self.sign("between", "unchained", |_| {});
    }

    /// A broker with the listener `secure`, and these lines more in its table.
    pub(crate) fn broker(&self, more: &str) -> TestBroker {
        let file = self.config("server.pem", "server.key", more);
        TestBroker::with(&["--dev", "--config", &file])
    }

    /// The configuration of a listener `secure`.
    pub(crate) fn config(&self, cert: &str, key: &str, more: &str) -> String {
        let (cert, key) = (self.path(cert), self.path(key));
        let text = format!(
            "[[listener]]\nname = \"secure\"\nurl = \"tls://127.0.0.1:0\"\ncert_file = \"{cert}\"\nkey_file = \"{key}\"\n{more}"
        );
        let file = self.path("c.toml");
        std::fs::write(&file, text).expect("written");
        file
    }

    /// OpenSSL in this folder, its output and errors in one text.
    pub(crate) fn openssl(&self, arguments: &str) -> (bool, String) {
        let Finished {
            code,
            stdout,
            stderr,
        } = finish(
            Command::new("openssl")
                .current_dir(self.folder())
                .args(arguments.split_whitespace())
                .stdin(Stdio::null()),
        );
        (code == Some(0), stdout + &stderr)
    }
}
