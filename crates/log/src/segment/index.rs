//! The sparse index of a segment: for each shard an entry per 64 KiB of its records.

use std::collections::BTreeMap;

use super::footer::{IndexEntry, SegmentIndex};
use super::format::{BlockEntry, BlockKind, EVERY_SHARD};
use crate::{Offset, ShardIndex, TimeMs};

/// Bytes of a shard's records from one entry to the next.
const SPACING: u64 = 64 << 10;

/// Sorting fewer shards than this is not worth a copy: a reader skips over the others' large blocks.
const SHARDS_MIN: usize = 8;

/// Nor is sorting blocks that are this large on average.
const BLOCK_MAX: u64 = 16 << 10;

/// Where a shard's records are in a segment, grown as commits are written or scanned.
#[derive(Debug, Default)]
pub(crate) struct SparseIndex {
    shards: BTreeMap<ShardIndex, ShardEntries>,
    /// Blocks of records, and their bytes.
    blocks: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct ShardEntries {
    entries: Vec<IndexEntry>,
    /// Bytes since the last entry.
    since: u64,
}

impl SparseIndex {
    /// Notes the blocks of a commit that starts at `position`.
    pub(crate) fn add(&mut self, position: u64, blocks: &[BlockEntry]) {
        for block in blocks {
            let indexed = matches!(block.kind, BlockKind::Records | BlockKind::Fence | BlockKind::Hole);
            if !indexed || block.shard == EVERY_SHARD {
                continue;
            }
            let shard = self.shards.entry(block.shard).or_default();
            if shard.entries.is_empty() || shard.since >= SPACING {
                // Two blocks of one shard in a commit: the scan starts at the commit anyway.
                if shard.entries.last().is_none_or(|e| e.position < position) {
                    shard.entries.push(IndexEntry { first: block.first, time: block.time_first, position });
                    shard.since = 0;
                }
            }
            shard.since += u64::from(block.length);
            if block.kind == BlockKind::Records {
                self.blocks += 1;
                self.bytes += u64::from(block.length);
            }
        }
    }

    /// Whether nothing was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Whether a reader of one shard would read much more than its own bytes.
    pub(crate) fn is_scattered(&self) -> bool {
        let shards = self.shards.len();
        shards >= SHARDS_MIN && self.blocks > 4 * shards as u64 && self.bytes / self.blocks < BLOCK_MAX
    }

    /// Where to start scanning for `from`; `None` if the segment has no record of the shard.
    pub(crate) fn position(&self, shard: ShardIndex, from: Offset) -> Option<u64> {
        position(&self.shards.get(&shard)?.entries, from)
    }

    /// Where to start looking for the first record at or after `time`: offset and position.
    pub(crate) fn seek_time(&self, shard: ShardIndex, time: TimeMs) -> Option<IndexEntry> {
        seek_time(&self.shards.get(&shard)?.entries, time)
    }

    /// All entries, as a footer keeps them.
    pub(crate) fn entries(&self) -> SegmentIndex {
        let mut all = SegmentIndex::default();
        for (shard, own) in &self.shards {
            all.push(*shard, own.entries.iter().copied());
        }
        all
    }
}

/// The last entry at or before `from`, or the first one.
pub(crate) fn position(entries: &[IndexEntry], from: Offset) -> Option<u64> {
    let after = entries.partition_point(|e| e.first <= from);
    entries.get(after.saturating_sub(1)).map(|e| e.position)
}

/// The last entry whose time is below `time` (records with that very time may lie before a later entry), or the first.
pub(crate) fn seek_time(entries: &[IndexEntry], time: TimeMs) -> Option<IndexEntry> {
    let after = entries.partition_point(|e| e.time < time);
    entries.get(after.saturating_sub(1)).copied()
}
