//! What was put and what must therefore be read: the judge of the crash test.
//!
//! Every attempt to put a record has a number of its own. What must hold of what is read back:
//! - an acknowledged record is there once, with its bytes and partition key, on the shard and under the sequence number
//!   that the answer named;
//! - an attempt without an answer is there once or not at all; a refused one is not there;
//! - a record that a reader has seen before a crash is there after it, in the same place;
//! - within a shard, sequence numbers rise;
//! - of one writer and one partition key, the records are in the order of the puts: within a shard, and from a parent
//!   shard to its children (a child's id is higher than its parents');
//! - no sequence number is as low as one of an earlier stream of the same name on that shard;
//! - a record arrived between its put's beginning and its reading, by the server's clock;
//! - records that have expired are not there, and others may be missing only if they can have expired.

use std::collections::{BTreeMap, HashMap};

use crate::history::Truth;
use crate::payload::{self, RecordId};
use crate::place::{Place, Sequence};
use crate::time::Moment;

/// A record as it was read.
#[derive(Debug)]
pub struct Read {
    /// Where it was.
    pub place: Place,
    /// Its partition key.
    pub partition_key: String,
    /// Its data.
    pub data: Vec<u8>,
    /// When it arrived, ms since the epoch, by the server's clock.
    pub arrived: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    /// Sent, and no answer: the server was killed, or answered that it does not know.
    Unknown,
    /// Answered with a place.
    Acknowledged(Place),
    /// Answered with an error that says it was not written.
    Refused,
}

#[derive(Debug)]
struct Attempt {
    put: Put,
    /// When it began: the record did not arrive before, ms since the epoch.
    began: u64,
    /// Where a reader saw it while the server ran.
    seen: Option<Place>,
    /// Where the verification found it.
    found: Option<Place>,
}

/// The attempts of one stream.
#[derive(Debug)]
pub struct Ledger {
    seed: u64,
    writers: Vec<Vec<Attempt>>,
    /// What this pass over the stream found, by shard.
    truth: Truth,
    /// The highest sequence number on each shard that was acknowledged or read.
    highest: HashMap<u32, Sequence>,
    /// The same of the streams of this name before this one.
    older: HashMap<u32, Sequence>,
    /// Per writer and key, in the order of the shards' ids: the first and last number read from that shard.
    order: HashMap<(u64, u64), BTreeMap<u32, (u64, u64)>>,
    /// What arrived before this can have expired, ms since the epoch.
    can_have_expired: u64,
    /// What arrived before this has expired.
    has_expired: u64,
    problems: Vec<String>,
}

/// How many attempts ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged, and there.
    pub acknowledged: u64,
    /// Without an answer.
    pub unknown: u64,
    /// Without an answer, and there.
    pub unknown_found: u64,
    /// Refused.
    pub refused: u64,
    /// Read by the follower before the crash.
    pub seen: u64,
    /// Acknowledged, and gone because their time was over.
    pub expired: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: Counts) {
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.unknown_found += other.unknown_found;
        self.refused += other.refused;
        self.seen += other.seen;
        self.expired += other.expired;
    }
}

impl Ledger {
    /// An empty ledger for a stream whose records follow from `seed`. `older` has the highest sequence numbers of the
    /// streams that had its name before.
    #[must_use]
    pub fn new(seed: u64, writers: u64, older: HashMap<u32, Sequence>) -> Self {
        Self {
            seed,
            writers: (0..writers).map(|_| Vec::new()).collect(),
            truth: Truth::new(),
            highest: older.clone(),
            older,
            order: HashMap::new(),
            can_have_expired: 0,
            has_expired: 0,
            problems: Vec::new(),
        }
    }

    /// The highest sequence number on each shard that any stream of this name had.
    #[must_use]
    pub fn highest(&self) -> HashMap<u32, Sequence> {
        self.highest.clone()
    }

    /// Notes that retention was between `shortest` and `longest`, ms, at a moment. What was expired stays so.
    pub fn retained(&mut self, now: Moment, shortest: u64, longest: u64) {
        self.can_have_expired = self.can_have_expired.max(now.latest.saturating_sub(shortest));
        self.has_expired = self.has_expired.max(now.earliest.saturating_sub(longest));
    }

    /// The seed that its records follow from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Opens an attempt by a writer. Until it is settled its outcome is unknown.
    pub fn attempt(&mut self, writer: u64, now: Moment) -> RecordId {
        let attempts = &mut self.writers[index(writer)];
        attempts.push(Attempt { put: Put::Unknown, began: now.earliest, seen: None, found: None });
        RecordId { writer, number: attempts.len() as u64 - 1 }
    }

    /// The service said where it wrote the record.
    pub fn acknowledged(&mut self, id: RecordId, place: Place) {
        self.has_number(place);
        self.settle(id, Put::Acknowledged(place));
    }

    /// The service said that it did not write the record.
    pub fn refused(&mut self, id: RecordId) {
        self.settle(id, Put::Refused);
    }

    fn has_number(&mut self, place: Place) {
        let highest = self.highest.entry(place.shard).or_insert(place.sequence);
        *highest = place.sequence.max(*highest);
    }

    fn settle(&mut self, id: RecordId, put: Put) {
        if let Some(attempt) = self.find(id) {
            attempt.put = put;
        }
    }

    fn find(&mut self, id: RecordId) -> Option<&mut Attempt> {
        self.writers.get_mut(index(id.writer))?.get_mut(index(id.number))
    }

