//! Non-blocking TCP: listeners with their options, and the sockets that they accept.

use mio::net::{TcpListener as MioListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, TcpKeepalive, Type};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener};
use std::time::Duration;

/// Accepted sockets inherit all options from their listener here, which saves calls for each.
const OPTIONS_ARE_INHERITED: bool = cfg!(target_os = "linux");
/// Questions without an answer after which a silent peer's host counts as gone. They come at a quarter of the time of silence.
const KEEP_ALIVE_PROBES: u32 = 4;

/// How a listener's sockets are set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpOptions {
    /// Send small segments at once (TCP_NODELAY): the worker batches by itself.
    pub nodelay: bool,
    /// Connections that wait for being accepted; the operating system may lower it.
    pub backlog: u32,
    /// Seconds of silence after which the operating system asks whether the peer's host is still there (SO_KEEPALIVE);
    /// 0 = never. A host that does not answer is given up after as much time again.
    pub keep_alive_secs: u32,
    /// Seconds that sent bytes may stay without an acknowledgement (TCP_USER_TIMEOUT, Linux); 0 = as the system has it,
    /// which is about a quarter of an hour.
    pub user_timeout_secs: u32,
    /// The operating system's buffer for what has come and is not read (SO_RCVBUF); 0 = the system sizes it itself.
    pub receive_buffer_bytes: u32,
    /// The operating system's buffer for what is written and has not left (SO_SNDBUF); 0 = the system sizes it itself.
    pub send_buffer_bytes: u32,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            // Room for a burst of reconnecting devices; Linux caps it at net.core.somaxconn (4096 by default).
            backlog: 4096,
            // Mappings of routers that translate addresses live for minutes: a question a minute keeps them.
            keep_alive_secs: 60,
            // Longer than a device loses its radio for as a matter of course; its session outlives the connection anyway.
            user_timeout_secs: 120,
            receive_buffer_bytes: 0,
            send_buffer_bytes: 0,
        }
    }
}

/// A listening socket. Clones share the queue of waiting connections: whoever comes first gets the next one.
#[derive(Debug)]
pub struct TcpListener {
    listener: MioListener,
    options: TcpOptions,
}

/// A connection's socket; never blocks.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
}

/// Why an address could not be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What is wrong.
    pub kind: BindErrorKind,
}

/// What is wrong with an address.
#[derive(Debug)]
pub enum BindErrorKind {
    /// Another program listens there.
    InUse,
    /// The operating system does not let this user listen there.
    PermissionDenied,
    /// No interface of this machine has the address.
    NoSuchAddress,
    /// Anything else.
    Other(io::Error),
}

impl TcpListener {
    /// Opens a listening socket.
    ///
    /// # Errors
    /// [`BindError`] says what is wrong with the address and what to do.
    pub fn bind(address: SocketAddr, options: TcpOptions) -> Result<Self, BindError> {
        open(address, options)
            .map(|listener| Self {
                listener: MioListener::from_std(listener),
                options,
            })
            .map_err(|error| BindError {
                address,
                kind: error.into(),
            })
    }

