//! What UpdateShardCount does: a series of splits and merges that leaves `target` shards of equal size. And what warm
//! throughput does: splits only ([`grow`]).
//!
//! The target ranges are made one after the other, from the lowest hash key up: the shard that reaches over the target
//! range's end is split there, then the shards inside the target range are merged, left to right, into one. AWS's own
//! traces (2 to 4, 4 to 2, 4 to 5, and 4 to 3 with its shard ids) come out the same.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use millstream_log::ShardIndex;

use crate::hash::{HashKey, HashRange, even_start};

/// A boundary this near to the one wanted is taken for it: nobody can tell 2^32 keys from none among 2^128, the rounding
/// of CreateStream's ranges differs from ours by less than the shard count, and shards this small cannot be split.
const NEAR: HashKey = 1 << 32;

/// A shard that a step creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its number.
    pub index: ShardIndex,
    /// Its hash keys.
    pub range: HashRange,
}

/// One split or merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `parent` closes; the children, lower first, take its range.
    Split {
        /// The shard that closes.
        parent: ShardIndex,
        /// The shards that take over, lower range first.
        children: [Planned; 2],
    },
    /// The parents, lower first and adjacent, close; `child` takes both ranges.
    Merge {
        /// The shards that close, lower range first.
        parents: [ShardIndex; 2],
        /// The shard that takes over.
        child: Planned,
    },
}

/// The steps from the `open` shards to `target` equal ones, in order; new shards are numbered from `next` on. No steps if
/// the shards are as wanted already. `None` if `target` is 0, the open shards do not tile the hash key space, or shard
/// numbers run out.
pub fn plan(open: &[(ShardIndex, HashRange)], target: u32, mut next: ShardIndex) -> Option<Vec<Step>> {
    let mut left: VecDeque<Planned> =
        open.iter().map(|(index, range)| Planned { index: *index, range: *range }).collect();
    left.make_contiguous().sort_unstable_by_key(|shard| shard.range.start);
    if target == 0 || !tiles(left.make_contiguous()) {
        return None;
    }
    let mut number = || {
        let index = Some(next).filter(|n| *n <= i32::MAX as u32);
        next = next.saturating_add(1);
        index
    };
    let mut steps = Vec::new();
    for k in 1..=target {
        let is_last = k == target;
        let end = if is_last { HashKey::MAX } else { even_start(k, target) - 1 };
        let mut merged: Option<Planned> = None;
        while let Some(shard) = left.pop_front() {
            let piece = if shard.range.end <= end.saturating_add(NEAR) {
                shard
            } else {
                let lower = Planned { index: number()?, range: HashRange { start: shard.range.start, end } };
                let upper = Planned { index: number()?, range: HashRange { start: end + 1, end: shard.range.end } };
                steps.push(Step::Split { parent: shard.index, children: [lower, upper] });
                left.push_front(upper);
                lower
            };
            merged = Some(match merged {
                None => piece,
                Some(before) => {
                    let range = HashRange { start: before.range.start, end: piece.range.end };
                    let child = Planned { index: number()?, range };
                    steps.push(Step::Merge { parents: [before.index, piece.index], child });
                    child
                }
            });
            if !is_last && piece.range.end.saturating_add(NEAR) >= end {
                break;
            }
        }
    }
    Some(steps)
}

/// The steps from the `open` shards to `target` by splits alone, the widest shard in half each time; new shards are
/// numbered from `next` on. No steps if there are as many already. `None` if there is nothing to split, or shard numbers
/// run out.
pub fn grow(open: &[(ShardIndex, HashRange)], target: u32, next: ShardIndex) -> Option<Vec<Step>> {
    // Of shards of the same width the lowest is first.
    let entry = |shard: Planned| (shard.range.end - shard.range.start, Reverse(shard.range.start), shard.index);
    let mut left: BinaryHeap<_> =
        open.iter().map(|(index, range)| entry(Planned { index: *index, range: *range })).collect();
    let mut steps = Vec::new();
    let mut number = next;
    while left.len() < target as usize {
        let (width, Reverse(start), parent) = left.pop()?;
        let range = HashRange { start, end: start + width };
        let at = start + width / 2 + 1;
        if !range.allows_split_at(at) || number >= i32::MAX as u32 {
            return None;
        }
        let lower = Planned { index: number, range: HashRange { start, end: at - 1 } };
        let upper = Planned { index: number + 1, range: HashRange { start: at, end: range.end } };
        number += 2;
        steps.push(Step::Split { parent, children: [lower, upper] });
        left.extend([entry(lower), entry(upper)]);
    }
    Some(steps)
}

fn tiles(sorted: &[Planned]) -> bool {
    sorted.first().is_some_and(|first| first.range.start == 0)
        && sorted.last().is_some_and(|last| last.range.end == HashKey::MAX)
        && sorted.windows(2).all(|pair| pair[0].range.is_followed_by(&pair[1].range))
}

#[cfg(test)]
mod tests;
