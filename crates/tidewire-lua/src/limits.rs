//! What a script may use up, and what it may touch.

/// Bounds of one host. Each is a number that a configuration names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Instructions of the virtual machine that one call may execute, in steps of a thousand.
    pub instructions: u64,
    /// Bytes that the interpreter may hold altogether, the script's own values and a call's.
    pub memory_bytes: usize,
}

/// What is forbidden to a script unless it is granted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grant {
    /// The library `io`, `os.remove`, `os.rename` and `os.tmpname`, with the rights of this process.
    Files,
    /// `os.execute` and `io.popen`, with the rights of this process.
    Processes,
    /// `os.getenv`.
    Environment,
}

impl Default for Limits {
    /// Ten million instructions take about a tenth of a second; rules that decide about a message take some hundreds.
    fn default() -> Self {
        Self {
            instructions: 10_000_000,
            memory_bytes: 16 << 20,
        }
    }
}

impl Grant {
    /// All, with the words for them.
    pub const ALL: [(&'static str, Self); 3] = [
        ("files", Self::Files),
        ("processes", Self::Processes),
        ("environment", Self::Environment),
    ];
}
