//! The newest durable records of each log in memory, shared by all its readers, under one budget for the engine.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{Offset, ShardIndex};

/// A run of encoded records of one shard.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) shard: ShardIndex,
    pub(crate) first: Offset,
    pub(crate) count: u32,
    pub(crate) bytes: Bytes,
    /// The buffer in which the bytes were gathered may be larger than they are.
    held: usize,
}

impl Chunk {
    pub(crate) fn new(shard: ShardIndex, first: Offset, count: u32, bytes: Vec<u8>) -> Chunk {
        Chunk { shard, first, count, held: bytes.capacity(), bytes: Bytes::from(bytes) }
    }

    /// Memory that the bytes hold.
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

/// One log's share of the tail cache.
#[derive(Default)]
pub(crate) struct Tail {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    shards: HashMap<ShardIndex, VecDeque<Chunk>>,
    /// The chunks of each commit, oldest commit first.
    commits: VecDeque<Vec<ShardIndex>>,
}

impl Tail {
    /// Adds a durable commit's chunks.
    fn push(&self, chunks: Vec<Chunk>) {
        let mut inner = self.inner.lock();
        inner.commits.push_back(chunks.iter().map(|c| c.shard).collect());
        for chunk in chunks {
            inner.shards.entry(chunk.shard).or_default().push_back(chunk);
        }
    }

    /// Takes out the oldest commit's chunks.
    fn pop(&self) -> Vec<Chunk> {
        let mut inner = self.inner.lock();
        let shards = inner.commits.pop_front().unwrap_or_default();
        let mut popped = Vec::with_capacity(shards.len());
        for shard in shards {
            if let Some(chunks) = inner.shards.get_mut(&shard) {
                popped.extend(chunks.pop_front());
                if chunks.is_empty() {
                    inner.shards.remove(&shard);
                }
            }
        }
        popped
    }

    /// The chunks from the one that holds `from` on, up to about `max_bytes` or `max_records`; `None` if `from` lies
    /// before the cached part (or the shard has none).
    pub(crate) fn read(
        &self,
        shard: ShardIndex,
        from: Offset,
        max_bytes: usize,
        max_records: usize,
    ) -> Option<Vec<Chunk>> {
        let inner = self.inner.lock();
        let chunks = inner.shards.get(&shard)?;
        let start = chunks.partition_point(|c| c.first + u64::from(c.count) <= from);
        let first = chunks.get(start)?;
        if first.first > from && start == 0 {
            return None;
        }
        let last = from.saturating_add(max_records as u64);
        let mut bytes = 0;
        let mut out = Vec::new();
        for chunk in chunks.range(start..) {
            out.push(chunk.clone());
            bytes += chunk.bytes.len();
            if bytes >= max_bytes || chunk.first + u64::from(chunk.count) >= last {
                break;
            }
        }
        Some(out)
    }
}

/// The budget shared by the tails of all logs: the oldest commit of any log goes first.
pub(crate) struct TailBudget {
    limit: usize,
    state: Mutex<Budget>,
}

#[derive(Default)]
struct Budget {
    bytes: usize,
    order: VecDeque<(Weak<Tail>, usize)>,
}

impl TailBudget {
    pub(crate) fn new(limit: usize) -> TailBudget {
        TailBudget { limit, state: Mutex::new(Budget::default()) }
    }

    /// Caches a durable commit's chunks in `tail` and evicts what exceeds the budget.
    pub(crate) fn push(&self, tail: &Arc<Tail>, chunks: Vec<Chunk>) {
        // What the allocator and the maps take beside the bytes themselves.
        let bytes = chunks.iter().map(|c| c.held() + 128).sum();
        // Freed when the lock is: that takes a while for large ones.
        let mut evicted = Vec::new();
        let mut budget = self.state.lock();
        tail.push(chunks);
        budget.bytes += bytes;
        budget.order.push_back((Arc::downgrade(tail), bytes));
        while budget.bytes > self.limit {
            let Some((oldest, bytes)) = budget.order.pop_front() else { break };
            budget.bytes -= bytes;
            if let Some(oldest) = oldest.upgrade() {
                evicted.push(oldest.pop());
            }
        }
        drop(budget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(shard: ShardIndex, first: Offset, count: u32) -> Chunk {
        Chunk::new(shard, first, count, vec![0; 1000])
    }

    #[test]
    fn serves_what_it_holds_and_says_when_it_does_not() {
        let budget = TailBudget::new(3 * 1200);
        let tail = Arc::new(Tail::default());
        for n in 0..5 {
            budget.push(&tail, vec![chunk(1, n * 10, 10)]);
        }
        assert!(tail.read(1, 5, 1 << 20, 100).is_none(), "evicted");
        assert_eq!(tail.read(1, 25, 1 << 20, 100).map(|c| c.len()), Some(3));
        assert_eq!(tail.read(1, 25, 1, 100).map(|c| c.len()), Some(1));
        assert_eq!(tail.read(1, 25, 1 << 20, 5).map(|c| c.len()), Some(1));
        assert_eq!(tail.read(1, 25, 1 << 20, 6).map(|c| c.len()), Some(2));
        assert!(tail.read(1, 50, 1 << 20, 100).is_none(), "nothing there yet");
        assert!(tail.read(2, 0, 1 << 20, 100).is_none());
    }

    #[test]
    fn what_a_chunk_holds_counts_also_where_it_is_empty() {
        let budget = TailBudget::new(2 * 1200);
        let tail = Arc::new(Tail::default());
        budget.push(&tail, vec![chunk(0, 0, 1)]);
        let mut large = Vec::with_capacity(2000);
        large.push(0);
        budget.push(&tail, vec![Chunk::new(0, 1, 1, large)]);
        assert!(tail.read(0, 0, 1, 1).is_none());
        assert!(tail.read(0, 1, 1, 1).is_some());
    }

    #[test]
    fn the_oldest_commit_of_any_log_goes_first() {
        let budget = TailBudget::new(2 * 1200);
        let (a, b) = (Arc::new(Tail::default()), Arc::new(Tail::default()));
        budget.push(&a, vec![chunk(0, 0, 1)]);
        budget.push(&b, vec![chunk(0, 0, 1)]);
        budget.push(&b, vec![chunk(0, 1, 1)]);
        assert!(a.read(0, 0, 1, 1).is_none());
        assert!(b.read(0, 0, 1, 1).is_some());
    }
}