    /// Takes over a listening socket that somebody else has opened: its backlog is his, the other options are set.
    ///
    /// # Errors
    /// The operating system's, about an option.
    pub fn adopt(listener: StdListener, options: TcpOptions) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        prepare(SockRef::from(&listener), options)?;
        Ok(Self {
            listener: MioListener::from_std(listener),
            options,
        })
    }

    /// A second handle to the same queue of waiting connections.
    ///
    /// # Errors
    /// The operating system's, when it has no descriptor left.
    #[cfg(unix)]
    pub fn try_clone(&self) -> io::Result<Self> {
        use std::os::fd::AsFd;
        let listener = StdListener::from(self.listener.as_fd().try_clone_to_owned()?);
        Ok(Self {
            listener: MioListener::from_std(listener),
            options: self.options,
        })
    }

    /// A second handle to the same queue of waiting connections.
    ///
    /// # Errors
    /// The operating system's, when it has no descriptor left.
    #[cfg(windows)]
    pub fn try_clone(&self) -> io::Result<Self> {
        use std::os::windows::io::AsSocket;
        let listener = StdListener::from(self.listener.as_socket().try_clone_to_owned()?);
        Ok(Self {
            listener: MioListener::from_std(listener),
            options: self.options,
        })
    }

    /// The address in use, with the port that was chosen for port 0.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes the next waiting connection.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when none waits, else the operating system's.
    pub fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        let (stream, peer) = self.listener.accept()?;
        if !OPTIONS_ARE_INHERITED {
            // A socket without them is slower, not wrong.
            let _ = prepare(SockRef::from(&stream), self.options);
        }
        Ok((
            Socket { stream },
            SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        ))
    }

    /// Reports waiting connections under `token`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, Interest::READABLE)
    }
}

impl Socket {
    /// Whether a read of less than the buffer holds means that nothing is left and the next bytes bring an event.
    /// Where readiness is emulated, only [`io::ErrorKind::WouldBlock`] arms the next event.
    pub const SHORT_READ_MEANS_EMPTY: bool = cfg!(not(windows));

    /// Takes over a connected stream.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// Takes bytes that have come; 0 = the peer has finished.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, else the operating system's.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        retry(|| self.stream.read(into))
    }

    /// Sends bytes, as many as the operating system takes.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room, else the operating system's.
    pub fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        match from {
            // send() is cheaper than writev() by a look-up or two.
            [only] => retry(|| self.stream.write(only)),
            several => retry(|| self.stream.write_vectored(several)),
        }
    }

    /// Ends the stream towards the peer; reading goes on.
    pub fn shutdown_write(&mut self) {
        // It fails only on a connection that is gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reports readability under `token`, on its edges.
    ///
    /// # Errors
    /// The operating system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE)
    }

    /// Reports writability as well, from now on; on its edges, so it costs nothing while no write falls short.
    ///
    /// # Errors
    /// The operating system's.
    pub fn want_writable(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.reregister(
            &mut self.stream,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Reports nothing more.
    ///
    /// # Errors
    /// The operating system's.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.stream)
    }
}

fn open(address: SocketAddr, options: TcpOptions) -> io::Result<StdListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // On Unix it lets a restarted broker have its port back at once; on Windows it would let two programs share it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Before it listens: the size of the receive buffer bounds the window that is agreed on with the first segment.
    prepare(SockRef::from(&socket), options)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Sets the options of a socket; on Linux a listening one passes them on.
#[allow(
    clippy::needless_pass_by_value,
    reason = "a reference to a socket is a value"
)]
fn prepare(socket: SockRef<'_>, options: TcpOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(options.nodelay)?;
    if options.keep_alive_secs > 0 {
        let secs = u64::from(options.keep_alive_secs);
        let between = Duration::from_secs((secs / u64::from(KEEP_ALIVE_PROBES)).max(1));
        let keep_alive = TcpKeepalive::new()
            .with_time(Duration::from_secs(secs))
            .with_interval(between);
        #[cfg(not(windows))]
        let keep_alive = keep_alive.with_retries(KEEP_ALIVE_PROBES);
        socket.set_tcp_keepalive(&keep_alive)?;
    }
    #[cfg(target_os = "linux")]
    if options.user_timeout_secs > 0 {
        let most = Duration::from_secs(options.user_timeout_secs.into());
        socket.set_tcp_user_timeout(Some(most))?;
    }
    if options.receive_buffer_bytes > 0 {
        socket.set_recv_buffer_size(options.receive_buffer_bytes as usize)?;
    }
    if options.send_buffer_bytes > 0 {
        socket.set_send_buffer_size(options.send_buffer_bytes as usize)?;
    }
    Ok(())
}

