//! The errors of the Kinesis API, word for word as AWS gives them. Where AWS's own words are not known the function says
//! so. Arguments are in the order stream, account.

use std::fmt::Display;

use millstream_api::{Error, ErrorCode};

use crate::state::{ShardIndex, shard_id};

mod consumers;
mod control;
mod data;

pub use consumers::*;
pub use control::*;
pub use data::*;

fn invalid_argument(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidArgumentException, message)
}

fn not_found(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::ResourceNotFoundException, message)
}

fn limit_exceeded(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::LimitExceededException, message)
}

fn validation(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::ValidationException, message)
}

// Every operation.

/// There is no such stream (or it is being created, for the data plane).
pub fn stream_not_found(stream: &str, account: &str) -> Error {
    not_found(format!("Stream {stream} under account {account} not found."))
}

/// The stream's state forbids the operation. `status` as in answers.
pub fn stream_not_active(stream: &str, account: &str, status: &str) -> Error {
    let message = format!("Stream {stream} under account {account} not ACTIVE, instead in state {status}");
    Error::new(ErrorCode::ResourceInUseException, message)
}

/// The operation was called too often, on a stream.
pub fn stream_rate_exceeded(stream: &str, account: &str) -> Error {
    limit_exceeded(format!("Rate exceeded for stream {stream} under account {account}."))
}

/// An operation without a stream was called too often. Only the first two words are known to be AWS's.
pub fn account_rate_exceeded(account: &str) -> Error {
    limit_exceeded(format!("Rate exceeded for account {account}."))
}

/// Neither a name nor an ARN. Our words.
pub fn stream_name_or_arn_required() -> Error {
    invalid_argument("Either StreamName or StreamARN must be provided.")
}

/// A name and an ARN of another name. Our words.
pub fn stream_name_and_arn_differ() -> Error {
    invalid_argument("StreamName and StreamARN do not name the same stream.")
}

/// An ARN that names no stream. Our words.
pub fn invalid_stream_arn(arn: &str) -> Error {
    invalid_argument(format!("StreamARN {arn} is not the ARN of a stream."))
}

/// Another account's stream, whose resource policy does not let the caller in.
pub fn cross_account(caller: &str, operation: &str, arn: &str) -> Error {
    let message = format!(
        "User: arn:aws:iam::{caller}:root is not authorized to perform: kinesis:{operation} on resource: {arn} because no \
         resource-based policy allows the kinesis:{operation} action"
    );
    Error::new(ErrorCode::AccessDeniedException, message)
}

/// Something broke on our side.
pub fn internal_failure() -> Error {
    Error::new(ErrorCode::InternalFailureException, "Internal Service Failure.")
}

/// The operation needs a provisioned stream.
pub fn on_demand_mode(stream: &str, account: &str) -> Error {
    validation(format!("Request is invalid. Stream {stream} under account {account} is in On-Demand mode."))
}

// CreateStream and DeleteStream.

/// The name is taken.
pub fn stream_exists(stream: &str, account: &str) -> Error {
    let message = format!("Stream {stream} under account {account} already exists.");
    Error::new(ErrorCode::ResourceInUseException, message)
}

/// The account would have more than `limit` shards; it has `current`, and the request makes `additional`.
pub fn shard_limit(
    account: &str,
    region: &str,
    current: impl Display,
    limit: impl Display,
    additional: impl Display,
) -> Error {
    limit_exceeded(format!(
        "This request would exceed the shard limit for the account {account} in {region}. Current shard count for the \
         account: {current}. Limit: {limit}. Number of additional shards that would have resulted from this request: \
         {additional}. Refer to the AWS Service Limits page \
         (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher \
         limits."
    ))
}

/// Too many streams are in CREATING or DELETING. The grammar and the two blanks are AWS's.
pub fn too_many_in_transition(account: &str, limit: impl Display) -> Error {
    limit_exceeded(format!(
        "This request would have exceed the limit on the number  of streams that can simultaneously be in CREATING or \
         DELETING for the account {account}. Limit: {limit}."
    ))
}

