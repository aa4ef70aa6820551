//! What a run has done and found.

use std::fmt::{self, Write};
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::ledger::Counts;
use crate::rounds::START_LIMIT;
use crate::shared::Tally;

/// How a round's server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGKILL at a random moment.
    Killed,
    /// SIGKILL within milliseconds of a change that was asked for.
    KilledAtChange,
    /// SIGTERM.
    Stopped,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::KilledAtChange => "killed at a change",
            Self::Stopped => "stopped",
        })
    }
}

/// The sums over all rounds.
#[derive(Debug, Default)]
pub struct Report {
    ends: Vec<End>,
    killed_while_starting: u64,
    starts: Vec<Duration>,
    recoveries: Vec<Duration>,
    passes: u64,
    sum: Counts,
    puts: u64,
    pages: u64,
}

impl Report {
    /// A round is over.
    pub fn round(&mut self, end: End) {
        self.ends.push(end);
    }

    /// A server was killed before it was ready.
    pub fn killed_while_starting(&mut self) {
        self.killed_while_starting += 1;
    }

    /// A server was ready after this long.
    pub fn started_after(&mut self, duration: Duration) {
        self.starts.push(duration);
    }

    /// Every stream was ACTIVE and read from this long after that.
    pub fn recovered_after(&mut self, duration: Duration) {
        self.recoveries.push(duration);
    }

    /// Everything was verified.
    pub fn verified(&mut self, counts: &Counts, puts: u64, pages: u64) {
        self.passes += 1;
        self.sum.add(*counts);
        self.puts += puts;
        self.pages += pages;
    }

    /// All of it, for reading.
    #[must_use]
    pub fn summary(&self, tally: &Tally, data: &Path) -> String {
        let mut text = String::new();
        let of = |end| self.ends.iter().filter(|one| **one == end).count();
        // Writing into a `String` does not fail.
        let _ = writeln!(
            text,
            "{} rounds: {} killed at random, {} killed at a change, {} stopped, and {} killed while they started",
            self.ends.len(),
            of(End::Killed),
            of(End::KilledAtChange),
            of(End::Stopped),
            self.killed_while_starting
        );
        let _ = writeln!(
            text,
            "{} verifications found nothing amiss: {} puts and {} pages of concurrent clients judged",
            self.passes, self.puts, self.pages
        );
        let done: Vec<String> = tally.iter().map(|(what, count)| format!("{what} {count}")).collect();
        let _ = writeln!(text, "acknowledged under load: {}", done.join(", "));
        let _ = writeln!(text, "ready after {}; limit {START_LIMIT:?}", quarters(&self.starts));
        let _ = writeln!(text, "every stream read from after another {}", quarters(&self.recoveries));
        let _ = writeln!(text, "data directory at the end: {} MiB", size(data) >> 20);
        text
    }
}

/// The median and the longest of the first quarter and of the last.
fn quarters(all: &[Duration]) -> String {
    let quarter = all.len().div_ceil(4);
    let part = |durations: &[Duration]| {
        let mut sorted = durations.to_vec();
        sorted.sort_unstable();
        let (median, longest) = (sorted.get(sorted.len() / 2), sorted.last());
        let ms = |duration: Option<&Duration>| duration.map_or(0, Duration::as_millis);
        format!("{} ms (at most {} ms)", ms(median), ms(longest))
    };
    let (first, last) = (&all[..quarter], &all[all.len() - quarter..]);
    format!("{} in the first quarter and {} in the last", part(first), part(last))
}

/// Bytes that a folder takes on the disk. What goes away meanwhile counts nothing.
#[must_use]
pub fn size(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_of_few_and_of_many() {
        let ms: Vec<Duration> = (1..=40).map(Duration::from_millis).collect();
        assert_eq!(quarters(&ms), "6 ms (at most 10 ms) in the first quarter and 36 ms (at most 40 ms) in the last");
        assert!(quarters(&ms[..1]).starts_with("1 ms (at most 1 ms)"));
        assert!(quarters(&[]).starts_with("0 ms"));
    }
}
