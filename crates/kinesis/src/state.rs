//! What the catalog keeps of a stream: one versioned record each, changed only by compare-and-set.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::hash::HashRange;
use crate::plans::Plan;

/// Number of a shard within its stream: the digits of its shard id. Never reused within an incarnation.
pub type ShardIndex = u32;

/// Where a stream stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Its log does not exist yet.
    #[serde(rename = "CREATING")]
    Creating,
    /// Ready.
    #[serde(rename = "ACTIVE")]
    Active,
    /// Ready for data; a control-plane change is under way.
    #[serde(rename = "UPDATING")]
    Updating,
    /// Its log is about to be deleted.
    #[serde(rename = "DELETING")]
    Deleting,
}

impl Status {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "CREATING",
            Status::Active => "ACTIVE",
            Status::Updating => "UPDATING",
            Status::Deleting => "DELETING",
        }
    }
}

/// How a stream's capacity is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The owner says how many shards there are.
    #[serde(rename = "PROVISIONED")]
    Provisioned,
    /// The service does.
    #[serde(rename = "ON_DEMAND")]
    OnDemand,
}

/// Who decides on which shard a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Distribution {
    /// The partition key (or explicit hash key) of each record.
    #[default]
    #[serde(rename = "USER_PARTITION_KEY")]
    UserPartitionKey,
    /// The service, which spreads them evenly over the open shards.
    #[serde(rename = "AUTO")]
    Auto,
}

/// Where an enhanced fan-out consumer stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumerStatus {
    /// Registered, and about to be ready.
    #[serde(rename = "CREATING")]
    Creating,
    /// Ready.
    #[serde(rename = "ACTIVE")]
    Active,
    /// Deregistered, and about to go.
    #[serde(rename = "DELETING")]
    Deleting,
}

/// An enhanced fan-out consumer, as its stream's record keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerRecord {
    /// Its name, unique among the stream's consumers.
    pub name: String,
    /// When it was registered, ms since the epoch. The second of it is part of its ARN: it is later than that of every
    /// consumer that had the name before.
    pub created_ms: u64,
    /// Where it stands.
    pub status: ConsumerStatus,
    /// When it leaves CREATING or DELETING, ms since the epoch; nothing while it is ACTIVE, or if it goes with its stream.
    pub due_ms: Option<u64>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Its resource policy, as it was put.
    pub policy: Option<String>,
}

/// A shard-level metric that enhanced monitoring can be switched on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// Bytes put.
    IncomingBytes,
    /// Records put.
    IncomingRecords,
    /// Age of the last record given by reads.
    IteratorAgeMilliseconds,
    /// Bytes read.
    OutgoingBytes,
    /// Records read.
    OutgoingRecords,
    /// Reads refused for throughput.
    ReadProvisionedThroughputExceeded,
    /// Puts refused for throughput.
    WriteProvisionedThroughputExceeded,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 7] = [
        Metric::IncomingBytes,
        Metric::IncomingRecords,
        Metric::IteratorAgeMilliseconds,
        Metric::OutgoingBytes,
        Metric::OutgoingRecords,
        Metric::ReadProvisionedThroughputExceeded,
        Metric::WriteProvisionedThroughputExceeded,
    ];
}

/// A stream, as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Counts the record's changes: each is a compare-and-set on it.
    pub version: u64,
    /// Random, never used twice: names the log, and ties iterators and tokens to this life of the stream.
    pub incarnation: u64,
    /// Twelve digits.
    pub account: String,
    /// Region name, e.g. `us-east-1`.
    pub region: String,
    /// Stream name.
    pub name: String,
    /// When CreateStream was called, ms since the epoch.
    pub created_ms: u64,
    /// The highest logical second given to any of its shards so far. The next shard, and the next stream of this name,
    /// get a higher one.
    pub latest_second: u64,
    /// Where it stands.
    pub status: Status,
    /// How its capacity is set.
    pub mode: Mode,
    /// How long records are kept, hours.
    pub retention_hours: u32,
    /// What arrived before this has expired, whatever the retention is now: it was raised since. Ms since the epoch.
    pub floor_ms: u64,
    /// Its shards by ascending index: all open ones, and the closed ones that have not expired.
    pub shards: Vec<ShardRecord>,
    /// The index that the next shard gets.
    pub next_index: ShardIndex,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Shard-level metrics that are switched on.
    pub monitoring: BTreeSet<Metric>,
    /// Largest record (data and partition key), KiB.
    pub max_record_kib: u32,
    /// Who places records on shards.
    #[serde(default)]
    pub distribution: Distribution,
    /// Its enhanced fan-out consumers, by name.
    #[serde(default)]
    pub consumers: Vec<ConsumerRecord>,
    /// The highest second that a consumer which is gone was registered in. New ones get a higher one, so that no
    /// consumer's ARN ever names another.
    #[serde(default)]
    pub latest_consumer_second: u64,
    /// Its resource policy, as it was put.
    #[serde(default)]
    pub policy: Option<String>,
    /// The warm throughput that was asked for, MiB/s. In force only while the account has a billing commitment.
    #[serde(default)]
    pub warm_throughput_mibps: Option<u32>,
    /// When UpdateShardCount was called with success in the last 24 hours, ms since the epoch.
    pub scaling_calls: Vec<u64>,
    /// When the capacity mode was switched in the last 24 hours, ms since the epoch.
    pub mode_switches: Vec<u64>,
    /// What is under way.
    pub plan: Option<Plan>,
}

