//! Errors of the data plane.

use millstream_api::{Error, ErrorCode};

use super::{invalid_argument, java_date, not_found, validation};
use crate::state::{ShardIndex, shard_id};

// PutRecord and PutRecords.

/// An explicit hash key of 2^128 or above.
pub fn invalid_explicit_hash_key(key: &str) -> Error {
    invalid_argument(format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {key}"
    ))
}

/// A SequenceNumberForOrdering that cannot be one. The odd name is AWS's.
pub fn invalid_ordering_number(number: &str, stream: &str, account: &str) -> Error {
    invalid_argument(format!(
        "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {stream} under account {account} is invalid."
    ))
}

/// A record without a partition key, on a stream that needs them. Our words.
pub fn partition_key_required() -> Error {
    invalid_argument(
        "PartitionKey must be provided for a stream whose RecordDistributionStrategy is USER_PARTITION_KEY.",
    )
}

/// PutRecord of a record above the stream's maximum, in bytes.
pub fn record_too_large(most: usize) -> Error {
    too_large("data", most)
}

/// The same in PutRecords; `place` counts the request's records from 0.
pub fn nth_record_too_large(place: usize, most: usize) -> Error {
    too_large(&format!("records.{}.member.data", place + 1), most)
}

fn too_large(member: &str, most: usize) -> Error {
    validation(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length less than or \
         equal to {most}"
    ))
}

/// PutRecords of more bytes than one request may have.
pub fn records_too_large(most: u64) -> Error {
    invalid_argument(format!("Records size exceeds {} MB limit", most >> 20))
}

/// The shard's throughput is used up: the error of a whole request.
pub fn shard_rate_exceeded(shard: ShardIndex, stream: &str, account: &str) -> Error {
    Error::new(ErrorCode::ProvisionedThroughputExceededException, shard_rate_message(shard, stream, account))
}

/// The same as the message of one of PutRecords' records.
pub fn shard_rate_message(shard: ShardIndex, stream: &str, account: &str) -> String {
    format!("Rate exceeded for shard {} in stream {stream} under account {account}.", shard_id(shard))
}

// GetShardIterator, and starting positions of SubscribeToShard.

/// The shard, or the stream, is not there.
pub fn shard_does_not_exist(shard: ShardIndex, stream: &str, account: &str) -> Error {
    not_found(format!("Shard {} in stream {stream} under account {account} does not exist", shard_id(shard)))
}

/// Which number and type go together; `given` ends the sentence "Request specified ...".
fn number_and_type(given: &str) -> Error {
    invalid_argument(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or \
         LATEST and no StartingSequenceNumber. Request specified {given}"
    ))
}

/// An iterator type that needs a number, without one.
pub fn starting_number_missing(iterator_type: &str) -> Error {
    number_and_type(&format!("{iterator_type} and no StartingSequenceNumber."))
}

/// An iterator type that takes no number, with one.
pub fn starting_number_not_wanted(iterator_type: &str) -> Error {
    number_and_type(&format!("{iterator_type} and also a StartingSequenceNumber."))
}

/// AT_TIMESTAMP without a time.
pub fn timestamp_missing() -> Error {
    invalid_argument(
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.",
    )
}

/// AT_TIMESTAMP with a time to come. In ms since the epoch.
pub fn timestamp_in_future(given: i64, now: u64) -> Error {
    invalid_argument(format!(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {given}, \
         currentTimestampInMillis: {now}"
    ))
}

fn starting_number(number: &str, operation: &str, shard: ShardIndex, stream: &str, account: &str) -> String {
    format!(
        "StartingSequenceNumber {number} used in {operation} on shard {} in stream {stream} under account {account} is \
         invalid",
        shard_id(shard)
    )
}

/// A StartingSequenceNumber that is no sequence number. Known from GetShardIterator.
pub fn invalid_starting_number(number: &str, operation: &str, shard: ShardIndex, stream: &str, account: &str) -> Error {
    invalid_argument(format!("{}.", starting_number(number, operation, shard, stream, account)))
}

/// A StartingSequenceNumber of another stream, or of an earlier one of the same name. Known from GetShardIterator.
pub fn foreign_starting_number(number: &str, operation: &str, shard: ShardIndex, stream: &str, account: &str) -> Error {
    let number = starting_number(number, operation, shard, stream, account);
    invalid_argument(format!("{number} because it did not come from this stream."))
}

/// A StartingSequenceNumber of another shard, `encoded`, whose number may be negative.
pub fn starting_number_of_other_shard(encoded: i32, shard: ShardIndex) -> Error {
    invalid_argument(format!(
        "Invalid StartingSequenceNumber. It encodes shardId-{encoded:012}, while it was used in a call to a shard with {}",
        shard_id(shard)
    ))
}

/// A StartingSequenceNumber of 2012's layout: AWS fails without a word.
pub fn ancient_starting_number() -> Error {
    Error::bare(ErrorCode::InternalFailure)
}

// GetRecords.

/// Not an iterator of ours.
pub fn invalid_iterator() -> Error {
    invalid_argument("Invalid ShardIterator.")
}

/// An iterator of another stream than StreamARN names. Our words.
pub fn iterator_of_other_stream(arn: &str) -> Error {
    invalid_argument(format!("ShardIterator does not belong to the stream {arn}."))
}

/// An iterator older than 300 seconds. Times in ms since the epoch.
pub fn expired_iterator(issued: u64, now: u64) -> Error {
    let message = format!(
        "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the future than \
         the tolerated delay of 300000 milliseconds.",
        java_date(issued),
        java_date(now)
    );
    Error::new(ErrorCode::ExpiredIteratorException, message)
}

// Dry runs.

/// A dry run that found nothing wrong.
pub fn dry_run_succeeded() -> Error {
    Error::new(ErrorCode::DryRunOperationException, "Request would have succeeded, but DryRun flag is set.")
}

/// More dry runs on a stream than it answers. Our words, after those for streams.
pub fn dry_run_rate_exceeded(stream: &str, account: &str) -> Error {
    Error::new(
        ErrorCode::ThrottlingException,
        format!("Rate exceeded for DryRun on stream {stream} under account {account}."),
    )
}
