//! The server framework at packet level: what handlers decide, edit and observe, as clients see it.

mod deliver;
mod enter;
mod examples;
mod observe;
mod peer;
mod publish;
mod raw;
mod server;
mod subscribe;