/// A shard, as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Its number.
    pub index: ShardIndex,
    /// The hash keys it takes.
    pub range: HashRange,
    /// The shard it was split from, or the one given as ShardToMerge.
    pub parent: Option<ShardIndex>,
    /// The one given as AdjacentShardToMerge.
    pub adjacent_parent: Option<ShardIndex>,
    /// Logical second of its creation: the create field of its sequence numbers.
    pub create_second: u64,
    /// When it could first be written to, ms since the epoch. Its parents were closed at the same moment.
    pub opened_ms: u64,
    /// Set once it is closed.
    pub closed: Option<ShardClosed>,
}

/// How a shard was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardClosed {
    /// When, ms since the epoch.
    pub at_ms: u64,
    /// Logical second of its closing: the time field of its ending sequence number.
    pub second: u64,
}

impl StreamRecord {
    /// Retention in ms.
    pub fn retention_ms(&self) -> u64 {
        u64::from(self.retention_hours) * 60 * 60 * 1000
    }

    /// Largest record (data and partition key) in bytes.
    pub fn max_record_bytes(&self) -> usize {
        self.max_record_kib as usize * 1024
    }

    /// The shard of that number, unless it never was or has expired.
    pub fn shard(&self, index: ShardIndex) -> Option<&ShardRecord> {
        self.shards.binary_search_by_key(&index, |s| s.index).ok().map(|at| &self.shards[at])
    }

    /// The same, to change it.
    pub(crate) fn shard_mut(&mut self, index: ShardIndex) -> Option<&mut ShardRecord> {
        self.shards.binary_search_by_key(&index, |s| s.index).ok().map(|at| &mut self.shards[at])
    }

    /// Whether a shard has expired: it was closed before `horizon`, so that none of its records can still be read.
    pub(crate) fn has_expired(&self, horizon: u64) -> bool {
        self.shards.iter().any(|s| s.expired(horizon))
    }

    /// Forgets the shards that have expired.
    pub(crate) fn drop_expired(&mut self, horizon: u64) {
        self.shards.retain(|s| !s.expired(horizon));
    }

    /// Shards that take records, by index.
    pub fn open_shards(&self) -> impl Iterator<Item = &ShardRecord> {
        self.shards.iter().filter(|s| s.is_open())
    }

    /// How many shards take records.
    pub fn open_count(&self) -> usize {
        self.open_shards().count()
    }

    /// Whether the stream counts against the quotas of a capacity mode: it has that mode, or is to have it.
    pub(crate) fn claims(&self, mode: Mode) -> bool {
        let target = self.plan.as_ref().and_then(Plan::mode);
        self.mode == mode || target == Some(mode)
    }

    /// The consumer of that name.
    pub fn consumer(&self, name: &str) -> Option<&ConsumerRecord> {
        self.consumers.binary_search_by(|consumer| (*consumer.name).cmp(name)).ok().map(|at| &self.consumers[at])
    }

    /// Adds a consumer where its name belongs.
    pub(crate) fn add_consumer(&mut self, consumer: ConsumerRecord) {
        let at = self.consumers.partition_point(|other| other.name < consumer.name);
        self.consumers.insert(at, consumer);
    }

    /// Lets the consumers whose time has come be ACTIVE, or go.
    pub(crate) fn settle_consumers(&mut self, now_ms: u64) {
        let is_due = |consumer: &ConsumerRecord| consumer.due_ms.is_some_and(|due| due <= now_ms);
        for consumer in self.consumers.iter_mut().filter(|c| is_due(c) && c.status == ConsumerStatus::Creating) {
            (consumer.status, consumer.due_ms) = (ConsumerStatus::Active, None);
        }
        let latest = &mut self.latest_consumer_second;
        self.consumers.retain(|consumer| {
            let is_gone = is_due(consumer) && consumer.status == ConsumerStatus::Deleting;
            if is_gone {
                *latest = (*latest).max(consumer.second());
            }
            !is_gone
        });
    }

    /// The shards that a shard was split or merged into, by index.
    pub fn children(&self, of: ShardIndex) -> impl Iterator<Item = &ShardRecord> {
        self.shards.iter().filter(move |s| s.parent == Some(of) || s.adjacent_parent == Some(of))
    }
}

impl ConsumerRecord {
    /// The second of its ARN.
    pub fn second(&self) -> u64 {
        self.created_ms / 1000
    }
}

impl ShardRecord {
    /// Whether it takes records.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether it was closed before `horizon`, so that none of its records can still be read.
    pub fn expired(&self, horizon: u64) -> bool {
        self.closed.is_some_and(|closed| closed.at_ms < horizon)
    }

    /// Its parents: none, one (split) or two (merge).
    pub fn parents(&self) -> impl Iterator<Item = ShardIndex> {
        self.parent.into_iter().chain(self.adjacent_parent)
    }
}

/// `shardId-` and twelve digits.
pub fn shard_id(index: ShardIndex) -> String {
    format!("shardId-{index:012}")
}

/// Reads a shard id as AWS does: the digits between the first `-` and the next one (or all, without a `-`), at most
/// 2147483647.
pub fn parse_shard_id(id: &str) -> Option<ShardIndex> {
    let digits = id.split('-').nth(1).unwrap_or(id);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some(0),
        digits => digits.parse().ok().filter(|index| *index <= i32::MAX as u32),
    }
}

#[cfg(test)]
mod tests;
