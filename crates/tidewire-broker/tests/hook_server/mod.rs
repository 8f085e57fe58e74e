//! A web server for tests: it answers as a test wants, wrongly if need be, and notes what it was sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The request line's path.
    pub(crate) path: String,
    /// Header fields, their names in lower case.
    pub(crate) fields: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: String,
}

/// What the server does with a request.
pub(crate) enum Reply {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Writes these bytes, whatever they are, and closes.
    Raw(Vec<u8>),
    /// Says nothing, until the server is dropped.
    Silence,
}

/// A server on a free port of this machine; it ends when it is dropped.
pub(crate) struct HookServer {
    address: SocketAddr,
    sent: Mutex<Receiver<Sent>>,
    ended: Arc<AtomicBool>,
    scheme: &'static str,
}

type Respond = Arc<dyn Fn(&Sent) -> Reply + Send + Sync>;

impl HookServer {
    /// A server that answers like this.
    pub(crate) fn start(respond: impl Fn(&Sent) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(respond, None)
    }

    /// The same over TLS.
    #[allow(dead_code, reason = "not every test that has the server encrypts")]
    pub(crate) fn start_tls(
        tls: rustls::ServerConfig,
        respond: impl Fn(&Sent) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(respond, Some(Arc::new(tls)))
    }

    fn listen(
        respond: impl Fn(&Sent) -> Reply + Send + Sync + 'static,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (note, sent) = channel();
        let respond: Respond = Arc::new(respond);
        let over = Arc::clone(&ended);
        let scheme = if tls.is_some() { "https" } else { "http" };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (respond, note, over) = (Arc::clone(&respond), note.clone(), Arc::clone(&over));
                let (Ok(stream), tls) = (stream, tls.clone()) else {
                    continue;
                };
                thread::spawn(move || match tls {
                    None => serve(stream, &respond, &note, &over),
                    Some(tls) => {
                        let connection = rustls::ServerConnection::new(tls).unwrap();
                        let stream = rustls::StreamOwned::new(connection, stream);
                        serve(stream, &respond, &note, &over);
                    }
                });
            }
        });
        Self {
            address,
            sent: Mutex::new(sent),
            ended,
            scheme,
        }
    }

    /// Its address with this path behind it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// The next request, if one comes in a while.
    #[allow(dead_code, reason = "not every test reads what was sent")]
    pub(crate) fn sent(&self) -> Option<Sent> {
        let sent = self.sent.lock().unwrap();
        sent.recv_timeout(Duration::from_secs(20)).ok()
    }

    /// The requests so far that nobody has read.
    #[allow(dead_code, reason = "not every test counts")]
    pub(crate) fn unread(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().try_iter().collect()
    }
}

impl Drop for HookServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // The one who waits for connections wakes, sees it, and closes the port.
        drop(TcpStream::connect(self.address));
    }
}

fn serve<S: Read + Write>(stream: S, respond: &Respond, note: &Sender<Sent>, over: &AtomicBool) {
    let mut stream = BufReader::new(stream);
    while let Some(sent) = read(&mut stream) {
        let reply = respond(&sent);
        let _ = note.send(sent);
        let written = match reply {
            Reply::Answer(status, body) => {
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.get_mut().write_all(answer.as_bytes())
            }
            Reply::Raw(bytes) => {
                let _ = stream.get_mut().write_all(&bytes);
                let _ = stream.get_mut().flush();
                return;
            }
            Reply::Silence => {
                while !over.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(10));
                }
                return;
            }
        };
        if written.and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
    }
}

fn read<S: Read>(stream: &mut BufReader<S>) -> Option<Sent> {
    let mut first = String::new();
    stream.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut fields = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            None => break,
        }
    }
    let length = fields
        .get("content-length")
        .map_or(Some(0), |text| text.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Sent {
        path,
        fields,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
