//! Closing shards and opening their children: SplitShard, MergeShards, and all the steps of UpdateShardCount at once.
//!
//! The plan names the children; their seconds are given when the log decides. One commit closes every shard that has a
//! child, open ones and short-lived ones between, and carries each one's closing second as its note. So what the log
//! holds is enough to work out the outcome again, however often the process dies on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hash::HashRange;
use crate::scaling::Step;
use crate::state::{ShardClosed, ShardIndex, ShardRecord, Status, StreamRecord};

/// The shards that a reshard makes, parents always before their children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshard {
    /// In the order of their indexes.
    pub children: Vec<Child>,
}

/// A shard to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its number.
    pub index: ShardIndex,
    /// The hash keys it takes.
    pub range: HashRange,
    /// The shard that is split, or the lower one that is merged.
    pub parent: ShardIndex,
    /// The upper one that is merged.
    pub adjacent_parent: Option<ShardIndex>,
}

/// The closing second of every shard that a reshard closes.
pub type Closings = BTreeMap<ShardIndex, u64>;

impl Reshard {
    /// The plan that does `steps`.
    pub fn from_steps(steps: &[Step]) -> Reshard {
        let mut children = Vec::new();
        for step in steps {
            match *step {
                Step::Split { parent, children: both } => children.extend(both.map(|child| Child {
                    index: child.index,
                    range: child.range,
                    parent,
                    adjacent_parent: None,
                })),
                Step::Merge { parents: [lower, upper], child } => children.push(Child {
                    index: child.index,
                    range: child.range,
                    parent: lower,
                    adjacent_parent: Some(upper),
                }),
            }
        }
        Reshard { children }
    }

    /// How many shards will be open more than now.
    pub fn growth(&self) -> i64 {
        let closes: std::collections::BTreeSet<ShardIndex> =
            self.children.iter().flat_map(|c| [Some(c.parent), c.adjacent_parent]).flatten().collect();
        self.children.len() as i64 - closes.len() as i64
    }

    /// Gives every shard that closes its second: no earlier than `now_second` and the shard's own creation, the same for
    /// both parents of a merge.
    pub fn closings(&self, record: &StreamRecord, now_second: u64) -> Closings {
        let mut closings = Closings::new();
        let mut created: BTreeMap<ShardIndex, u64> = record.shards.iter().map(|s| (s.index, s.create_second)).collect();
        for child in &self.children {
            let parents = [Some(child.parent), child.adjacent_parent];
            let parents = || parents.into_iter().flatten();
            let latest = parents().filter_map(|p| created.get(&p).copied()).max().unwrap_or(0).max(now_second);
            // The first child of a split has closed the parent for the second one too.
            let close = parents().filter_map(|p| closings.get(&p).copied()).max().unwrap_or(latest);
            for parent in parents() {
                closings.insert(parent, close);
            }
            created.insert(child.index, close + 1);
        }
        closings
    }

    /// The record once the shards have closed at those seconds, `at_ms` being the moment that the change is made known.
    pub fn outcome(&self, record: &StreamRecord, closings: &Closings, at_ms: u64) -> StreamRecord {
        let mut record = record.clone();
        for child in &self.children {
            let closing = |parent: ShardIndex| closings.get(&parent).copied().unwrap_or_default();
            let close = child.adjacent_parent.map_or(0, closing).max(closing(child.parent));
            record.shards.push(ShardRecord {
                index: child.index,
                range: child.range,
                parent: Some(child.parent),
                adjacent_parent: child.adjacent_parent,
                create_second: close + 1,
                opened_ms: at_ms,
                closed: None,
            });
            record.latest_second = record.latest_second.max(close + 1);
            record.next_index = record.next_index.max(child.index + 1);
        }
        for (index, second) in closings {
            if let Some(shard) = record.shard_mut(*index) {
                shard.closed = Some(ShardClosed { at_ms, second: *second });
            }
        }
        record.status = Status::Active;
        record.plan = None;
        record
    }
}
