//! TLS as a layer: rustls without buffers of its own.

use super::identity::certificate_facts;
use super::overheard::Overheard;
use super::words::words;
use crate::facts::{LayerFacts, TlsFacts};
use crate::layer::{Layer, LayerError, LayerState};
use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Bytes of a begun record, or of a handshake message in several records, that a peer may leave waiting. The largest
/// record has 16 KiB and 261 bytes; a client's certificate chain takes a few.
const HELD_MAX_BYTES: usize = 64 * 1024;
/// The largest piece of plain bytes in one record, and what a record adds to it at most.
const RECORD_BYTES: usize = 16 * 1024;
const RECORD_OVERHEAD_BYTES: usize = 64;
/// Room for an alert record of any version.
const ALERT_BYTES: usize = 64;

/// What a client hears of whom a certificate would not help.
const PSK: &str = "the client offers nothing but pre-shared keys (TLS-PSK), which are not spoken here; \
     give it the certificate of this server's authority (ca.pem) instead";

/// One connection's TLS.
pub struct TlsLayer {
    connection: UnbufferedServerConnection,
    /// Wire bytes that wait for the rest of their record.
    held: Vec<u8>,
    /// The name that the client asked for, until it is told.
    server_name: Option<Box<str>>,
    /// No certificate has that name.
    is_stranger: bool,
    wants_psk: bool,
    /// An error has ended the connection: the library is not to be called again.
    failed: bool,
}

/// What is left to do after some records.
enum Progress {
    /// So far nothing can be sent.
    Handshake,
    Open,
    PeerClosed,
}

impl TlsLayer {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            held: Vec::new(),
            server_name: None,
            is_stranger: false,
            wants_psk: false,
            failed: false,
        })
    }

    /// Works off all whole records at the front of `wire`; returns how many bytes they had.
    fn process(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> (usize, Result<Progress, rustls::Error>) {
        let mut used = 0;
        loop {
            let status = self.connection.process_tls_records(&mut wire[used..]);
            used += status.discard;
            let state = match status.state {
                Ok(state) => state,
                Err(error) => {
                    self.drain_alerts(&mut wire[used..], reply);
                    return (used, Err(error));
                }
            };
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => plain.extend_from_slice(record.payload),
                            Err(error) => return (used, Err(error)),
                        }
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, reply),
                // Replies are queued: they leave before anything else.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::BlockedHandshake => return (used, Ok(Progress::Handshake)),
                ConnectionState::WriteTraffic(_) => return (used, Ok(Progress::Open)),
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    return (used, Ok(Progress::PeerClosed));
                }
                // Early data is switched off, and no other state exists.
                _ => return (used, Ok(Progress::Handshake)),
            }
        }
    }

    /// Appends what the connection itself still has to say, an alert perhaps. `wire` is what is left of the bytes that
    /// were processed last: the library remembers places in them.
    fn drain_alerts(&mut self, wire: &mut [u8], reply: &mut Vec<u8>) {
        self.failed = true;
        // Asked when nothing is queued, the library would process, and object, once more.
        while self.connection.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut data)) =
                self.connection.process_tls_records(wire).state
        {
            encode(&mut data, reply);
        }
    }

    /// Why a handshake failed, in words for the log.
    fn explain(&self, error: &rustls::Error, fault: Option<Box<str>>) -> String {
        if self.wants_psk {
            return format!("{PSK} ({error})");
        }
        if let Some(fault) = fault {
            return format!("{fault} ({error})");
        }
        match &self.server_name {
            Some(name) if self.is_stranger => format!(
                "{}; the client connects to `{name}`, a name that no certificate of this listener has: \
                 `tidewire cert make-server --dir DIR {name}` makes one",
                words(error)
            ),
            _ => words(error),
        }
    }

    /// All of [`Layer::receive`] but the care for a library that panics.
    fn take_in(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Progress, rustls::Error> {
        let mut held = std::mem::take(&mut self.held);
        if held.is_empty() {
            let (used, result) = self.process(wire, plain, reply);
            self.held.extend_from_slice(&wire[used..]);
            return result;
        }
        held.extend_from_slice(wire);
        let (used, result) = self.process(&mut held, plain, reply);
        if used < held.len() {
            held.drain(..used);
            self.held = held;
        }
        result
    }
}

