//! What clients were promised.

use std::collections::{BTreeMap, HashMap};

use millstream_api::kinesis::Record;
use millstream_env::sim::Crash;

use crate::payload;
use crate::settings::Settings;

/// The names that streams have.
pub const NAMES: [&str; 3] = ["a", "b", "c"];

/// A shard of a stream: the stream's place in [`NAMES`], and the shard's id.
pub type ShardKey = (usize, String);

const HOUR: u64 = 3_600_000;

/// Everything that clients know.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// By place in [`NAMES`].
    pub streams: [StreamModel; NAMES.len()],
    /// Every record that was ever sent, by its number.
    pub puts: Vec<Put>,
    /// What is known of shards, over all incarnations of their streams: sequence numbers are never used again.
    pub shards: BTreeMap<ShardKey, ShardModel>,
    /// Where every record is that was acknowledged or read.
    pub places: HashMap<u64, (ShardKey, String)>,
    /// Iterators that clients hold.
    pub iterators: Vec<Cursor>,
    /// Whether acknowledged records may be lost with the power until they are read.
    pub relaxed: bool,
    /// Counts what happens, to tell what was before what.
    pub event: u64,
    /// Promises that were broken.
    pub problems: Vec<crate::Problem>,
}

/// A stream's name over time.
#[derive(Clone, Debug)]
pub struct StreamModel {
    /// What it may be: one thing, or two after a change whose outcome is not known. `None`: there is no such stream.
    pub allowed: Vec<Option<Settings>>,
    /// Raised when a creation or deletion begins, and when it has ended: odd while one is under way.
    pub version: u64,
    /// Records that arrived before this may have expired, ms.
    pub due: u64,
}

impl Default for StreamModel {
    fn default() -> StreamModel {
        StreamModel { allowed: vec![None], version: 0, due: 0 }
    }
}

impl StreamModel {
    /// Whether the stream has been there, and neither created nor deleted, since its version was this one.
    #[must_use]
    pub fn is_still(&self, version: u64) -> bool {
        self.version == version && version.is_multiple_of(2)
    }
}

/// A record that was sent.
#[derive(Clone, Debug)]
pub struct Put {
    /// To which stream.
    pub stream: usize,
    /// The stream's version when it was sent.
    pub version: u64,
    /// Domain time when it was sent.
    pub sent: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What a client knows of a record it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// There is no answer yet, or one that leaves it open.
    Open,
    /// It was acknowledged.
    Acknowledged,
    /// It is not there and must never be: it was refused, or it was looked for after a restart.
    Dead,
}

/// A shard, as clients know it.
#[derive(Clone, Debug, Default)]
pub struct ShardModel {
    /// Records that were acknowledged or read, by sequence number.
    pub known: BTreeMap<String, Known>,
    /// The highest sequence number that readers have passed: nothing new may appear up to it.
    pub passed: String,
}

/// A record that was acknowledged or read.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its number.
    pub id: u64,
    /// The stream's version by then.
    pub version: u64,
    /// When that was, as an event.
    pub event: u64,
    /// Whether it was acknowledged to its sender, and cannot have been lost since.
    pub acknowledged: bool,
    /// Whether somebody has read it.
    pub read: bool,
}

/// An iterator, and what its holder has read.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The shard.
    pub shard: ShardKey,
    /// The stream's version when it was begun.
    pub version: u64,
    /// The iterator.
    pub iterator: String,
    /// When it was given out, ms.
    pub since: u64,
    /// All up to this sequence number, exclusively or inclusively, lies behind the reader. Empty: it began with the oldest
    /// record. `None` if that is not known, as with LATEST.
    pub behind: Option<String>,
}

/// A page of records, as a reader got it.
#[derive(Debug)]
pub struct Page<'a> {
    /// The records.
    pub records: &'a [Record],
    /// Whether there was nothing more.
    pub at_end: bool,
    /// When it was asked for, as an event.
    pub asked: u64,
    /// The domain time by then.
    pub time: u64,
    /// The domain time now.
    pub now: u64,
}

impl Model {
    /// The next event's number.
    pub fn tick(&mut self) -> u64 {
        self.event += 1;
        self.event
    }

    /// Notes a broken promise.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// A record is about to be sent. Gives its number.
    pub fn send(&mut self, stream: usize, now: u64) -> u64 {
        let id = self.puts.len() as u64;
        self.puts.push(Put { stream, version: self.streams[stream].version, sent: now, fate: Fate::Open });
        id
    }

    /// A record was acknowledged.
    pub fn acknowledge(&mut self, id: u64, shard: &str, sequence: &str) {
        let event = self.tick();
        let put = &mut self.puts[id as usize];
        put.fate = Fate::Acknowledged;
        let (stream, version) = (put.stream, put.version);
        let key = (stream, shard.to_owned());
        let passed = self.shards.entry(key.clone()).or_default().passed.clone();
        if let Some(read) = self.shards.get(&key).and_then(|s| s.known.get(sequence)).copied() {
            if read.id != id {
                self.problem(format!("record {id} was acknowledged as {sequence}, which is record {}", read.id));
            }
        } else if *sequence <= *passed {
            self.problem(format!("record {id} was acknowledged as {sequence}, which readers have passed"));
        }
        self.place(id, &key, sequence);
        let shard = self.shards.entry(key).or_default();
        let known = shard.known.entry(sequence.to_owned()).or_insert(Known {
            id,
            version,
            event,
            acknowledged: true,
            read: false,
        });
        known.acknowledged = true;
    }

    /// A record is where it is, and nowhere else.
    fn place(&mut self, id: u64, key: &ShardKey, sequence: &str) {
        let place = (key.clone(), sequence.to_owned());
        if let Some(known) = self.places.insert(id, place.clone())
            && known != place
        {
            self.problem(format!("record {id} is at {known:?} and at {place:?}"));
        }
    }

