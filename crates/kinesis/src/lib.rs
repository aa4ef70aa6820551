//! Kinesis semantics over the log and the catalog: streams, shards, hash ranges, iterators, limits, resharding,
//! retention and capacity modes.
//!
//! [`Kinesis`] implements the API's service trait. An operation is one function, in the file of its family, that reads
//! top to bottom: resolve, authorise, check, act, answer. What takes longer than a request is a plan ([`plans`]): one
//! enum of states in the stream's record, driven by [`Kinesis::tick`].

mod account;
mod account_settings;
pub mod autoscale;
mod change;
mod clock;
mod consumers;
mod describe;
mod distribution;
mod driver;
#[doc(hidden)]
pub mod fuzzing;
pub mod hash;
pub mod hooks;
pub mod limits;
mod list_shards;
pub mod load;
mod mode;
mod monitoring;
mod on_demand;
mod open;
mod pace;
pub mod plans;
mod policies;
pub mod rebuild;
mod record_size;
mod records;
mod reset;
mod resolve;
mod resource_tags;
mod resources;
mod retention;
pub mod scaling;
pub mod sequence;
mod service;
mod shards;
pub mod snapshot;
pub mod state;
pub mod stream;
mod streams;
mod tags;
mod targets;
pub mod texts;
pub mod throttle;
pub mod token;
mod warm_throughput;

pub use clock::ClockReading;
pub use hooks::{AllowAll, Authorizer, Hooks, Meter, NoMeter, Refusal, Resource};
pub use limits::{Limits, StreamLimits};
pub use open::OpenError;
pub use pace::Unpaced;
pub use reset::{ResetError, Worlds};
pub use resolve::{Address, ConsumerAddress, ResourceAddress};
pub use service::{Kinesis, KinesisConfig};
pub use state::{
    ConsumerRecord, ConsumerStatus, ShardClosed, ShardIndex, ShardRecord, StreamRecord, parse_shard_id, shard_id,
};
pub use stream::{Stream, Streams, View};

#[cfg(test)]
mod tests;