/// The account has all the on-demand streams it may have. Our words.
pub fn on_demand_stream_limit(account: &str, region: &str, limit: impl Display) -> Error {
    limit_exceeded(format!(
        "This request would exceed the limit of on-demand streams for the account {account} in {region}. Limit: {limit}."
    ))
}

/// CreateStream of an on-demand stream with a shard count. Our words.
pub fn shard_count_with_on_demand() -> Error {
    invalid_argument("ShardCount must not be provided for a stream in ON_DEMAND mode.")
}

/// CreateStream of a provisioned stream without a shard count. Our words.
pub fn shard_count_required() -> Error {
    invalid_argument("ShardCount must be provided for a stream in PROVISIONED mode.")
}

/// Record distribution that only on-demand streams have.
pub fn distribution_needs_on_demand(stream: &str) -> Error {
    invalid_argument(format!(
        "RecordDistributionStrategy=AUTO is only supported for on-demand streams. Stream {stream} is using PROVISIONED mode."
    ))
}

// Retention.

/// Retention below 24 hours.
pub fn retention_too_short(hours: i32) -> Error {
    invalid_argument(format!(
        "Minimum allowed retention period is 24 hours. Requested retention period ({hours} hours) is too short."
    ))
}

/// Retention above the limit.
pub fn retention_too_long(hours: i32, limit: impl Display) -> Error {
    invalid_argument(format!(
        "Maximum allowed retention period is {limit} hours. Requested retention period ({hours} hours) is too long."
    ))
}

/// DecreaseStreamRetentionPeriod that would increase.
pub fn retention_not_lower(stream: &str, hours: i32, current: u32) -> Error {
    invalid_argument(format!(
        "Requested retention period ({hours} hours) for stream {stream} can not be longer than existing retention period \
         ({current} hours). Use IncreaseRetentionPeriod API."
    ))
}

/// IncreaseStreamRetentionPeriod that would decrease.
pub fn retention_not_higher(stream: &str, hours: i32, current: u32) -> Error {
    invalid_argument(format!(
        "Requested retention period ({hours} hours) for stream {stream} can not be shorter than existing retention period \
         ({current} hours). Use DecreaseRetentionPeriod API."
    ))
}

// Tags.

/// Characters that no tag may have.
pub fn tags_with_invalid_characters() -> Error {
    invalid_argument(
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.",
    )
}

/// Characters that a stream's tag may not have, in AddTagsToStream.
pub fn add_tags_with_illegal_characters(stream: &str, account: &str) -> Error {
    invalid_argument(format!("Failed to add tags to {}", illegal_characters(stream, account)))
}

/// The same in RemoveTagsFromStream.
pub fn remove_tags_with_illegal_characters(stream: &str, account: &str) -> Error {
    invalid_argument(format!("Failed to remove tags from {}", illegal_characters(stream, account)))
}

fn illegal_characters(stream: &str, account: &str) -> String {
    format!(
        "stream {stream} under account {account} because some tags contained illegal characters. The allowed characters are \
         Unicode letters, white-spaces, '_',',','/','=','+','-','@'."
    )
}

/// More tags than a stream may have. AWS says 10 here, although its limit is 50.
pub fn too_many_tags(stream: &str, account: &str) -> Error {
    invalid_argument(format!(
        "Failed to add tags to stream {stream} under account {account} because a given stream cannot have more than 10 \
         tags associated with it."
    ))
}

/// Tag keys that begin with `aws:`. Our words.
pub fn reserved_tag_key(key: &str) -> Error {
    invalid_argument(format!("Tag key {key} begins with aws:, which is reserved for system use."))
}

// Listing.

/// ListShards with neither a token nor a stream.
pub fn next_token_or_stream_name_required() -> Error {
    invalid_argument("Either NextToken or StreamName should be provided.")
}

/// A token and what the token holds already. `member` is the other member's name.
pub fn next_token_excludes(member: &str) -> Error {
    invalid_argument(format!("NextToken and {member} cannot be provided together."))
}

