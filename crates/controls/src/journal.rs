//! What was done to which request, in order.

use std::collections::VecDeque;

use millstream_kinesis::{ShardIndex, shard_id};
use serde::{Serialize, Serializer};

use crate::call::Call;
use crate::fault::Fault;

/// How many entries are kept; older ones give way.
const KEPT: usize = 10_000;

/// One application of a fault.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// Counts up from 1, also over a reset.
    sequence: u64,
    /// Domain time, ms since the epoch.
    time: u64,
    fault_id: String,
    action_id: &'static str,
    request_id: String,
    operation: &'static str,
    /// The caller's.
    account: String,
    /// ARN; absent for calls without a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    /// Kept as numbers: a call can have hundreds, and entries are many.
    #[serde(serialize_with = "shard_ids")]
    shards: Vec<ShardIndex>,
    /// For people: the error, or what was done instead.
    done: String,
}

/// The last entries.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    last: u64,
}

/// A part of the journal, as it is answered.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    entries: Vec<Entry>,
    /// Sequence of the newest entry there ever was.
    last: u64,
}

impl Journal {
    pub(crate) fn add(&mut self, fault: &Fault, call: &Call<'_>, shards: Vec<ShardIndex>, time: u64, done: String) {
        self.last += 1;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            sequence: self.last,
            time,
            fault_id: fault.id.clone(),
            action_id: fault.action.id(),
            request_id: call.context.request_id.to_string(),
            operation: call.operation.name(),
            account: call.context.account.to_string(),
            stream: call.stream.as_ref().map(|stream| stream.arn()),
            shards,
            done,
        });
    }

    /// The entries after that sequence.
    pub(crate) fn after(&self, sequence: u64) -> Page {
        let start = self.entries.partition_point(|entry| entry.sequence <= sequence);
        Page { entries: self.entries.range(start..).cloned().collect(), last: self.last }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

fn shard_ids<S: Serializer>(shards: &[ShardIndex], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(shards.iter().map(|shard| shard_id(*shard)))
}
