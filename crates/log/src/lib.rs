//! The durable log.
//!
//! A *log* holds one stream: all its shards, each a sequence of records with dense `u64` offsets. A log engine
//! ([`Log`]) owns a group of logs; what it answers is durable. Two engines are here: [`segment`], files on a disk, and
//! [`memory`], a slow in-memory one that tests what callers make of unknown outcomes and lost ownership. The
//! conformance suite in `tests/conformance.rs` runs over both.

pub mod batch;
pub mod bugs;
pub mod copy;
pub mod memory;
pub mod metrics;
pub mod segment;
mod wakers;
mod watchers;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub use batch::{Batch, BatchSlot, Record, RecordKeys, RecordView, Records};
pub use watchers::Watch;

/// A future that can cross threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Number of a shard within its stream: the digits of its shard id.
pub type ShardIndex = u32;

/// Position of a record in its shard, counted from 0. Dense but for fences and holes.
pub type Offset = u64;

/// Domain time, milliseconds since the Unix epoch.
pub type TimeMs = u64;

/// Names one log: the stream's world and its incarnation id, which is never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId {
    /// Twelve digits.
    pub account: Arc<str>,
    /// Region name, e.g. `us-east-1`.
    pub region: Arc<str>,
    /// The stream's incarnation id.
    pub incarnation: u64,
}

/// Which run of ownership a caller believes in. Raised whenever the group's ownership is taken anew; an append under an
/// older epoch is refused as [`AppendError::Fenced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// A group of logs under one owner.
pub trait Log: Send + Sync + 'static {
    /// The epoch under which this process owns the group.
    fn epoch(&self) -> Epoch;

    /// Makes the log exist, durably. `descriptor` is opaque to the engine; it is kept beside the data so that a lost
    /// catalog can be rebuilt. Succeeds if the log exists already (a create that goes on after a restart).
    fn create(&self, id: &LogId, descriptor: Bytes) -> BoxFuture<'static, Result<Arc<dyn StreamLog>, LogError>>;

    /// The log, without recovering it yet: the first call that needs its positions does.
    /// `None` if it does not exist.
    fn open(&self, id: &LogId) -> Option<Arc<dyn StreamLog>>;

    /// Makes the log not exist, durably. Waiting appends end as [`AppendError::NotWritten`] with
    /// [`NotWritten::Deleted`], or as unknown if their commit is under way. Succeeds if the log does not exist.
    fn delete(&self, id: &LogId) -> BoxFuture<'static, Result<(), LogError>>;

    /// Every log of the group.
    fn list(&self) -> Vec<LogId>;

    /// Periodic work: markers of idle logs, sealing by age, background recovery. Call about every 250 ms.
    fn tick(&self);

    /// Ends every open commit, syncs, writes clean-stop markers. Appends after it are refused.
    fn close(&self) -> BoxFuture<'static, ()>;

    /// What is wrong now, for health reports: empty if all is well.
    fn problems(&self) -> Vec<LogProblem>;

    /// Makes ready for [`Log::cut`]: every log is recovered, and what was acknowledged before this call is durable.
    fn prepare_cut(&self) -> BoxFuture<'static, Result<(), LogError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Holds what every log has at this moment, the same for all, to be copied. Logs that are being created are left out.
    /// Waits for nothing but the logs' locks.
    ///
    /// # Errors
    /// [`LogError::Disk`] if the engine keeps no files.
    fn cut(&self) -> Result<Arc<dyn LogCut>, LogError> {
        Err(LogError::Disk("this log keeps no files".into()))
    }
}

/// What every log of a group had at one moment. Until it is dropped nothing of it is removed from the disk; the logs go on.
pub trait LogCut: Send + Sync + 'static {
    /// How many logs there are.
    fn logs(&self) -> usize;

    /// One past the highest offset that any shard had used, or that shards without records begin at.
    fn highest(&self) -> Offset;

    /// Copies log number `at` below the directory `to`, which has the form of an engine's own: what is not written to any
    /// more gets a second name, where the file system allows that; the rest is copied. Bytes are durable, names are not.
    /// Blocks, perhaps for long.
    ///
    /// # Errors
    /// [`LogError`], with what was done left behind.
    fn copy(&self, at: usize, to: &Path) -> Result<Vec<CopiedFile>, LogError>;

    /// Copies what the engine keeps beside its logs.
    ///
    /// # Errors
    /// [`LogError`].
    fn copy_own(&self, to: &Path) -> Result<Vec<CopiedFile>, LogError>;

    /// What of it is not whole: one line each.
    fn problems(&self) -> Vec<String>;
}

/// A file of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedFile {
    /// Where it is, from the copy's directory on.
    pub path: PathBuf,
    /// What it holds.
    pub sum: copy::Sum,
    /// Whether it shares its bytes with the log's own file.
    pub shared: bool,
}

/// Something that is wrong, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProblem {
    /// The log; `None` if it concerns all.
    pub log: Option<LogId>,
    /// One line.
    pub what: String,
}