    /// Notes something that must not be.
    pub fn problem(&mut self, what: String) {
        // The first ones tell the story; a broken shard could give a million.
        if self.problems.len() < 20 {
            self.problems.push(what);
        }
    }

    /// Takes what the follower read while the server ran.
    pub fn seen(&mut self, read: Read) {
        let Some(id) = self.check_bytes(&read) else { return };
        let Some(attempt) = self.find(id) else { return };
        match attempt.seen.replace(read.place) {
            Some(before) if before != read.place => {
                self.problem(format!("{id:?} was seen at {before} and then at {}", read.place));
            }
            _ => {}
        }
    }

    /// Takes what the verification read, in the order of its shard.
    pub fn found(&mut self, read: Read, now: Moment) {
        let Some(id) = self.check_bytes(&read) else { return };
        let place = read.place;
        let Some(attempt) = self.find(id) else { return };
        let (put, seen, began) = (attempt.put, attempt.seen, attempt.began);
        let twice = attempt.found.replace(place);
        if let Some(first) = twice {
            self.problem(format!("{id:?} is there twice: {first} and {place}"));
        }
        match put {
            Put::Acknowledged(said) if said != place => {
                self.problem(format!("{id:?} was acknowledged at {said} and is at {place}"));
            }
            Put::Refused => self.problem(format!("{id:?} was refused and is at {place}")),
            _ => {}
        }
        if let Some(seen) = seen.filter(|seen| *seen != place) {
            self.problem(format!("{id:?} was seen at {seen} and is at {place}"));
        }
        if !(began..=now.latest).contains(&read.arrived) {
            self.problem(format!("{id:?} arrived at {}, not in {began}..={}", read.arrived, now.latest));
        }
        if read.arrived < self.has_expired {
            self.problem(format!(
                "{id:?} arrived at {} and what was before {} has expired",
                read.arrived, self.has_expired
            ));
        }
        self.check_order(id, place);
    }

    /// The record's id, if its bytes and key are those of an attempt.
    fn check_bytes(&mut self, read: &Read) -> Option<RecordId> {
        let id = payload::label(&read.data)?;
        let known = self.find(id).is_some();
        let whole = known && payload::bytes(self.seed, id) == read.data;
        if !whole || payload::partition_key(self.seed, id) != read.partition_key {
            let (length, key) = (read.data.len(), &read.partition_key);
            self.problem(format!("{}: {length} bytes with key {key:?} are no record that was put", read.place));
            return None;
        }
        Some(id)
    }

    fn check_order(&mut self, id: RecordId, place: Place) {
        self.has_number(place);
        let there = self.truth.entry(place.shard).or_default();
        let last = there.last().copied().max(self.older.get(&place.shard).copied());
        there.push(place.sequence);
        if let Some(last) = last.filter(|last| *last >= place.sequence) {
            self.problem(format!("{place} comes after {last} in its shard"));
        }
        let key = (id.writer, payload::key(self.seed, id));
        let span = self.order.entry(key).or_default().entry(place.shard);
        let (_, newest) =
            span.and_modify(|(_, newest)| *newest = id.number.max(*newest)).or_insert((id.number, id.number));
        if *newest > id.number {
            let newest = *newest;
            self.problem(format!("{id:?} at {place} comes after number {newest} of the same writer and key"));
        }
    }

    /// Judges what was read up to here, and gives the counts.
    pub fn judge(&mut self) -> Counts {
        let mut counts = Counts::default();
        let mut missing = Vec::new();
        for (writer, attempts) in self.writers.iter().enumerate() {
            for (number, attempt) in attempts.iter().enumerate() {
                let there = attempt.found.is_some();
                counts.seen += u64::from(attempt.seen.is_some());
                match &attempt.put {
                    Put::Acknowledged(_) => counts.acknowledged += 1,
                    Put::Refused => counts.refused += 1,
                    Put::Unknown => {
                        counts.unknown += 1;
                        counts.unknown_found += u64::from(there);
                    }
                }
                if there {
                    continue;
                }
                let acknowledged = matches!(attempt.put, Put::Acknowledged(_));
                if attempt.began < self.can_have_expired {
                    counts.expired += u64::from(acknowledged);
                    continue;
                }
                if let Put::Acknowledged(place) = &attempt.put {
                    missing.push(format!("writer {writer} number {number} was acknowledged at {place} and is gone"));
                }
                if let Some(place) = &attempt.seen {
                    missing.push(format!("writer {writer} number {number} was seen at {place} and is gone"));
                }
            }
        }
        let mut crossed = Vec::new();
        for ((writer, key), shards) in &self.order {
            for ((parent, (_, last)), (child, (first, _))) in shards.iter().zip(shards.iter().skip(1)) {
                if last >= first {
                    crossed.push(format!(
                        "writer {writer} key {key}: number {last} is on shard {parent}, number {first} already on {child}"
                    ));
                }
            }
        }
        for what in missing.into_iter().chain(crossed) {
            self.problem(what);
        }
        counts
    }

    /// What was found up to now, by shard.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Forgets what was found, for a reading from the beginning.
    pub fn read_again(&mut self) {
        self.truth.clear();
        self.order.clear();
        for attempt in self.writers.iter_mut().flatten() {
            attempt.found = None;
        }
    }

    /// What must not be, so far.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