/// A token that is not ours, or another operation's. Our words.
pub fn invalid_next_token() -> Error {
    invalid_argument("Invalid NextToken.")
}

/// A token older than 300 seconds. Times in ms since the epoch. Our words, after those for iterators.
pub fn expired_next_token(issued: u64, now: u64) -> Error {
    let message = format!(
        "NextToken expired. The token was created at time {} while right now it is {} which is further in the future than \
         the tolerated delay of 300000 milliseconds.",
        java_date(issued),
        java_date(now)
    );
    Error::new(ErrorCode::ExpiredNextTokenException, message)
}

/// A shard filter without what its type needs, or with more. Our words.
pub fn shard_filter_member(kind: &str, member: &str, is_missing: bool) -> Error {
    let verb = if is_missing { "must" } else { "must not" };
    invalid_argument(format!("{member} {verb} be provided in a ShardFilter of type {kind}."))
}

// Resharding.

/// A shard id that is none (`raw` as it came), or of a shard that is not there (as it is written).
pub fn could_not_find_shard(shard: &str, stream: &str, account: &str) -> Error {
    not_found(format!("Could not find shard {shard} in stream {stream} under account {account}."))
}

/// SplitShard at a key that leaves too little on one side.
pub fn split_out_of_range(
    key: &str,
    shard: ShardIndex,
    stream: &str,
    account: &str,
    start: impl Display,
    end: impl Display,
) -> Error {
    invalid_argument(format!(
        "NewStartingHashKey {key} used in SplitShard() on shard {} in stream {stream} under account {account} is not both \
         greater than one plus the shard's StartingHashKey {start} and less than the shard's EndingHashKey {end}.",
        shard_id(shard)
    ))
}

/// The shard is closed.
pub fn shard_already_resharded(shard: ShardIndex, stream: &str, account: &str) -> Error {
    invalid_argument(format!(
        "Shard {} in stream {stream} under account {account} has already been merged or split, and thus is not eligible for \
         merging or splitting.",
        shard_id(shard)
    ))
}

/// MergeShards of shards that do not follow each other.
pub fn shards_not_adjacent(shard: ShardIndex, adjacent: ShardIndex, stream: &str, account: &str) -> Error {
    invalid_argument(format!(
        "Shards {} and {} in stream {stream} under account {account} are not an adjacent pair of shards eligible for merging",
        shard_id(shard),
        shard_id(adjacent)
    ))
}

/// UpdateShardCount to more than double.
pub fn shard_count_above_double(open: impl Display, target: impl Display) -> Error {
    limit_exceeded(format!(
        "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: {open}, Target \
         shard count: {target}"
    ))
}

/// UpdateShardCount to less than half.
pub fn shard_count_below_half(open: impl Display, target: impl Display) -> Error {
    limit_exceeded(format!(
        "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: {open}, \
         Target shard count: {target}"
    ))
}

/// UpdateShardCount beyond the limit of shards.
pub fn shard_count_above_limit(limit: impl Display, open: impl Display, target: impl Display) -> Error {
    limit_exceeded(format!(
        "Target shard count or number of open shards cannot be greater than {limit}. Current open shard count: {open}, Target \
         shard count: {target}"
    ))
}

/// Too many UpdateShardCount calls in 24 hours. Our words.
pub fn shard_count_updates_per_day(stream: &str, account: &str, limit: impl Display) -> Error {
    limit_exceeded(format!(
        "Stream {stream} under account {account} has been scaled {limit} times in the last 24 hours, which is the limit."
    ))
}

/// A time as Java prints it: `Fri Mar 15 07:58:30 UTC 2024`. Takes ms since the epoch.
fn java_date(ms: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = ms / 1000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from a March, in eras of 400 years, so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let weekday = WEEKDAYS.get((days % 7) as usize).copied().unwrap_or_default();
    let month = MONTHS.get(month as usize).copied().unwrap_or_default();
    format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

#[cfg(test)]
mod tests;
