//! The file layer: the few operations that the log needs, so that a test can stand in for the disk.

use std::fmt;
use std::io;
use std::sync::Arc;

/// One directory of files. Names have no separators.
///
/// What the log assumes of an implementation is what POSIX gives: a create, rename or remove is certain to survive a
/// power loss only after [`Files::sync_dir`]; written bytes only after [`File::sync`]; a rename is atomic.
pub trait Files: Send + Sync + fmt::Debug {
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// As the operating system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Creates a file, or empties the one of that name.
    ///
    /// # Errors
    /// As the operating system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// The names of all files, in no order.
    ///
    /// # Errors
    /// As the operating system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name; one that had it is gone.
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name. Handles that are open still read it.
    ///
    /// # Errors
    /// As the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creates, renames and removes so far survive a power loss.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync_dir(&self) -> io::Result<()>;

    /// Bytes that can still be written.
    ///
    /// # Errors
    /// As the operating system says.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Takes the named file as a lock until the answer is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when somebody else holds it.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>>;
}

/// An open file. Positions are bytes from its start.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads what is there, possibly less than asked; 0 at the end.
    ///
    /// # Errors
    /// As the operating system says.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of it.
    ///
    /// # Errors
    /// As the operating system says. Some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes all that was written so far survive a power loss.
    ///
    /// # Errors
    /// As the operating system says. What was written is then in doubt for good: a later success proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Cuts it, or fills it up with zeros.
    ///
    /// # Errors
    /// As the operating system says.
    fn set_size(&self, bytes: u64) -> io::Result<()>;

    /// Fills it up with zeros to that length and takes the space for them now, where the system can.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no space.
    fn preallocate(&self, bytes: u64) -> io::Result<()>;
}

/// A lock that is held while this lives.
pub trait Lock: Send + fmt::Debug {}

/// Reads exactly `into.len()` bytes.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] when the file ends before; else as the file says.
pub fn read_exact_at(file: &dyn File, into: &mut [u8], at: u64) -> io::Result<()> {
    let read = read_up_to(file, into, at)?;
    if read == into.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Reads until `into` is full or the file ends; returns how many bytes there were.
///
/// # Errors
/// As the file says.
pub fn read_up_to(file: &dyn File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
