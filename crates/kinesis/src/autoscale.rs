//! How many shards an on-demand stream needs: a pure function of what was written to it.
//!
//! * **Up.** The stream has room for twice its largest minute of the last 30 days, and no shard takes more than half of
//!   what a shard may (about 500 KB/s) for minutes on end: the most loaded shards are split at their middles. A shard
//!   that is younger than 15 minutes is left alone: capacity at most doubles in that time, so traffic that more than
//!   doubles is throttled, as AWS says.
//! * **Down.** Only when the stream was watched for 30 days, once a day at most, never below the shards of a new
//!   on-demand stream; only neighbours are merged that would not be split again.
//! * A floor (warm throughput) is made at once, evenly.

use std::collections::BTreeSet;

use crate::hash::{HashKey, HashRange};
use crate::limits::{Limits, MOST_SHARDS};
use crate::load::{History, MINUTE, Minute, RECENT, Volume};
use crate::scaling::{self, Planned, Step};
use crate::state::ShardIndex;

/// Shards of a new on-demand stream. Merging goes no further.
pub const FEWEST: u32 = 4;

/// How old a shard must be to be split, ms.
const OLD_ENOUGH: u64 = 15 * MINUTE;

/// How long shards must have been as they are before some are merged, ms.
const PAUSE_BEFORE_MERGE: u64 = 24 * 60 * MINUTE;

/// A shard is not split any further than to this width: it has a hot key, which no split takes apart.
const NARROWEST: HashKey = 1 << 108;

/// What a shard takes, and how far a stream may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes per second and shard; `None` without a limit.
    pub bytes: Option<u64>,
    /// Records per second and shard; `None` without a limit.
    pub records: Option<u64>,
    /// Most shards.
    pub most: u32,
}

impl Capacity {
    /// Of streams in `region` under these limits.
    pub fn of(limits: &Limits, region: &str) -> Capacity {
        let bytes = limits.shard_write_bytes_per_second.get();
        let ceiling = limits.on_demand_write_bytes_per_second(region).get();
        let most = match (ceiling, bytes) {
            (Some(ceiling), Some(bytes)) => (ceiling / bytes.max(1)).min(MOST_SHARDS),
            _ => MOST_SHARDS,
        };
        Capacity { bytes, records: limits.shard_write_records_per_second.get(), most: most.max(1) as u32 }
    }

    /// The volume of a minute in which a shard takes half of what it may.
    fn is_above_half(&self, minute: Volume) -> bool {
        let above = |amount: u64, limit: Option<u64>| limit.is_some_and(|limit| 2 * amount > limit.saturating_mul(60));
        above(minute.bytes, self.bytes) || above(minute.records, self.records)
    }

    /// Shards that have room for twice such a minute.
    pub(crate) fn shards_for(&self, minute: Volume) -> u32 {
        let need = |amount: u64, limit: Option<u64>| {
            limit.map_or(0, |limit| amount.saturating_mul(2).div_ceil(limit.saturating_mul(60).max(1)))
        };
        let need = need(minute.bytes, self.bytes).max(need(minute.records, self.records));
        u32::try_from(need).unwrap_or(u32::MAX).min(self.most)
    }
}

/// An open shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenShard {
    /// Its number.
    pub index: ShardIndex,
    /// Its hash keys.
    pub range: HashRange,
    /// When it was split off or merged, ms since the epoch; `None` for a shard that the stream was created with.
    pub made_ms: Option<u64>,
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Its open shards, which tile the hash key space.
    pub open: &'a [OpenShard],
    /// Its peaks.
    pub history: &'a History,
    /// The latest minutes with traffic, oldest first.
    pub recent: &'a [&'a Minute],
    /// What a shard takes.
    pub capacity: Capacity,
    /// Fewest shards that the stream is to have (warm throughput); 0 for none.
    pub floor_shards: u32,
    /// Domain time, ms since the epoch.
    pub now_ms: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Keep,
    /// Split each of these shards at its middle.
    Split(Vec<ShardIndex>),
    /// Merge these neighbours, the lower one first.
    Merge(Vec<[ShardIndex; 2]>),
    /// Make that many shards of equal size.
    Even(u32),
}

/// Decides.
pub fn decide(situation: &Situation<'_>) -> Decision {
    let Situation { open, capacity, now_ms, .. } = *situation;
    let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
    let floor = situation.floor_shards.min(capacity.most);
    if count < floor {
        return Decision::Even(floor);
    }
    let split = to_split(situation, count);
    if !split.is_empty() {
        return Decision::Split(split);
    }
    let pause = now_ms.saturating_sub(open.iter().filter_map(|shard| shard.made_ms).max().unwrap_or(0));
    if pause >= PAUSE_BEFORE_MERGE && situation.history.is_full(now_ms) {
        let merge = to_merge(situation, count);
        if !merge.is_empty() {
            return Decision::Merge(merge);
        }
    }
    Decision::Keep
}

