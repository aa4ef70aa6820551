//! What a recovered log knows, and how commits change it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::format::{BlockEntry, BlockKind, EVERY_SHARD, SegmentHeader, ShardStart, decode_floors};
use super::index::SparseIndex;
use crate::{Offset, ShardIndex, ShardPosition, TimeMs};

/// How long a closed shard stays in the table after all its records are gone, ms.
const FORGET_AFTER: TimeMs = 24 * 60 * 60 * 1000;

/// A shard as the log knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Next offset to assign.
    pub(crate) next: Offset,
    /// One past the highest durable offset.
    pub(crate) end: Offset,
    pub(crate) floor: Offset,
    /// Time of the newest record that joined a commit.
    pub(crate) joined_time: TimeMs,
    /// Time of the newest durable record (or closing).
    pub(crate) last_time: TimeMs,
    /// Refuses appends from the moment a closing has joined a commit.
    pub(crate) closing: bool,
    /// The durable closing's note.
    pub(crate) closed: Option<u64>,
}

impl Shard {
    pub(crate) fn position(&self) -> ShardPosition {
        ShardPosition { floor: self.floor, end: self.end, last_time: self.last_time, closed: self.closed }
    }
}

/// The durable content of a log, apart from the records themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) shards: BTreeMap<ShardIndex, Shard>,
    pub(crate) floor_time: TimeMs,
    pub(crate) descriptor: Bytes,
    /// Where shards begin that are not in the map.
    pub(crate) base: Offset,
}

impl Content {
    /// The shard, known from now on.
    pub(crate) fn shard(&mut self, shard: ShardIndex) -> &mut Shard {
        let base = self.base;
        self.shards.entry(shard).or_insert_with(|| Shard { next: base, end: base, floor: base, ..Shard::default() })
    }

    /// Where a shard stands.
    pub(crate) fn position(&self, shard: ShardIndex) -> ShardPosition {
        let unknown = ShardPosition { floor: self.base, end: self.base, ..ShardPosition::default() };
        self.shards.get(&shard).map_or(unknown, Shard::position)
    }

    /// The content at the start of a segment.
    pub(crate) fn from_header(header: &SegmentHeader) -> Content {
        let shards = header.shards.iter().map(|s| {
            let shard = Shard {
                next: s.next,
                end: s.next,
                floor: s.floor,
                joined_time: s.last_time,
                last_time: s.last_time,
                closing: s.closed.is_some(),
                closed: s.closed,
            };
            (s.shard, shard)
        });
        Content {
            shards: shards.collect(),
            floor_time: header.floor_time,
            descriptor: header.descriptor.clone(),
            base: header.base,
        }
    }

    /// Applies a durable block. Only trims and descriptors need their body.
    pub(crate) fn apply(&mut self, block: &BlockEntry, body: &[u8]) {
        match block.kind {
            BlockKind::Fence if block.shard == EVERY_SHARD => self.base = self.base.max(block.arg),
            BlockKind::Records | BlockKind::Fence | BlockKind::Hole => {
                let shard = self.shard(block.shard);
                shard.end = shard.end.max(block.end());
                shard.next = shard.next.max(shard.end);
                shard.last_time = shard.last_time.max(block.time_last);
                shard.joined_time = shard.joined_time.max(block.time_last);
            }
            BlockKind::Close => {
                let shard = self.shard(block.shard);
                shard.closing = true;
                shard.closed.get_or_insert(block.arg);
                shard.last_time = shard.last_time.max(block.time_last);
            }
            BlockKind::Trim => {
                self.floor_time = self.floor_time.max(block.arg);
                for (shard, floor) in decode_floors(body) {
                    let shard = self.shard(shard);
                    shard.floor = shard.floor.max(floor);
                }
            }
            BlockKind::Descriptor => self.descriptor = Bytes::copy_from_slice(body),
        }
    }

    /// Forgets what joined commits that were not written.
    pub(crate) fn roll_back(&mut self) {
        for shard in self.shards.values_mut() {
            shard.next = shard.end;
            shard.closing = shard.closed.is_some();
            shard.joined_time = shard.last_time;
        }
    }

    /// The shard table of a new segment's header. Closed shards whose last record went below the floor a day ago are
    /// left out: their owner has forgotten them too.
    pub(crate) fn starts(&self) -> Vec<ShardStart> {
        let forgotten = |s: &Shard| s.closed.is_some() && s.last_time + FORGET_AFTER < self.floor_time;
        let kept = self.shards.iter().filter(|(_, s)| !forgotten(s));
        kept.map(|(shard, s)| ShardStart {
            shard: *shard,
            next: s.end,
            floor: s.floor,
            last_time: s.last_time,
            closed: s.closed,
        })
        .collect()
    }
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) header: Arc<SegmentHeader>,
    /// Where the next commit goes.
    pub(crate) position: u64,
    /// Commits must end before it.
    pub(crate) capacity: u64,
    /// The durable commits of the segment.
    pub(crate) index: SparseIndex,
    /// Where the durable commits end.
    pub(crate) durable_end: u64,
    /// Whether it holds records (an empty one is not worth sealing by age).
    pub(crate) has_records: bool,
    /// Whether it is sealed before its time: a reader would be better off with it sorted.
    pub(crate) wanted_sorted: bool,
}

impl Active {
    /// Whether it is to be followed by another one although it has room.
    pub(crate) fn is_over(&self, now: TimeMs, seal_age: Duration) -> bool {
        let is_old = now.saturating_sub(self.header.created) >= seal_age.as_millis() as u64;
        self.has_records && (is_old || self.wanted_sorted)
    }
}