pub(crate) fn retry(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl From<io::Error> for BindErrorKind {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse,
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress,
            _ => Self::Other(error),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, kind } = self;
        match kind {
            BindErrorKind::InUse => {
                write!(
                    f,
                    "{address} is in use by another program; stop it (is it another broker?) or choose another port"
                )
            }
            BindErrorKind::PermissionDenied => write!(
                f,
                "no permission to listen on {address}; ports below 1024 need a privilege, choose a higher one or grant it"
            ),
            BindErrorKind::NoSuchAddress => write!(
                f,
                "this machine has no address {}; use one of its own, or 0.0.0.0 for all",
                address.ip()
            ),
            BindErrorKind::Other(error) => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            BindErrorKind::Other(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BindErrorKind, TcpListener, TcpOptions};
    use mio::{Events, Poll, Token};
    use std::net::{SocketAddr, TcpStream};

    fn any_port() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn an_address_in_use_is_named_with_a_way_out() {
        let first = TcpListener::bind(any_port(), TcpOptions::default()).unwrap();
        let error =
            TcpListener::bind(first.local_addr().unwrap(), TcpOptions::default()).unwrap_err();
        assert!(matches!(error.kind, BindErrorKind::InUse));
        assert!(
            error.to_string().contains("in use by another program"),
            "{error}"
        );
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        // 192.0.2.0/24 is reserved for documentation: nobody has it.
        let error =
            TcpListener::bind("192.0.2.1:0".parse().unwrap(), TcpOptions::default()).unwrap_err();
        assert!(
            matches!(error.kind, BindErrorKind::NoSuchAddress),
            "{error}"
        );
    }

    /// The socket that `listener` has accepted, and its peer.
    fn accepted(listener: &TcpListener) -> (super::Socket, TcpStream) {
        let mut twin = listener.try_clone().unwrap();
        let mut poll = Poll::new().unwrap();
        twin.register(poll.registry(), Token(0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        poll.poll(&mut Events::with_capacity(4), None).unwrap();
        let (socket, peer) = twin.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock
        );
        (socket, client)
    }

    #[test]
    fn accepted_sockets_have_the_listeners_options_and_clones_share_one_queue() {
        let bound = |options| TcpListener::bind(any_port(), options).unwrap();
        let adopted = |options| {
            let listener = std::net::TcpListener::bind(any_port()).unwrap();
            TcpListener::adopt(listener, options).unwrap()
        };
        let plain = TcpOptions {
            nodelay: false,
            backlog: 16,
            keep_alive_secs: 0,
            user_timeout_secs: 0,
            receive_buffer_bytes: 0,
            send_buffer_bytes: 0,
        };
        let full = TcpOptions {
            nodelay: true,
            backlog: 16,
            keep_alive_secs: 20,
            user_timeout_secs: 30,
            receive_buffer_bytes: 10_000,
            send_buffer_bytes: 20_000,
        };
        for open in [&bound as &dyn Fn(TcpOptions) -> TcpListener, &adopted] {
            let listener = open(plain);
            let (socket, _client) = accepted(&listener);
            let socket = socket2::SockRef::from(&socket.stream);
            assert!(!socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
            let listener = open(full);
            let (socket, _client) = accepted(&listener);
            let socket = socket2::SockRef::from(&socket.stream);
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            // Linux doubles what is asked for, to have room for its own book-keeping.
            let sizes = [socket.recv_buffer_size(), socket.send_buffer_size()];
            let sizes = sizes.map(Result::unwrap);
            assert!((10_000..=20_000).contains(&sizes[0]), "{sizes:?}");
            assert!((20_000..=40_000).contains(&sizes[1]), "{sizes:?}");
            #[cfg(target_os = "linux")]
            {
                let secs = std::time::Duration::from_secs;
                assert_eq!(socket.tcp_keepalive_time().unwrap(), secs(20));
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), secs(5));
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
                assert_eq!(socket.tcp_user_timeout().unwrap(), Some(secs(30)));
            }
        }
    }
}