/// The shards to split, most loaded first: those that are hot, and as many more as the peak asks for.
fn to_split(situation: &Situation<'_>, count: u32) -> Vec<ShardIndex> {
    let Situation { open, history, recent, capacity, now_ms, .. } = *situation;
    let room = capacity.most.saturating_sub(count) as usize;
    let wanted = capacity.shards_for(history.peak(now_ms)).saturating_sub(count) as usize;
    let load = |shard: &OpenShard| {
        let volumes = recent.iter().filter_map(|minute| minute.shards.get(&shard.index));
        volumes.fold(Volume::default(), |sum, volume| sum.plus(*volume))
    };
    let hot: BTreeSet<ShardIndex> =
        open.iter().filter(|shard| is_hot(situation, shard.index)).map(|shard| shard.index).collect();
    let may_split = |shard: &&OpenShard| {
        let is_old_enough = shard.made_ms.is_none_or(|made| now_ms.saturating_sub(made) >= OLD_ENOUGH);
        is_old_enough && shard.range.end - shard.range.start >= NARROWEST
    };
    let mut candidates: Vec<(&OpenShard, Volume)> =
        open.iter().filter(may_split).map(|shard| (shard, load(shard))).collect();
    candidates.sort_by_key(|(shard, load)| {
        let width = shard.range.end - shard.range.start;
        std::cmp::Reverse((hot.contains(&shard.index), load.bytes, load.records, width))
    });
    let splits = wanted.max(candidates.iter().filter(|(shard, _)| hot.contains(&shard.index)).count()).min(room);
    candidates.into_iter().take(splits).map(|(shard, _)| shard.index).collect()
}

/// Whether the shard took more than half of what it may in each of the latest minutes.
fn is_hot(situation: &Situation<'_>, shard: ShardIndex) -> bool {
    let latest = situation.now_ms / MINUTE;
    let hot = situation.recent.iter().rev().take(RECENT).zip(1..).filter(|(minute, back)| {
        let volume = minute.shards.get(&shard).copied().unwrap_or_default();
        minute.number + back == latest && situation.capacity.is_above_half(volume)
    });
    hot.count() == RECENT
}

/// The neighbours to merge, least loaded first, down to what the peak of 30 days asks for.
fn to_merge(situation: &Situation<'_>, count: u32) -> Vec<[ShardIndex; 2]> {
    let Situation { open, history, capacity, now_ms, .. } = *situation;
    let wanted = capacity.shards_for(history.peak(now_ms)).max(FEWEST).max(situation.floor_shards.min(capacity.most));
    let surplus = count.saturating_sub(wanted) as usize;
    let mut sorted: Vec<&OpenShard> = open.iter().collect();
    sorted.sort_unstable_by_key(|shard| shard.range.start);
    let peak = |shard: &OpenShard| history.shard_peak(shard.index, now_ms);
    let mut pairs: Vec<(Volume, usize)> = sorted
        .windows(2)
        .enumerate()
        .map(|(at, pair)| (peak(pair[0]).plus(peak(pair[1])), at))
        // Twice that is still not hot.
        .filter(|(together, _)| !capacity.is_above_half(together.plus(*together)))
        .collect();
    pairs.sort_by_key(|(together, at)| (together.bytes, together.records, *at));
    let (mut merged, mut used) = (Vec::new(), BTreeSet::new());
    for (_, at) in pairs {
        if merged.len() < surplus && !used.contains(&at) && !used.contains(&(at + 1)) {
            used.extend([at, at + 1]);
            merged.push([sorted[at].index, sorted[at + 1].index]);
        }
    }
    merged
}

/// The steps of a decision, in which new shards are numbered from `next` on. `None` if shard numbers run out, or a shard
/// is not there.
pub fn steps(decision: &Decision, open: &[OpenShard], mut next: ShardIndex) -> Option<Vec<Step>> {
    let range = |index: ShardIndex| open.iter().find(|shard| shard.index == index).map(|shard| shard.range);
    let mut number = || {
        let index = Some(next).filter(|n| *n <= i32::MAX as u32);
        next = next.saturating_add(1);
        index
    };
    match decision {
        Decision::Keep => Some(Vec::new()),
        Decision::Even(target) => {
            let open: Vec<(ShardIndex, HashRange)> = open.iter().map(|shard| (shard.index, shard.range)).collect();
            scaling::grow(&open, *target, next)
        }
        Decision::Split(shards) => shards
            .iter()
            .map(|parent| {
                let HashRange { start, end } = range(*parent)?;
                let middle = start + (end - start) / 2;
                let lower = Planned { index: number()?, range: HashRange { start, end: middle } };
                let upper = Planned { index: number()?, range: HashRange { start: middle + 1, end } };
                Some(Step::Split { parent: *parent, children: [lower, upper] })
            })
            .collect(),
        Decision::Merge(pairs) => pairs
            .iter()
            .map(|[lower, upper]| {
                let range = HashRange { start: range(*lower)?.start, end: range(*upper)?.end };
                Some(Step::Merge { parents: [*lower, *upper], child: Planned { index: number()?, range } })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
