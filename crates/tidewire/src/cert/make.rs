//! Making certificates.

use super::files::{Existing, Planned, Secrecy, make_folder, read, write_all};
use super::keys::{failed, generate, key_store, random_password};
use crate::cli::{KeyKind, MakeCa, MakeClient, MakeServer};
use crate::exit::{Failure, Status};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::fmt::Write as _;
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// Clocks of devices are often a little slow.
const BACKDATED: Duration = Duration::days(1);

/// `tidewire cert make-ca`
pub(super) fn authority(made: &MakeCa) -> Result<String, Failure> {
    let mut params = params(Vec::new(), &made.name, made.days)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = generate(&made.key)?;
    let cert = params.self_signed(&key).map_err(failed)?;
    make_folder(&made.dir)?;
    let files = [
        public(&made.dir, "ca.pem", cert.pem()),
        private(&made.dir, "ca.key", key.serialize_pem()),
    ];
    write_all(&files, existing(made.force))?;
    let dir = made.dir.display();
    Ok(format!(
        "{}\nKeep ca.key to yourself: whoever has it can make certificates that your devices believe.\n\
         Next:\n  tidewire cert make-server --dir {dir} localhost 127.0.0.1\n  tidewire cert make-client --dir {dir} NAME\n",
        list(&files)
    ))
}

/// `tidewire cert make-server`
pub(super) fn server(made: &MakeServer) -> Result<String, Failure> {
    let first = made.names.first().map_or("server", String::as_str);
    let mut params = params(made.names.clone(), first, made.days)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let Signed { cert, key, .. } = sign(&made.dir, &params, &made.key)?;
    let files = [
        public(&made.dir, "server.pem", cert),
        private(&made.dir, "server.key", key),
    ];
    write_all(&files, existing(made.force))?;
    let dir = made.dir.display();
    Ok(format!(
        "{}\nIn the configuration:\n\n  [[listener]]\n  url = \"tls://0.0.0.0:8883\"\n  cert_file = \"{dir}/server.pem\"\n  \
         key_file = \"{dir}/server.key\"\n\nClients trust {dir}/ca.pem and connect to {}.\n",
        list(&files),
        made.names.join(" or ")
    ))
}

/// `tidewire cert make-client`
pub(super) fn client(made: &MakeClient) -> Result<String, Failure> {
    let name = &made.name;
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        let message = format!("{name:?} cannot be part of a file name; give a name without `/`");
        return Err(Failure::new(Status::Usage, message));
    }
    if ["ca", "server"].contains(&name.as_str()) {
        let message =
            format!("{name}.pem and {name}.key are files of another kind; give another name");
        return Err(Failure::new(Status::Usage, message));
    }
    let mut params = params(Vec::new(), name, made.days)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    // The broker finds the user in the common name; the alternative name says the same for those who look there.
    if let Ok(text) = name.as_str().try_into() {
        params.subject_alt_names.push(if name.contains('@') {
            SanType::Rfc822Name(text)
        } else {
            SanType::DnsName(text)
        });
    }
    let signed = sign(&made.dir, &params, &made.key)?;
    let (password, note) = match &made.p12_password {
        Some(password) => (password.clone(), String::new()),
        None => {
            let password = random_password()?;
            let note = format!(
                "\nThe password of {name}.p12 is {password} (it is written nowhere else).\n"
            );
            (password, note)
        }
    };
    let store = key_store(name, &signed.chain, &signed.key_der, &password)?;
    let Signed { cert, key, .. } = signed;
    let files = [
        public(&made.dir, &format!("{name}.pem"), cert.clone()),
        private(&made.dir, &format!("{name}.key"), key.clone()),
        private(&made.dir, &format!("{name}-combined.pem"), cert + &key),
        private(&made.dir, &format!("{name}.p12"), store),
    ];
    write_all(&files, existing(made.force))?;
    Ok(list(&files) + &note)
}

fn params(names: Vec<String>, common_name: &str, days: u32) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(names).map_err(|error| {
        let message = format!(
            "a name cannot stand in a certificate: {error}\n  help: give host names and addresses, such as `broker.example 192.0.2.1`"
        );
        Failure::new(Status::Usage, message)
    })?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days.into());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A certificate with its key.
struct Signed {
    /// PEM.
    cert: String,
    key: String,
    /// DER: the certificate, and the one that signed it.
    chain: [Vec<u8>; 2],
    key_der: Vec<u8>,
}

/// Makes a key, and has the folder's authority sign for it.
fn sign(dir: &Path, params: &CertificateParams, kind: &KeyKind) -> Result<Signed, Failure> {
    let (cert, key) = (dir.join("ca.pem"), dir.join("ca.key"));
    if !cert.exists() || !key.exists() {
        let dir = dir.display();
        let message = format!(
            "there is no authority in {dir} (ca.pem and ca.key)\n  help: make one with `tidewire cert make-ca --dir {dir}`"
        );
        return Err(Failure::new(Status::Usage, message));
    }
    let authority = KeyPair::from_pem(&read(&key)?).map_err(|error| unusable(dir, &error))?;
    let signer = super::show::read(&cert)?;
    let signer = signer.first().map(|cert| cert.to_vec()).unwrap_or_default();
    let issuer = Issuer::from_ca_cert_pem(&read(&cert)?, authority)
        .map_err(|error| unusable(dir, &error))?;
    let key = generate(kind)?;
    let cert = params.signed_by(&key, &issuer).map_err(failed)?;
    Ok(Signed {
        cert: cert.pem(),
        key: key.serialize_pem(),
        chain: [cert.der().to_vec(), signer],
        key_der: key.serialize_der(),
    })
}

fn unusable(dir: &Path, error: &rcgen::Error) -> Failure {
    let message = format!(
        "the authority in {} cannot sign: {error}\n  help: it has to be one that `tidewire cert make-ca` made, or one with an EC key or an RSA key of 2048 to 4096 bits",
        dir.display()
    );
    Failure::new(Status::Failed, message)
}

fn existing(force: bool) -> Existing {
    if force {
        Existing::Replace
    } else {
        Existing::Keep
    }
}

fn public(dir: &Path, name: &str, content: String) -> Planned {
    let (path, secrecy) = (dir.join(name), Secrecy::Public);
    Planned {
        path,
        content: content.into(),
        secrecy,
    }
}

fn private(dir: &Path, name: &str, content: impl Into<Vec<u8>>) -> Planned {
    let (path, secrecy) = (dir.join(name), Secrecy::Private);
    Planned {
        path,
        content: content.into(),
        secrecy,
    }
}

fn list(files: &[Planned]) -> String {
    let mut text = String::from("Written:\n");
    for file in files {
        let who = match file.secrecy {
            Secrecy::Public => "certificate",
            Secrecy::Private => "private, only you can read it",
        };
        let _ = writeln!(text, "  {}  ({who})", file.path.display());
    }
    text
}
