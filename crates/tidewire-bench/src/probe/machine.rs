//! The machine a figure was measured on.

use std::fmt;

use serde::Serialize;

/// Facts without which figures cannot be compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MachineFacts {
    /// Logical processors this process may use.
    pub cores: usize,
    /// Operating system and kernel release.
    pub kernel: String,
    /// Processor model, as the system names it.
    pub cpu: String,
    /// Physical memory in bytes, 0 if unknown.
    pub memory_bytes: u64,
    /// Load average over the last minute when the run began; other work on the machine shows here.
    pub load_average: f64,
}

impl MachineFacts {
    /// Collects what the system tells; unknown facts are empty.
    #[must_use]
    pub fn collect() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let kernel = format!(
            "{} {}",
            std::env::consts::OS,
            read("/proc/sys/kernel/osrelease").trim()
        );
        let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or_default();
        let kib = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok());
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: kernel.trim().to_owned(),
            cpu,
            memory_bytes: kib.unwrap_or(0) * 1024,
            load_average: load
                .split(' ')
                .next()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

impl fmt::Display for MachineFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory_bytes as f64 / f64::from(1 << 30);
        write!(
            f,
            "{} cores ({}), {gib:.0} GiB, {}, load average {:.2}",
            self.cores, self.cpu, self.kernel, self.load_average
        )
    }
}

/// The value after `name` and a colon, on the first line that has it.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