/// One log. Every call that needs positions waits for the log's recovery.
pub trait StreamLog: Send + Sync + 'static {
    /// Which log this is.
    fn id(&self) -> &LogId;

    /// Adds the batch: all of it or nothing. Order, offsets and time are assigned when it joins the open commit; the
    /// future resolves when that commit is durable (in relaxed mode: when it has joined). Dropping the future changes
    /// nothing on disk.
    ///
    /// Records of one shard in a batch get consecutive offsets in the batch's order, and one arrival time.
    fn append(&self, batch: Batch, expected: Epoch) -> BoxFuture<'static, Result<Appended, AppendError>>;

    /// Closes `shards` in one commit, durably, and keeps `descriptor` as the log's new one. After it, appends to these
    /// shards are refused as [`NotWritten::Closed`]. A shard that is closed already keeps its closing. `notes` come back
    /// in [`ShardPosition::closed`]; the engine does not read them.
    fn close_shards(
        &self,
        shards: Vec<(ShardIndex, u64)>,
        descriptor: Bytes,
        expected: Epoch,
    ) -> BoxFuture<'static, Result<(), AppendError>>;

    /// Raises the trim floor: records that arrived before `before` are gone for good, whatever files are left. Drops the
    /// segments that lie wholly below it. A lower time than the present floor changes nothing.
    fn trim(&self, before: TimeMs, expected: Epoch) -> BoxFuture<'static, Result<(), AppendError>>;

    /// Reads durable records of a shard from `from` on, in order: at least one if there is one, then until about
    /// `max_bytes` of data and keys or `max_records` are reached. Starts at the floor if `from` lies below it, skips
    /// records that arrived before `not_before`, and steps over fences and holes.
    fn read(&self, read: Read) -> BoxFuture<'static, Result<ReadResult, ReadError>>;

    /// The offset of the first durable record that arrived at or after `time`; the durable end if there is none.
    fn seek_time(&self, shard: ShardIndex, time: TimeMs) -> BoxFuture<'static, Result<Offset, ReadError>>;

    /// Where a shard stands. A shard never written to is at 0.
    fn position(&self, shard: ShardIndex) -> BoxFuture<'static, Result<ShardPosition, ReadError>>;

    /// The same for every shard that was written to or closed, by shard.
    fn positions(&self) -> BoxFuture<'static, Result<Vec<(ShardIndex, ShardPosition)>, ReadError>>;

    /// A watch that has news whenever the shard's durable end moves, the shard closes or the log is deleted. Commits
    /// without records of the shard wake nobody.
    fn durable_watch(&self, shard: ShardIndex) -> Watch;

    /// The newest descriptor.
    fn descriptor(&self) -> BoxFuture<'static, Result<Bytes, ReadError>>;
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The shard.
    pub shard: ShardIndex,
    /// First offset wanted.
    pub from: Offset,
    /// Records that arrived earlier are skipped (retention).
    pub not_before: TimeMs,
    /// Stop before data and partition keys exceed this many bytes (one record is always given).
    pub max_bytes: usize,
    /// Stop at this many records.
    pub max_records: usize,
}

/// What a read gave.
#[derive(Clone, Debug)]
pub struct ReadResult {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Where the next read starts: after the last record given or stepped over.
    pub next: Offset,
    /// Where the shard stood when the read was answered.
    pub position: ShardPosition,
}

/// Where a shard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ShardPosition {
    /// The lowest offset that may still be read.
    pub floor: Offset,
    /// One past the highest durable offset.
    pub end: Offset,
    /// Arrival time of the newest durable record; 0 if there was none.
    pub last_time: TimeMs,
    /// Set once the shard is closed, durably: the note given with [`StreamLog::close_shards`].
    pub closed: Option<u64>,
}

/// Where a batch went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// For each shard of the batch, in the order in which the batch first named them.
    pub shards: Vec<AppendedShard>,
}

/// One shard's part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedShard {
    /// The shard.
    pub shard: ShardIndex,
    /// Offset of the batch's first record for this shard; the others follow.
    pub first: Offset,
    /// Arrival time given to all of them.
    pub time: TimeMs,
}

/// Why an append did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Nothing was or will be written; trying again is safe.
    #[error("not written: {0}")]
    NotWritten(NotWritten),
    /// It may or may not be found later; it was not acknowledged.
    #[error("outcome unknown: {0}")]
    Unknown(Arc<str>),
    /// Another owner has taken the group; nothing was written.
    #[error("fenced: the log group has a newer owner")]
    Fenced,
}

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// The shard is closed: route again.
    #[error("shard {0} is closed")]
    Closed(ShardIndex),
    /// The log is deleted or being deleted.
    #[error("the log is deleted")]
    Deleted,
    /// No space on the disk; reads go on, and writes do when there is space again.
    #[error("the disk is full")]
    DiskFull,
    /// An earlier write or sync failed; the log takes no writes until the process restarts.
    #[error("the log is poisoned: {0}")]
    Poisoned(Arc<str>),
    /// The log could not be recovered.
    #[error("the log could not be opened: {0}")]
    Unavailable(Arc<str>),
    /// The engine is shutting down.
    #[error("shutting down")]
    Closing,
    /// Too many bytes wait to be written already.
    #[error("too much waits to be written")]
    Busy,
}

impl NotWritten {
    /// A short name for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            NotWritten::Closed(_) => "closed",
            NotWritten::Deleted => "deleted",
            NotWritten::DiskFull => "disk_full",
            NotWritten::Poisoned(_) => "poisoned",
            NotWritten::Unavailable(_) => "unavailable",
            NotWritten::Closing => "closing",
            NotWritten::Busy => "busy",
        }
    }
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{:016x}", self.account, self.region, self.incarnation)
    }
}

/// Why a read did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The log is deleted.
    #[error("the log is deleted")]
    Deleted,
    /// Stored bytes are damaged; later positions and other shards can be read.
    #[error("corrupt data: {0}")]
    Corrupt(Arc<str>),
    /// The disk failed, or the log could not be recovered.
    #[error("unavailable: {0}")]
    Unavailable(Arc<str>),
}

/// Why a log could not be created, opened or deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// No space on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// Anything else the disk said.
    #[error("{0}")]
    Disk(Arc<str>),
}
