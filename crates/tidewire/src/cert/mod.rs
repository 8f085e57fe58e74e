//! `tidewire cert`: an authority of one's own, what it signs, and what is wrong with a certificate.
//!
//! Keys are EC P-256. RSA keys are not made: no library in pure Rust makes and uses them without a known weakness. PKCS#12
//! is not written: the libraries for it stand on unfinished releases; the command that makes one is printed.

mod check;
mod files;
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
        CertOperation::Show { file } => show::run(file),
        CertOperation::Check(check) => check::run(check),
    }
}
