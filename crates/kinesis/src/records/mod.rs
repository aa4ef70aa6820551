//! The data plane: PutRecord, PutRecords, GetShardIterator, GetRecords, SubscribeToShard.

mod get;
mod iterator;
mod page;
mod put;
mod spread;
mod start;
mod subscribe;
mod write;

pub(crate) use write::Place;

use std::sync::Arc;

use millstream_api::Error;
use millstream_log::{ReadError, StreamLog};

use crate::hooks::Refusal;
use crate::service::Kinesis;
use crate::state::{ShardIndex, Status};
use crate::stream::Stream;
use crate::texts;

pub(crate) use subscribe::Subscriptions;

impl Kinesis {
    /// The answer to a dry run in which every check has passed. Dry runs have a rate of their own, shared by their
    /// operations; they take nothing of the shards' throughput.
    fn end_dry_run(&self, stream: &Stream) -> Error {
        if stream.throttle.admit_dry_run(&stream.limits, self.env.clock.monotonic()) {
            return texts::dry_run_succeeded();
        }
        self.hooks.meter.refused(Refusal::CallRate, 1);
        texts::dry_run_rate_exceeded(&stream.address.name, &stream.address.account)
    }
}

/// The answer when a shard's log cannot be read.
fn read_failed(error: &ReadError, stream: &Stream, shard: ShardIndex) -> Error {
    match error {
        ReadError::Deleted => shard_gone(stream, shard),
        ReadError::Corrupt(_) | ReadError::Unavailable(_) => {
            tracing::error!(stream = %stream.address.arn(), shard, %error, "a read failed");
            texts::internal_failure()
        }
    }
}

/// The stream's log. A stream that is being made has none yet: `absent` is the answer then. That of an active one is lost, and
/// must not look as if the stream were not there.
fn log_of(stream: &Stream, absent: impl FnOnce() -> Error) -> Result<&Arc<dyn StreamLog>, Error> {
    match stream.log() {
        Some(log) => Ok(log),
        None if matches!(stream.view().status(), Status::Active | Status::Updating) => {
            tracing::error!(stream = %stream.address.arn(), "the stream's log is missing");
            Err(texts::internal_failure())
        }
        None => Err(absent()),
    }
}

fn shard_gone(stream: &Stream, shard: ShardIndex) -> Error {
    texts::shard_does_not_exist(shard, &stream.address.name, &stream.address.account)
}

#[cfg(test)]
mod tests;
