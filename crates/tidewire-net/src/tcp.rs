//! Non-blocking TCP: listeners with their options, and the sockets that they accept.

use mio::net::{TcpListener as MioListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Type};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener};

/// Accepted sockets inherit TCP_NODELAY from their listener here, which saves a call for each.
const NODELAY_IS_INHERITED: bool = cfg!(target_os = "linux");

/// How a listener's sockets are set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpOptions {
    /// Send small segments at once (TCP_NODELAY): the worker batches by itself.
    pub nodelay: bool,
    /// Connections that wait for being accepted; the operating system may lower it.
    pub backlog: u32,
}

impl Default for TcpOptions {
    fn default() -> Self {
        // Room for a burst of reconnecting devices; Linux caps it at net.core.somaxconn (4096 by default).
        Self {
            nodelay: true,
            backlog: 4096,
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
        if !NODELAY_IS_INHERITED && self.options.nodelay {
            // A socket without it is slower, not wrong.
            let _ = stream.set_nodelay(true);
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
    if NODELAY_IS_INHERITED && options.nodelay {
        socket.set_tcp_nodelay(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
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

    #[test]
    fn accepted_sockets_have_the_listeners_nodelay_and_clones_share_one_queue() {
        for nodelay in [true, false] {
            let listener = TcpListener::bind(
                any_port(),
                TcpOptions {
                    nodelay,
                    backlog: 16,
                },
            )
            .unwrap();
            let mut twin = listener.try_clone().unwrap();
            let mut poll = Poll::new().unwrap();
            twin.register(poll.registry(), Token(0)).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            poll.poll(&mut Events::with_capacity(4), None).unwrap();
            let (socket, peer) = twin.accept().unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            assert_eq!(socket.stream.nodelay().unwrap(), nodelay);
            assert_eq!(
                listener.accept().unwrap_err().kind(),
                std::io::ErrorKind::WouldBlock
            );
        }
    }
}