    /// A record was refused: it must never appear.
    pub fn refuse(&mut self, id: u64) {
        self.puts[id as usize].fate = Fate::Dead;
    }

    /// Time has passed, or a retention may have changed.
    pub fn time_passes(&mut self, now: u64) {
        for stream in &mut self.streams {
            if let Some(hours) = stream.allowed.iter().flatten().map(|s| s.hours).min() {
                stream.due = stream.due.max(now.saturating_sub(u64::from(hours) * HOUR));
            }
        }
    }

    /// What arrived before this has expired for certain, ms.
    #[must_use]
    pub fn expired(&self, stream: usize, now: u64) -> u64 {
        let hours = self.streams[stream].allowed.iter().flatten().map(|s| s.hours).max().unwrap_or(u32::MAX);
        now.saturating_sub(u64::from(hours) * HOUR)
    }

    /// Whether a record must be there after a crash (`None`: without one).
    #[must_use]
    pub fn is_required(&self, stream: usize, known: &Known, crash: Option<Crash>) -> bool {
        let lost = self.relaxed && crash == Some(Crash::PowerLoss);
        self.streams[stream].is_still(known.version)
            && self.puts[known.id as usize].sent >= self.streams[stream].due
            && (known.read || (known.acknowledged && !lost))
    }

    /// What is wrong with a record by itself, if anything; else its number.
    ///
    /// # Errors
    /// What is wrong.
    pub fn identify(&self, key: &ShardKey, record: &Record) -> Result<u64, crate::Problem> {
        let at = format!("{} of {} in {}", record.sequence_number, key.1, NAMES[key.0]);
        let Some(id) = payload::id_of(&record.data) else { return Err(format!("{at} has bytes that nobody sent")) };
        let Some(put) = self.puts.get(id as usize) else { return Err(format!("{at} is record {id}, never sent")) };
        if put.stream != key.0 {
            return Err(format!("{at} is record {id}, which was sent to {}", NAMES[put.stream]));
        }
        if put.fate == Fate::Dead {
            return Err(format!("{at} is record {id}, which was refused or absent before"));
        }
        if record.partition_key.as_deref() != Some(&payload::key(id)) {
            return Err(format!("{at}, record {id}, has the partition key {:?}", record.partition_key));
        }
        if let Some(shard) = self.shards.get(key) {
            match shard.known.get(&record.sequence_number) {
                Some(known) if known.id != id => {
                    return Err(format!("{at} is record {id}, and was record {} before", known.id));
                }
                None if record.sequence_number <= shard.passed => {
                    return Err(format!("{at}, record {id}, appeared where readers had passed"));
                }
                _ => {}
            }
        }
        match self.places.get(&id) {
            Some(place) if *place != (key.clone(), record.sequence_number.clone()) => {
                Err(format!("{at} is record {id}, which is at {place:?} as well"))
            }
            _ => Ok(id),
        }
    }

    /// A reader whose cursor was at `behind` got a page. Gives where it is then.
    pub fn read(&mut self, key: &ShardKey, behind: Option<&str>, page: &Page<'_>) -> Option<String> {
        let event = self.tick();
        let version = self.streams[key.0].version;
        let expired = self.expired(key.0, page.time);
        let mut last = behind.map(str::to_owned);
        let mut ids = Vec::new();
        for record in page.records {
            match self.identify(key, record) {
                Ok(id) => ids.push(id),
                Err(problem) => self.problem(problem),
            }
            if last.as_ref().is_some_and(|last| record.sequence_number <= *last) {
                self.problem(format!("{} of {} came after {last:?}", record.sequence_number, key.1));
            }
            let arrived = record.approximate_arrival_timestamp.map_or(0, |t| t.0 as u64);
            if arrived < expired || arrived > page.now {
                self.problem(format!("{} arrived at {arrived}, asked at {}", record.sequence_number, page.time));
            }
            last = Some(record.sequence_number.clone());
        }
        let upper = page.records.last().map(|r| r.sequence_number.clone());
        self.check_gaps(key, behind, upper.as_deref(), page);
        for (record, id) in page.records.iter().zip(ids) {
            self.place(id, key, &record.sequence_number);
            let shard = self.shards.entry(key.clone()).or_default();
            let fresh = Known { id, version, event, acknowledged: false, read: true };
            shard.known.entry(record.sequence_number.clone()).or_insert(fresh).read = true;
        }
        if let (Some(_), Some(upper)) = (behind, upper) {
            let shard = self.shards.entry(key.clone()).or_default();
            shard.passed = shard.passed.clone().max(upper);
        }
        last
    }

    /// Whether a page lacks a record that its reader must have got.
    fn check_gaps(&mut self, key: &ShardKey, behind: Option<&str>, upper: Option<&str>, page: &Page<'_>) {
        let (Some(behind), Some(shard)) = (behind, self.shards.get(key)) else { return };
        let mut missing = Vec::new();
        for (sequence, known) in &shard.known {
            let passed = upper.is_some_and(|upper| **sequence <= *upper);
            // In relaxed mode what is acknowledged can be read only later.
            let visible = known.event <= page.asked && (known.read || !self.relaxed);
            let wanted = **sequence > *behind && (passed || (page.at_end && visible));
            if wanted
                && self.is_required(key.0, known, None)
                && page.records.binary_search_by(|r| r.sequence_number.cmp(sequence)).is_err()
            {
                missing.push(format!("record {} at {sequence} of {} was not read", known.id, key.1));
            }
        }
        self.problems.extend(missing);
    }
}
