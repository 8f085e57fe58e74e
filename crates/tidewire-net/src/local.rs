//! Sockets in the file system (unix domain): listeners with their file, and what they accept.

use mio::net::{UnixListener as MioListener, UnixStream};
use mio::{Interest, Registry, Token};
use std::fmt;
use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A listening socket with a path. Clones share the queue of waiting connections; the file goes with the last of them.
#[derive(Debug)]
pub struct LocalListener {
    listener: MioListener,
    /// `None` = the file is somebody else's.
    file: Option<Arc<SocketFile>>,
}

/// A connection over a socket in the file system; never blocks.
#[derive(Debug)]
pub struct LocalSocket {
    stream: UnixStream,
}

/// Why a path could not be listened on.
#[derive(Debug)]
pub enum LocalBindError {
    /// Another program listens there.
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something that is no socket stands there, and is left alone.
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Anything else.
    Other {
        /// The path.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
}

/// The file of a listener; removed when dropped, if it is still the same one.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl LocalListener {
    /// Takes over a listening socket that somebody else has opened, and who removes its file.
    ///
    /// # Errors
    /// The operating system's.
    pub fn adopt(listener: StdListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: MioListener::from_std(listener),
            file: None,
        })
    }

    /// Opens a listening socket at `path`, for those whom `mode` lets (permission bits, such as `0o660`). The file of a
    /// program that has ended without removing it is replaced.
    ///
    /// # Errors
    /// [`LocalBindError`] says what is wrong with the path and what to do.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, LocalBindError> {
        clear(path)?;
        open(path, mode).map_err(|error| LocalBindError::Other {
            path: path.to_owned(),
            error,
        })
    }

    /// A second handle to the same queue of waiting connections.
    ///
    /// # Errors
    /// The operating system's, when it has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let listener = StdListener::from(self.listener.as_fd().try_clone_to_owned()?);
        Ok(Self {
            listener: MioListener::from_std(listener),
            file: self.file.clone(),
        })
    }

    /// Takes the next waiting connection.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when none waits, else the operating system's.
    pub fn accept(&self) -> io::Result<LocalSocket> {
        let (stream, _) = self.listener.accept()?;
        Ok(LocalSocket { stream })
    }

    /// Reports waiting connections under `token`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, Interest::READABLE)
    }
}

impl LocalSocket {
    /// Takes bytes that have come; 0 = the peer has finished.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, else the operating system's.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        crate::tcp::retry(|| self.stream.read(into))
    }

    /// Sends bytes, as many as the operating system takes.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room, else the operating system's.
    pub fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        crate::tcp::retry(|| self.stream.write_vectored(from))
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

    /// Reports writability as well, from now on, on its edges.
    ///
    /// # Errors
    /// The operating system's.
    pub fn want_writable(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.reregister(&mut self.stream, token, both)
    }

    /// Ends all reports.
    ///
    /// # Errors
    /// The operating system's.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.stream)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the path free if what stands there is the socket of nobody.
fn clear(path: &Path) -> Result<(), LocalBindError> {
    let owned = || path.to_owned();
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(file) if !file.file_type().is_socket() => {
            Err(LocalBindError::NotASocket { path: owned() })
        }
        Ok(_) => match StdStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
                .map_err(|error| LocalBindError::Other {
                    path: owned(),
                    error,
                }),
            Err(error) => Err(LocalBindError::Other {
                path: owned(),
                error,
            }),
            Ok(_) => Err(LocalBindError::InUse { path: owned() }),
        },
    }
}

fn open(path: &Path, mode: u32) -> io::Result<LocalListener> {
    // Bound under another name and renamed, so that nobody can connect before the mode is set.
    let hidden = path.with_extension(format!("{}~", std::process::id()));
    let _ = fs::remove_file(&hidden);
    let listener = StdListener::bind(&hidden)?;
    let finish = || -> io::Result<u64> {
        fs::set_permissions(&hidden, fs::Permissions::from_mode(mode))?;
        fs::rename(&hidden, path)?;
        Ok(fs::symlink_metadata(path)?.ino())
    };
    let inode = finish().inspect_err(|_| drop(fs::remove_file(&hidden)))?;
    listener.set_nonblocking(true)?;
    Ok(LocalListener {
        listener: MioListener::from_std(listener),
        file: Some(Arc::new(SocketFile {
            path: path.to_owned(),
            inode,
        })),
    })
}

impl fmt::Display for LocalBindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => write!(
                f,
                "{} is in use by another program; stop it (is it another broker?) or choose another path",
                path.display()
            ),
            Self::NotASocket { path } => write!(
                f,
                "{} exists and is no socket; it is left as it is: remove it or choose another path",
                path.display()
            ),
            Self::Other { path, error } => write!(
                f,
                "cannot listen on {}: {error}; its folder must exist and be writable, and a path has at most about 100 bytes",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LocalBindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Other { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LocalBindError, LocalListener};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_file_has_its_mode_and_goes_with_the_last_handle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = LocalListener::bind(&path, 0o640).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let twin = listener.try_clone().unwrap();
        drop(listener);
        assert!(path.exists());
        drop(twin);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_anything_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        // Closed without its file being removed, as by a program that was killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = LocalListener::bind(&path, 0o600).unwrap();
        assert!(matches!(
            LocalListener::bind(&path, 0o600),
            Err(LocalBindError::InUse { .. })
        ));
        drop(listener);
        std::fs::write(&path, "mine").unwrap();
        let error = LocalListener::bind(&path, 0o600).unwrap_err();
        assert!(matches!(error, LocalBindError::NotASocket { .. }));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