impl Layer for TlsLayer {
    fn receive(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<LayerState, LayerError> {
        if self.failed {
            return Err(LayerError::new("tls", "the connection has failed"));
        }
        let opening = self.connection.is_handshaking();
        if opening {
            drop(Overheard::take());
        }
        // A panic in here would take the worker with it, and all its sessions.
        let careful = AssertUnwindSafe(|| self.take_in(wire, plain, reply));
        let Ok(result) = catch_unwind(careful) else {
            self.failed = true;
            return Err(LayerError::new("tls", "the TLS library panicked"));
        };
        let heard = if opening {
            Overheard::take()
        } else {
            Overheard::default()
        };
        if let Some(greeting) = heard.greeting {
            self.is_stranger = greeting.is_stranger;
            self.wants_psk = greeting.wants_psk;
            self.server_name = greeting.server_name;
        }
        match result {
            Err(error) => Err(LayerError::new("tls", self.explain(&error, heard.fault))),
            Ok(_) if self.held.len() > HELD_MAX_BYTES => {
                Err(LayerError::new("tls", "a handshake message has no end"))
            }
            Ok(Progress::Handshake) => Ok(LayerState::Handshake),
            Ok(Progress::Open) => Ok(LayerState::Open),
            Ok(Progress::PeerClosed) => {
                self.finish(reply);
                Ok(LayerState::Finished)
            }
        }
    }

    fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        let mut sent = false;
        while !sent && !self.failed {
            // The same bytes as last time, as far as they wait: the library remembers places in them.
            let Ok(state) = self.connection.process_tls_records(&mut self.held).state else {
                return;
            };
            match state {
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, wire),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(mut traffic) => {
                    let start = wire.len();
                    let records = plain.len() / RECORD_BYTES + 1;
                    wire.resize(start + plain.len() + records * RECORD_OVERHEAD_BYTES, 0);
                    let count = match traffic.encrypt(plain, &mut wire[start..]) {
                        Ok(count) => count,
                        Err(EncryptError::InsufficientSize(size)) => {
                            wire.resize(start + size.required_size, 0);
                            traffic.encrypt(plain, &mut wire[start..]).unwrap_or(0)
                        }
                        // 2^64 records have been sent.
                        Err(EncryptError::EncryptExhausted) => 0,
                    };
                    wire.truncate(start + count);
                    sent = true;
                }
                _ => return,
            }
        }
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        while !self.failed {
            match self.connection.process_tls_records(&mut self.held).state {
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                // Only shows once, and says what is known.
                Ok(ConnectionState::PeerClosed) => {}
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return append(wire, |room| {
                        traffic
                            .queue_close_notify(room)
                            .map_err(|error| match error {
                                EncryptError::InsufficientSize(size) => Some(size.required_size),
                                EncryptError::EncryptExhausted => None,
                            })
                    });
                }
                _ => return,
            }
        }
    }

    fn tell(&mut self, facts: &mut LayerFacts) {
        let connection = &self.connection;
        let version = connection.protocol_version();
        let cipher = connection.negotiated_cipher_suite();
        let certificate = connection
            .peer_certificates()
            .and_then(|chain| certificate_facts(chain.first()?));
        facts.tls = Some(Box::new(TlsFacts {
            version: version
                .and_then(|version| version.as_str())
                .map(|name| name.replace('_', "."))
                .unwrap_or_default()
                .into(),
            cipher: cipher
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or_default()
                .into(),
            server_name: self.server_name.take(),
            certificate: certificate.map(Box::new),
        }));
    }
}

/// Appends a record that the library has ready.
fn encode(data: &mut EncodeTlsData<'_, ServerConnectionData>, to: &mut Vec<u8>) {
    append(to, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => Some(size.required_size),
            EncodeError::AlreadyEncoded => None,
        })
    });
}

/// Appends what `encode` writes; it returns the room that it needs when it gets too little.
fn append(to: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) {
    let start = to.len();
    to.resize(start + ALERT_BYTES, 0);
    let mut result = encode(&mut to[start..]);
    if let Err(Some(needed)) = result {
        to.resize(start + needed, 0);
        result = encode(&mut to[start..]);
    }
    to.truncate(start + result.unwrap_or(0));
}
