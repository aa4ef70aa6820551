//! Where records go on a stream that spreads them itself: each to the next open shard in turn.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::state::ShardIndex;

/// Places the records of one request.
pub(super) struct Spread<'a> {
    /// The stream's count of places given, so that the next request goes on where this one ends.
    turn: &'a AtomicUsize,
    /// How many shards were skipped for want of throughput.
    skipped: usize,
}

impl Spread<'_> {
    pub(super) fn new(turn: &AtomicUsize) -> Spread<'_> {
        Spread { turn, skipped: 0 }
    }

    /// The next shard in turn; `None` only if there is none.
    pub(super) fn next(&self, shards: &[ShardIndex]) -> Option<ShardIndex> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        shards.get(turn.checked_rem(shards.len())?).copied()
    }

    /// The next shard in turn that `admit` takes, the others being skipped; if it takes none, `Err` with the shard whose
    /// turn it was. `None` only if there is no shard.
    pub(super) fn admitted(
        &mut self,
        shards: &[ShardIndex],
        mut admit: impl FnMut(ShardIndex) -> bool,
    ) -> Option<Result<ShardIndex, ShardIndex>> {
        let first = self.next(shards)?;
        if admit(first) {
            return Some(Ok(first));
        }
        // On a stream that is busy everywhere each record would look at every shard: a request looks at each a few times.
        let most = shards.len().saturating_mul(4);
        for _ in 1..shards.len() {
            if self.skipped >= most {
                break;
            }
            self.skipped += 1;
            let shard = self.next(shards)?;
            if admit(shard) {
                return Some(Ok(shard));
            }
        }
        Some(Err(first))
    }
}
