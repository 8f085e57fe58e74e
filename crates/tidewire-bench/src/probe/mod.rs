//! What the operating system says about a process: CPU, memory, system calls.

mod cpu;
mod machine;
mod memory;
mod syscalls;

pub use cpu::{CpuReading, CpuUse, own_cpu_nanos};
pub use machine::MachineFacts;
pub use memory::MemoryReading;
pub use syscalls::{SyscallCounter, strace_is_available};

#[cfg(target_os = "linux")]
pub(crate) fn read_proc(pid: u32, file: &str) -> crate::error::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).map_err(crate::error::BenchError::file("reading", path))
}
