//! Errors about enhanced fan-out consumers and their subscriptions. A consumer is named as AWS does: by its name, and the
//! second in which it was registered.

use std::fmt::Display;

use millstream_api::{Error, ErrorCode};

use super::{invalid_argument, limit_exceeded, not_found};
use crate::resolve::ConsumerAddress;
use crate::state::{ShardIndex, shard_id};

fn in_use(message: String) -> Error {
    Error::new(ErrorCode::ResourceInUseException, message)
}

/// The name is taken. Close to AWS's words.
pub fn consumer_exists(consumer: &str, stream: &str, account: &str) -> Error {
    in_use(format!("Consumer {consumer} under stream {stream} already exists for account {account}."))
}

/// The stream has all the consumers it may have. Our words.
pub fn too_many_consumers(stream: &str, account: &str, limit: impl Display) -> Error {
    limit_exceeded(format!(
        "This request would exceed the limit of registered consumers for stream {stream} under account {account}. Limit: \
         {limit}."
    ))
}

/// Too many of the stream's consumers are in CREATING. Our words.
pub fn too_many_consumers_creating(stream: &str, account: &str, limit: impl Display) -> Error {
    limit_exceeded(format!(
        "This request would exceed the limit of consumers that can simultaneously be in CREATING for stream {stream} under \
         account {account}. Limit: {limit}."
    ))
}

/// There is no such consumer, or its name belongs to a later one.
pub fn consumer_not_found(consumer: &ConsumerAddress) -> Error {
    let ConsumerAddress { stream, name, created } = consumer;
    not_found(format!(
        "Consumer {name} with creation timestamp {created} under stream: {}, account {} not found.",
        stream.name, stream.account
    ))
}

/// There is no consumer of that name. Close to AWS's words.
pub fn consumer_name_not_found(consumer: &str, account: &str) -> Error {
    not_found(format!("Consumer {consumer}, account {account} not found."))
}

/// Only an ACTIVE consumer can subscribe. The blank before the comma is AWS's.
pub fn consumer_not_active(consumer: &ConsumerAddress) -> Error {
    let ConsumerAddress { stream, name, created } = consumer;
    in_use(format!(
        "Consumer {name} with creation timestamp {created} under stream: {} , account {} is not in ACTIVE status.",
        stream.name, stream.account
    ))
}

/// Neither the consumer's ARN nor its stream's ARN and its name. Our words.
pub fn consumer_required() -> Error {
    invalid_argument("Either ConsumerARN or both StreamARN and ConsumerName must be provided.")
}

/// An ARN that names no consumer. Our words.
pub fn invalid_consumer_arn(arn: &str) -> Error {
    invalid_argument(format!("ConsumerARN {arn} is not the ARN of a consumer."))
}

/// A consumer's ARN, and beside it another stream or name. Our words.
pub fn consumer_members_differ() -> Error {
    invalid_argument("ConsumerARN, StreamARN and ConsumerName do not name the same consumer.")
}

/// DeleteStream of a stream that has consumers. The apostrophe is AWS's.
pub fn stream_has_consumers(stream: &str, account: &str) -> Error {
    in_use(format!(
        "DeleteStream can\u{2019}t delete {account}:{stream} because there are consumers associated with this data stream. To \
         delete {stream} anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers \
         that are associated with it."
    ))
}

/// The consumer has subscribed to the shard a moment ago; or, in a subscription, a later one has taken its place.
pub fn subscription_exists(consumer: &ConsumerAddress, shard: ShardIndex) -> Error {
    let ConsumerAddress { stream, name, .. } = consumer;
    in_use(format!(
        "Another active subscription exists for this consumer: {}:{}:{}:{name}",
        stream.account,
        stream.name,
        shard_id(shard)
    ))
}

/// More SubscribeToShard calls of a consumer for a shard than one a second. Our words, after those for streams.
pub fn subscription_rate_exceeded(consumer: &ConsumerAddress, shard: ShardIndex) -> Error {
    let ConsumerAddress { stream, name, .. } = consumer;
    limit_exceeded(format!(
        "Rate exceeded for consumer {name} on shard {} in stream {} under account {}.",
        shard_id(shard),
        stream.name,
        stream.account
    ))
}
