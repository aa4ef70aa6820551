//! What Linux knows of a process: processor time, memory, bytes to and from the device.

use std::path::PathBuf;

use crate::error::BenchError;

/// A process whose figures are read from /proc. Of one that is gone, all are 0.
#[derive(Debug, Clone)]
pub struct Process {
    dir: PathBuf,
    ticks_per_second: f64,
}

/// Processor seconds since the start of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// In the process.
    pub user: f64,
    /// In the kernel for it.
    pub system: f64,
}

impl Spent {
    /// Both.
    #[must_use]
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// What was spent since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

/// Bytes that a process has moved to and from the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

impl Process {
    /// The process with this id.
    #[must_use]
    pub fn new(id: u32) -> Self {
        Self::at(PathBuf::from(format!("/proc/{id}")))
    }

    /// This very process.
    #[must_use]
    pub fn own() -> Self {
        Self::at(PathBuf::from("/proc/self"))
    }

    fn at(dir: PathBuf) -> Self {
        Self { dir, ticks_per_second: rustix::param::clock_ticks_per_second() as f64 }
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.join(file)).unwrap_or_default()
    }

    /// Its processor time.
    #[must_use]
    pub fn spent(&self) -> Spent {
        let (user, system) = ticks(&self.read("stat")).unwrap_or_default();
        Spent { user: user as f64 / self.ticks_per_second, system: system as f64 / self.ticks_per_second }
    }

    /// Resident bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        field(&self.read("status"), "VmRSS:") * 1024
    }

    /// The most bytes that were ever resident (VmHWM).
    ///
    /// # Errors
    /// When the process is not there any more: 0 would keep to every goal.
    pub fn peak(&self) -> Result<u64, BenchError> {
        match field(&self.read("status"), "VmHWM:") {
            0 => Err(BenchError::Conditions("the memory of the server cannot be read: it has ended".to_owned())),
            kib => Ok(kib * 1024),
        }
    }

    /// Bytes to and from the device.
    #[must_use]
    pub fn moved(&self) -> Moved {
        let text = self.read("io");
        Moved { read: field(&text, "\nread_bytes:"), written: field(&text, "\nwrite_bytes:") }
    }
}

/// The number after `name`; 0 where it is not.
fn field(text: &str, name: &str) -> u64 {
    let rest = text.split_once(name).map_or("", |(_, rest)| rest).trim_start();
    rest.split(|character: char| !character.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// User and system time of a `stat` file. The program's name may hold blanks and brackets, so it is cut off first.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc_are_understood() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 2 3 4 500 60 7 8 20 0 1 0";
        assert_eq!(ticks(stat), Some((500, 60)));
        assert_eq!(field("VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n", "VmHWM:"), 1234);
        assert_eq!(field("rchar: 1\nread_bytes: 4096\n", "\nread_bytes:"), 4096);
        assert_eq!(field("", "VmHWM:"), 0);
        assert!(Process::own().resident() > 0);
        assert!(Process::own().peak().unwrap() >= Process::own().resident());
        assert!(Process::new(0).peak().is_err());
    }
}
