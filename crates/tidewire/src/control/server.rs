//! The broker's side of the control socket.

use super::protocol::{Answer, MAX_REQUEST_BYTES, Operation, Request, VERSION};
use super::{REQUEST_TIMEOUT, socket_path};
use serde::Deserialize;
use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Connections that are served at a time; more wait in the system's queue.
const THREADS: usize = 4;

/// Pause after a failed accept, so that a lasting failure such as too many open files does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Carries out requests.
pub(crate) type Operator = dyn Fn(Operation) -> Answer + Send + Sync;

/// An open control socket; dropping it takes the socket's file away.
#[derive(Debug)]
pub(crate) struct ControlServer {
    path: PathBuf,
}

impl ControlServer {
    /// Opens the socket in `data_dir` and serves it on threads of its own. The caller owns the folder, so a socket
    /// that is already there belongs to a dead broker and is replaced.
    pub(crate) fn start(data_dir: &Path, operator: &Arc<Operator>) -> io::Result<Self> {
        let path = socket_path(data_dir);
        let listener = Arc::new(bind_private(data_dir, &path)?);
        let server = Self { path };
        for number in 0..THREADS {
            let (listener, operator) = (Arc::clone(&listener), Arc::clone(operator));
            thread::Builder::new()
                .name(format!("control-{number}"))
                .spawn(move || accept(&listener, &*operator))?;
        }
        Ok(server)
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds where nobody else can look in, restricts the socket, then moves it to its place: at no moment can another
/// user connect, and a dead broker's socket is replaced in one step.
fn bind_private(data_dir: &Path, path: &Path) -> io::Result<UnixListener> {
    let workshop = data_dir.join(".control");
    let _ = std::fs::remove_dir_all(&workshop);
    DirBuilder::new().mode(0o700).create(&workshop)?;
    let made = workshop.join("s");
    let bound = UnixListener::bind(&made).and_then(|listener| {
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&made, path)?;
        Ok(listener)
    });
    let _ = std::fs::remove_dir_all(&workshop);
    bound
}

fn accept(listener: &UnixListener, operator: &Operator) {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                if let Err(error) = serve(&mut stream, operator) {
                    tracing::debug!(%error, "control connection ended early");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "control socket cannot accept");
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

fn serve(stream: &mut UnixStream, operator: &Operator) -> io::Result<()> {
    let answer = match read_line(stream)? {
        Some(line) => answer(&line, operator),
        None => Answer::refused(
            "too_large",
            format!("a request has at most {MAX_REQUEST_BYTES} bytes"),
        ),
    };
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// The request up to its line end; `None` if it is too long. The time-out is for the whole line.
fn read_line(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let (mut line, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut chunk)?;
        let new = chunk.get(..count).unwrap_or_default();
        if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(new.get(..end).unwrap_or_default());
            return Ok(Some(line));
        }
        line.extend_from_slice(new);
        if line.len() as u64 > MAX_REQUEST_BYTES {
            return Ok(None);
        }
        if count == 0 {
            return Ok(Some(line));
        }
    }
}

/// The answer to one line.
fn answer(line: &[u8], operator: &Operator) -> Answer {
    #[derive(Deserialize)]
    struct Envelope {
        v: u32,
    }
    match serde_json::from_slice::<Envelope>(line) {
        Ok(Envelope { v: VERSION }) => {}
        Ok(Envelope { v }) => {
            let message =
                format!("this broker speaks version {VERSION} of the control protocol, not {v}");
            return Answer::refused("version", message);
        }
        Err(error) => return Answer::refused("malformed", format!("not a request: {error}")),
    }
    match serde_json::from_slice::<Request>(line) {
        Ok(request) => operator(request.operation),
        Err(error) => Answer::refused(
            "unknown_operation",
            format!("not an operation of version {VERSION}: {error}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Body;
    use std::io::Read as _;

    fn echo() -> Arc<Operator> {
        Arc::new(|operation| match operation {
            Operation::Kick { client_id } => Answer::done(Body::Kicked(client_id)),
            _ => Answer::refused("no", "only kick here"),
        })
    }

    fn exchange(folder: &Path, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(socket_path(folder)).expect("connected");
        // The server may answer and close before it has read all of an oversized request.
        let _ = stream.write_all(request);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn one_line_in_one_line_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let _server = ControlServer::start(folder.path(), &echo()).expect("open");
        let answer = exchange(
            folder.path(),
            b"{\"v\":1,\"op\":\"kick\",\"client_id\":\"a\"}\n",
        );
        assert_eq!(answer, "{\"v\":1,\"ok\":true,\"kicked\":\"a\"}\n");
    }

    #[test]
    fn wrong_requests_are_answered_not_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let _server = ControlServer::start(folder.path(), &echo()).expect("open");
        for (request, word) in [
            ("{\"v\":2,\"op\":\"status\"}\n", "version"),
            ("{\"v\":1,\"op\":\"explode\"}\n", "unknown_operation"),
            ("{\"op\":\"status\"}\n", "malformed"),
            ("status\n", "malformed"),
            ("\n", "malformed"),
        ] {
            let answer = exchange(folder.path(), request.as_bytes());
            assert!(
                answer.contains(&format!("\"error\":\"{word}\"")),
                "{request} got {answer}"
            );
        }
    }

    #[test]
    fn oversized_request_is_refused_without_being_held() {
        let folder = tempfile::tempdir().expect("a folder");
        let _server = ControlServer::start(folder.path(), &echo()).expect("open");
        let mut stream = UnixStream::connect(socket_path(folder.path())).expect("connected");
        let chunk = vec![b'x'; 8192];
        let mut sent = 0_u64;
        while sent < 16 * MAX_REQUEST_BYTES && stream.write_all(&chunk).is_ok() {
            sent += chunk.len() as u64;
        }
        assert!(sent < 16 * MAX_REQUEST_BYTES, "the server stopped reading");
    }

    #[test]
    fn only_the_owner_can_connect_and_a_dead_socket_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(UnixListener::bind(socket_path(folder.path())).expect("a dead broker's socket"));
        let server = ControlServer::start(folder.path(), &echo()).expect("replaced");
        let mode = std::fs::metadata(socket_path(folder.path()))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(server);
        assert!(!socket_path(folder.path()).exists());
    }
}
