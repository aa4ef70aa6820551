//! Texts of the control plane's younger operations. Sources are named where there is one; the rest are our words.

use std::fmt::Display;

use millstream_api::{Error, ErrorCode};

use super::{invalid_argument, limit_exceeded, not_found, validation};
use crate::resolve::ConsumerAddress;

// Addressing.

/// An ARN of another region than the one that was asked. Our words.
pub fn arn_of_other_region(arn: &str, region: &str) -> Error {
    invalid_argument(format!("{arn} is not in the region {region}."))
}

/// An operation that takes only a StreamARN, without one. Our words.
pub fn stream_arn_required() -> Error {
    invalid_argument("StreamARN must be provided.")
}

/// A ResourceARN that names nothing. Our words.
pub fn invalid_resource_arn(arn: &str) -> Error {
    invalid_argument(format!("ResourceARN {arn} is not the ARN of a stream or of a consumer."))
}

/// A ResourceARN of a kind of resource that does not exist yet. Our words, for something that AWS has.
pub fn resource_kind_unsupported(operation: &str, kinds: &str) -> Error {
    let message = format!("Millstream does not support {operation} on {kinds} yet.");
    Error::new(ErrorCode::UnsupportedOperationException, message)
}

/// A consumer that is being registered or deregistered. As users of 2025 saw it for PutResourcePolicy.
pub fn consumer_of_arn_not_active(consumer: &ConsumerAddress) -> Error {
    let ConsumerAddress { stream, name, created } = consumer;
    let message = format!(
        "Consumer {name} with creation timestamp {created} under stream {} and account {} is not in ACTIVE status.",
        stream.name, stream.account
    );
    Error::new(ErrorCode::ResourceInUseException, message)
}

// Resource policies.

/// DeleteResourcePolicy of a resource that has none. The words are not verified.
pub fn no_resource_policy(arn: &str) -> Error {
    not_found(format!("No resource policy found for resource ARN {arn}."))
}

/// A policy of more bytes than one may have. Our words.
pub fn resource_policy_too_large(limit: impl Display) -> Error {
    invalid_argument(format!("The resource policy is larger than {limit} bytes."))
}

/// A policy that is none; `why` says what is wrong with it. Our words.
pub fn invalid_resource_policy(why: &str) -> Error {
    invalid_argument(format!("The resource policy is not valid: {why}."))
}

// Tags of consumers.

/// Characters that a consumer's tag may not have. Our words, after those for streams.
pub fn consumer_tags_with_illegal_characters(consumer: &ConsumerAddress) -> Error {
    invalid_argument(format!(
        "Some tags of consumer {} contained illegal characters. The allowed characters are Unicode letters, digits, \
         white-spaces, '_','.',':','/','=','+','-','@'.",
        consumer.arn()
    ))
}

/// More tags than a consumer may have. Our words, after those for streams.
pub fn too_many_consumer_tags(consumer: &ConsumerAddress, limit: impl Display) -> Error {
    invalid_argument(format!(
        "Failed to add tags to consumer {} because a given consumer cannot have more than {limit} tags associated with it.",
        consumer.arn()
    ))
}

// Warm throughput.

/// Warm throughput without the account's billing commitment. Our words.
pub fn warm_throughput_needs_commitment(account: &str) -> Error {
    validation(format!(
        "WarmThroughputMiBps requires MinimumThroughputBillingCommitment to be enabled for the account {account}."
    ))
}

/// Warm throughput of a provisioned stream. Our words, after those for on-demand streams.
pub fn warm_throughput_needs_on_demand(stream: &str, account: &str) -> Error {
    validation(format!("Request is invalid. Stream {stream} under account {account} is in Provisioned mode."))
}

/// More warm throughput than a stream may have. Our words.
pub fn warm_throughput_above_limit(mibps: impl Display, limit: impl Display) -> Error {
    limit_exceeded(format!("WarmThroughputMiBps cannot be greater than {limit}. Requested: {mibps}."))
}

// Record distribution.

/// A SequenceNumberForOrdering on a stream that spreads its records. AWS's words, from its developer guide.
pub fn ordering_with_auto_distribution() -> Error {
    invalid_argument("Stream has SERVICE_DEFINED PartitionKey enabled. SequenceNumberForOrdering must not be provided.")
}
