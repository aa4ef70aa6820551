//! Where records go on a stream that spreads them itself: each to the next open shard in turn.

use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// The place of the next shard in turn, of so many; `None` only if there is none.
    pub(super) fn next(&self, shards: usize) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        turn.checked_rem(shards)
    }

    /// The place of the next shard in turn that `admit` takes, the others being skipped; if it takes none, `Err` with the
    /// place whose turn it was. `None` only if there is no shard.
    pub(super) fn admitted(
        &mut self,
        shards: usize,
        mut admit: impl FnMut(usize) -> bool,
    ) -> Option<Result<usize, usize>> {
        let first = self.next(shards)?;
        if admit(first) {
            return Some(Ok(first));
        }
        // On a stream that is busy everywhere each record would look at every shard: a request looks at each a few times.
        let most = shards.saturating_mul(4);
        for _ in 1..shards {
            if self.skipped >= most {
                break;
            }
            self.skipped += 1;
            let place = self.next(shards)?;
            if admit(place) {
                return Some(Ok(place));
            }
        }
        Some(Err(first))
    }
}
