use super::*;
use crate::resolve::ConsumerAddress;

fn message(error: Error) -> String {
    error.message.expect("a message")
}

#[test]
fn dates_are_javas() {
    assert_eq!(java_date(1_710_489_510_999), "Fri Mar 15 07:58:30 UTC 2024");
    assert_eq!(java_date(0), "Thu Jan 01 00:00:00 UTC 1970");
    assert_eq!(java_date(951_782_400_000), "Tue Feb 29 00:00:00 UTC 2000");
    assert_eq!(java_date(1_709_251_199_000), "Thu Feb 29 23:59:59 UTC 2024");
    assert_eq!(java_date(4_107_542_400_000), "Mon Mar 01 00:00:00 UTC 2100");
    assert_eq!(java_date(1_735_689_599_000), "Tue Dec 31 23:59:59 UTC 2024");
}

#[test]
fn texts_about_consumers_are_awss_to_the_byte() {
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/s/consumer/c:1774401121";
    let consumer = ConsumerAddress::from_arn(arn).expect("an ARN");
    assert_eq!(
        message(consumer_not_found(&consumer)),
        "Consumer c with creation timestamp 1774401121 under stream: s, account 123456789012 not found."
    );
    assert_eq!(
        message(consumer_not_active(&consumer)),
        "Consumer c with creation timestamp 1774401121 under stream: s , account 123456789012 is not in ACTIVE status."
    );
    assert_eq!(
        message(subscription_exists(&consumer, 7)),
        "Another active subscription exists for this consumer: 123456789012:s:shardId-000000000007:c"
    );
    assert_eq!(
        message(stream_has_consumers("s", "123456789012")),
        "DeleteStream can’t delete 123456789012:s because there are consumers associated with this data stream. To delete s anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers that are associated with it."
    );
}

/// Long texts are written over several lines in the source: no blank may be lost or added.
#[test]
fn texts_are_awss_to_the_byte() {
    assert_eq!(
        message(shard_limit("123456789012", "us-east-1", 3, 4, 2)),
        "This request would exceed the shard limit for the account 123456789012 in us-east-1. Current shard count for the account: 3. Limit: 4. Number of additional shards that would have resulted from this request: 2. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits."
    );
    assert_eq!(
        message(too_many_in_transition("1", 5)),
        "This request would have exceed the limit on the number  of streams that can simultaneously be in CREATING or DELETING for the account 1. Limit: 5."
    );
    assert_eq!(
        message(retention_not_higher("s", 24, 48)),
        "Requested retention period (24 hours) for stream s can not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API."
    );
    assert_eq!(
        message(retention_not_lower("s", 48, 24)),
        "Requested retention period (48 hours) for stream s can not be longer than existing retention period (24 hours). Use IncreaseRetentionPeriod API."
    );
    assert_eq!(
        message(add_tags_with_illegal_characters("s", "1")),
        "Failed to add tags to stream s under account 1 because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'."
    );
    assert_eq!(
        message(remove_tags_with_illegal_characters("s", "1")),
        "Failed to remove tags from stream s under account 1 because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'."
    );
    assert_eq!(
        message(too_many_tags("s", "1")),
        "Failed to add tags to stream s under account 1 because a given stream cannot have more than 10 tags associated with it."
    );
    assert_eq!(
        message(split_out_of_range("1", 0, "s", "1", 0, 9)),
        "NewStartingHashKey 1 used in SplitShard() on shard shardId-000000000000 in stream s under account 1 is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey 9."
    );
    assert_eq!(
        message(shard_already_resharded(0, "s", "1")),
        "Shard shardId-000000000000 in stream s under account 1 has already been merged or split, and thus is not eligible for merging or splitting."
    );
    assert_eq!(
        message(shards_not_adjacent(0, 2, "s", "1")),
        "Shards shardId-000000000000 and shardId-000000000002 in stream s under account 1 are not an adjacent pair of shards eligible for merging"
    );
    assert_eq!(
        message(shard_count_above_double(1, 4)),
        "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 1, Target shard count: 4"
    );
    assert_eq!(
        message(shard_count_below_half(4, 1)),
        "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 4, Target shard count: 1"
    );
    assert_eq!(
        message(shard_count_above_limit(10, 6, 12)),
        "Target shard count or number of open shards cannot be greater than 10. Current open shard count: 6, Target shard count: 12"
    );
}

#[test]
fn texts_of_the_data_plane_are_awss_to_the_byte() {
    assert_eq!(
        message(record_too_large(1_048_576)),
        "1 validation error detected: Value at 'data' failed to satisfy constraint: Member must have length less than or equal to 1048576"
    );
    assert_eq!(
        message(nth_record_too_large(0, 1_048_576)),
        "1 validation error detected: Value at 'records.1.member.data' failed to satisfy constraint: Member must have length less than or equal to 1048576"
    );
    assert_eq!(
        message(invalid_ordering_number("5", "s", "1")),
        "ExclusiveMinimumSequenceNumber 5 used in PutRecord on stream s under account 1 is invalid."
    );
    assert_eq!(message(records_too_large(10 << 20)), "Records size exceeds 10 MB limit");
    assert_eq!(
        message(starting_number_missing("AT_SEQUENCE_NUMBER")),
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber."
    );
    assert_eq!(
        message(starting_number_not_wanted("LATEST")),
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified LATEST and also a StartingSequenceNumber."
    );
    assert_eq!(
        message(timestamp_in_future(9, 8)),
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: 9, currentTimestampInMillis: 8"
    );
    assert_eq!(
        message(invalid_starting_number("7", "GetShardIterator", 0, "s", "1")),
        "StartingSequenceNumber 7 used in GetShardIterator on shard shardId-000000000000 in stream s under account 1 is invalid."
    );
    assert_eq!(
        message(foreign_starting_number("7", "GetShardIterator", 0, "s", "1")),
        "StartingSequenceNumber 7 used in GetShardIterator on shard shardId-000000000000 in stream s under account 1 is invalid because it did not come from this stream."
    );
    assert_eq!(
        message(starting_number_of_other_shard(i32::MIN, 0)),
        "Invalid StartingSequenceNumber. It encodes shardId--02147483648, while it was used in a call to a shard with shardId-000000000000"
    );
    assert_eq!(
        message(expired_iterator(1_710_489_510_000, 1_710_489_811_000)),
        "Iterator expired. The iterator was created at time Fri Mar 15 07:58:30 UTC 2024 while right now it is Fri Mar 15 08:03:31 UTC 2024 which is further in the future than the tolerated delay of 300000 milliseconds."
    );
    assert_eq!(
        message(shard_rate_exceeded(12, "s", "1")),
        "Rate exceeded for shard shardId-000000000012 in stream s under account 1."
    );
    assert_eq!(ancient_starting_number(), Error::bare(ErrorCode::InternalFailure));
}
