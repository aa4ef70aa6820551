//! What the binary wires in: who may do what, and who counts it.

use std::fmt;
use std::sync::Arc;

use millstream_api::kinesis::Operation;
use millstream_api::{Context, Error, ErrorCode};

use crate::resolve::{Address, ConsumerAddress};
use crate::state::ShardIndex;
use crate::stream::Stream;

/// What the binary wires in.
#[derive(Clone)]
pub struct Hooks {
    /// Asked once per call, after the target is known and before anything is looked up.
    pub authorizer: Arc<dyn Authorizer>,
    /// Told what happens.
    pub meter: Arc<dyn Meter>,
}

/// What a call acts on.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// The account as a whole (ListStreams, DescribeLimits).
    Account,
    /// A stream, existing or not.
    Stream(&'a Address),
    /// A consumer, existing or not.
    Consumer(&'a ConsumerAddress),
}

/// As an ARN, or `*` for the account as a whole.
impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Account => f.write_str("*"),
            Resource::Stream(address) => f.write_str(&address.arn()),
            Resource::Consumer(address) => f.write_str(&address.arn()),
        }
    }
}

/// Decides whether a caller may do something.
pub trait Authorizer: Send + Sync + 'static {
    /// `Ok`, or the AccessDeniedException to answer with.
    fn allow(&self, context: &Context, operation: Operation, resource: Resource<'_>) -> Result<(), Error>;
}

/// Everyone may do everything: the anonymous mode.
#[derive(Clone, Copy, Debug)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn allow(&self, _: &Context, _: Operation, _: Resource<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// Why the service turned a record or a call away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The shard's write throughput is used up.
    WriteThroughput,
    /// The shard's read throughput is used up.
    ReadThroughput,
    /// Too many calls of this operation.
    CallRate,
}

/// Counts what happens. Called on the hot path: implementations must not block.
pub trait Meter: Send + Sync + 'static {
    /// A call was answered: with `None`, or with an error.
    fn answered(&self, operation: Operation, error: Option<ErrorCode>) {
        let _ = (operation, error);
    }
    /// Records were acknowledged; bytes are data and partition keys.
    fn incoming(&self, stream: &Stream, shard: ShardIndex, records: u64, bytes: u64) {
        let _ = (stream, shard, records, bytes);
    }
    /// Records were given to a reader, the last of which was `age_ms` old.
    fn outgoing(&self, stream: &Stream, shard: ShardIndex, records: u64, bytes: u64, age_ms: u64) {
        let _ = (stream, shard, records, bytes, age_ms);
    }
    /// An event was given to the subscription of a consumer to a shard, perhaps without records; after it the consumer was
    /// `behind_ms` behind the shard's newest record.
    fn pushed(&self, stream: &Stream, shard: ShardIndex, consumer: &str, records: u64, bytes: u64, behind_ms: i64) {
        let _ = (stream, shard, consumer, records, bytes, behind_ms);
    }
    /// `count` records or calls were turned away.
    fn refused(&self, why: Refusal, count: u64) {
        let _ = (why, count);
    }
}

/// Counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoMeter;

impl Meter for NoMeter {}
