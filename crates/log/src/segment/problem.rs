//! What a check says: what is wrong, where, and what a repair gives up.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::{LogId, Offset, ShardIndex, TimeMs};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The log whose it is; `None` for what all share.
    pub log: Option<LogId>,
    /// The file or directory.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// What a repair would do about it, and give up.
    pub repair: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.file.display(), self.what, self.repair)
    }
}

/// Something that a repair has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The log whose it is; `None` for what all share.
    pub log: Option<LogId>,
    /// The file.
    pub file: PathBuf,
    /// What was done, and given up.
    pub what: String,
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

/// Records that a repair gives up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Offsets of each shard, each range up to but without its end.
    pub offsets: BTreeMap<ShardIndex, Vec<(Offset, Offset)>>,
    /// Whether there may have been more, of which nothing is known.
    pub more: bool,
}

impl GivenUp {
    /// One range.
    #[must_use]
    pub fn range(shard: ShardIndex, from: Offset, end: Offset) -> GivenUp {
        let mut given_up = GivenUp::default();
        given_up.add(shard, from, end);
        given_up
    }

    /// Adds a range, unless it is empty.
    pub fn add(&mut self, shard: ShardIndex, from: Offset, end: Offset) {
        if from < end {
            let ranges = self.offsets.entry(shard).or_default();
            match ranges.last_mut() {
                Some(last) if last.1 == from => last.1 = end,
                _ => ranges.push((from, end)),
            }
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &GivenUp) {
        for (shard, ranges) in &other.offsets {
            for (from, end) in ranges {
                self.add(*shard, *from, *end);
            }
        }
        self.more |= other.more;
    }

    /// How many records there are known to be.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.offsets.values().flatten().map(|(from, end)| end - from).sum()
    }
}

/// As the object of "gives up".
impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.offsets.is_empty() {
            return f.write_str(if self.more { "what was there, how many records is not known" } else { "nothing" });
        }
        for (at, (shard, ranges)) in self.offsets.iter().enumerate() {
            let count: u64 = ranges.iter().map(|(from, end)| end - from).sum();
            let (comma, noun) = (if at == 0 { "" } else { ", " }, if count == 1 { "record" } else { "records" });
            write!(f, "{comma}{count} {noun} of shard {shard} (")?;
            for (at, range) in ranges.iter().enumerate() {
                write!(f, "{}{}", if at == 0 { "" } else { ", " }, offsets(range.0, range.1))?;
            }
            f.write_str(")")?;
        }
        if self.more { f.write_str(", and perhaps more") } else { Ok(()) }
    }
}

/// A range of offsets, `end` not among them.
pub(super) fn offsets(from: Offset, end: Offset) -> String {
    if end <= from + 1 { format!("offset {from}") } else { format!("offsets {from} to {}", end - 1) }
}

/// A time as people write it.
pub(super) fn utc(ms: TimeMs) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Howard Hinnant's days_to_civil, for years from 1970 on.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399_000), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_735_689_599_999), "2024-12-31T23:59:59Z");
    }

    #[test]
    fn what_is_given_up_is_said_in_words() {
        let mut given_up = GivenUp::default();
        assert_eq!((given_up.to_string(), given_up.records()), ("nothing".to_owned(), 0));
        given_up.add(3, 10, 12);
        given_up.add(3, 12, 20);
        given_up.add(3, 30, 31);
        given_up.add(4, 5, 5);
        given_up.extend(&GivenUp::range(7, 0, 1));
        let text = "11 records of shard 3 (offsets 10 to 19, offset 30), 1 record of shard 7 (offset 0)";
        assert_eq!((given_up.to_string(), given_up.records()), (text.to_owned(), 12));
        given_up.more = true;
        assert_eq!(given_up.to_string(), format!("{text}, and perhaps more"));
    }
}
