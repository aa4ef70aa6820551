//! What a process holds at a moment, as Linux tells it.

use std::fs;

/// Memory, threads and files of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, bytes.
    pub resident: u64,
    /// Threads.
    pub threads: u64,
    /// Open files, sockets included.
    pub files: u64,
}

impl Usage {
    /// Of the process with this id; `None` when it is gone, or where there is no /proc.
    #[must_use]
    pub fn of(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let files = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
        let number = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_end_matches("kB").trim().parse().ok()
        };
        Some(Self { resident: number("VmRSS:")? * 1024, threads: number("Threads:")?, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident > 100_000 && usage.threads > 0 && usage.files > 2, "{usage:?}");
    }
}
