//! TLS on the server's side: certificates from files, with clear words about what is wrong with them, and the layer that
//! every connection gets.

mod client_trust;
mod identity;
mod layer;
mod material;
mod overheard;
mod server_names;
mod settings;
mod words;

pub use identity::certificate_facts;
pub use layer::TlsLayer;
pub use material::{MaterialError, MaterialFault};
pub use settings::{ClientCertificate, MinTlsVersion, TlsServer, TlsSettings};
