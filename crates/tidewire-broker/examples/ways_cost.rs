//! What TLS and WebSocket cost a broker process, whichever broker it is: CPU time and memory as Linux counts them.
//!
//! `ways_cost PID URL CA_FILE WHAT [COUNT]`; the URL is `tcp://`, `tls://`, `ws://` or `wss://` with `localhost` and a port. WHAT is
//! - `full`, `resumed`: connections one after the other, each with a whole TLS handshake or with a resumed one, CONNECT and
//!   CONNACK; prints connections for each second of CPU time;
//! - `batch`, `single`: messages of 16 bytes from one client to another, 100 in one write or one at a time; prints CPU time
//!   for each message;
//! - `idle`: connections that are held; prints bytes of resident memory for each.

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

type Anything = Box<dyn std::error::Error>;

/// Ticks of the CPU times that Linux shows, for each second.
const TICKS: f64 = 100.0;
const PAGE_BYTES: f64 = 4096.0;
const BATCH: usize = 100;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Way {
    scheme: String,
    address: String,
    config: Arc<ClientConfig>,
}

impl Way {
    fn connect(&self, client_id: &str) -> Result<Box<dyn Stream>, Anything> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut stream: Box<dyn Stream> = match self.scheme.as_str() {
            "tls" | "wss" => {
                let name = "localhost".try_into()?;
                let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
                Box::new(StreamOwned::new(connection, stream))
            }
            _ => Box::new(stream),
        };
        if self.scheme.starts_with('w') {
            let mut request = "ws://localhost/mqtt".into_client_request()?;
            let headers = request.headers_mut();
            headers.insert("Sec-WebSocket-Protocol", "mqtt".parse()?);
            let (socket, _) =
                tungstenite::client(request, stream).map_err(|error| error.to_string())?;
            let rest = Vec::new();
            stream = Box::new(Framed { socket, rest });
        }
        let mut packet = vec![0x10, u8::try_from(client_id.len())? + 12];
        packet.extend_from_slice(b"\x00\x04MQTT\x04\x02\x00\x00\x00");
        packet.push(u8::try_from(client_id.len())?);
        packet.extend_from_slice(client_id.as_bytes());
        stream.write_all(&packet)?;
        stream.flush()?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        if answer != [0x20, 2, 0, 0] {
            return Err(format!("CONNACK is {answer:?}").into());
        }
        Ok(stream)
    }
}

/// A stream over binary messages; each write is one.
struct Framed {
    socket: WebSocket<Box<dyn Stream>>,
    rest: Vec<u8>,
}

impl Read for Framed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read().map_err(io::Error::other)? {
                Message::Binary(bytes) => self.rest = bytes.to_vec(),
                Message::Close(_) => return Ok(0),
                _ => {}
            }
        }
        let count = into.len().min(self.rest.len());
        into[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Write for Framed {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let message = Message::binary(from.to_vec());
        self.socket.send(message).map_err(io::Error::other)?;
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// CPU time of a process so far, in seconds.
fn cpu(pid: u32) -> Result<f64, Anything> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(')').ok_or("no name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / TICKS)
}

fn resident(pid: u32) -> Result<f64, Anything> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text.split(' ').nth(1).ok_or("no figure")?;
    Ok(pages.parse::<f64>()? * PAGE_BYTES)
}

fn messages(way: &Way, pid: u32, rounds: usize, batch: usize) -> Result<f64, Anything> {
    let (mut receiver, mut sender) = (way.connect("receiver")?, way.connect("sender")?);
    receiver.write_all(b"\x82\x06\x00\x01\x00\x01t\x00")?;
    receiver.flush()?;
    receiver.read_exact(&mut [0; 5])?;
    let message = [b"\x30\x13\x00\x01t".to_vec(), vec![7; 16]].concat();
    let block = message.repeat(batch);
    let mut got = vec![0; block.len()];
    let before = cpu(pid)?;
    for _ in 0..rounds {
        sender.write_all(&block)?;
        sender.flush()?;
        receiver.read_exact(&mut got)?;
    }
    Ok((cpu(pid)? - before) / (rounds * batch) as f64)
}

fn main() -> Result<(), Anything> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pid, url, ca, what, rest @ ..] = arguments.as_slice() else {
        return Err("ways_cost PID URL CA_FILE full|resumed|batch|single|idle [COUNT]".into());
    };
    let pid = pid.parse()?;
    let (scheme, address) = url.split_once("://").ok_or("no scheme")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if what != "resumed" {
        config.resumption = Resumption::disabled();
    }
    let way = Way {
        scheme: scheme.to_owned(),
        address: address.to_owned(),
        config: Arc::new(config),
    };
    let count = |default| rest.first().map_or(Ok(default), |count| count.parse());
    match what.as_str() {
        "full" | "resumed" => {
            let connections = count(2000)?;
            // Pays for what is made once, and gets the first ticket.
            way.connect("first")?;
            let before = cpu(pid)?;
            for _ in 0..connections {
                way.connect("again")?.write_all(b"\xE0\x00")?;
            }
            let used = cpu(pid)? - before;
            println!(
                "{:.0} connections a second of CPU",
                connections as f64 / used
            );
        }
        "batch" => {
            let used = messages(&way, pid, count(20_000)?, BATCH)?;
            println!("{:.3} us a message", used * 1e6);
        }
        "single" => {
            let used = messages(&way, pid, count(50_000)?, 1)?;
            println!("{:.2} us a message", used * 1e6);
        }
        "idle" => {
            let connections = count(1000)?;
            let mut held = vec![way.connect("first")?];
            let before = resident(pid)?;
            for number in 0..connections {
                held.push(way.connect(&format!("idle-{number}"))?);
            }
            let more = resident(pid)? - before;
            println!("{:.0} bytes a connection", more / connections as f64);
        }
        other => {
            return Err(format!("{other} is none of full, resumed, batch, single, idle").into());
        }
    }
    Ok(())
}
