//! `tidewire cert`: an authority of one's own, what it signs, and what is wrong with a certificate.
//!
//! Keys are EC P-256, or RSA for old devices.

mod check;
mod files;
mod keys;
mod make;
mod show;

use crate::cli::{Cert, CertOperation};
use crate::exit::Failure;

/// Runs the command; the text is for standard output.
pub(crate) fn run(cert: &Cert) -> Result<String, Failure> {
    match &cert.operation {
        CertOperation::MakeCa(made) => make::authority(made),
        CertOperation::MakeServer(made) => make::server(made),
        CertOperation::MakeClient(made) => make::client(made),
        CertOperation::Show(show) => show::run(show),
        CertOperation::Check(check) => check::run(check),
    }
}
