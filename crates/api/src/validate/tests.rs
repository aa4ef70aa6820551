use crate::ErrorCode;
use crate::kinesis::{Input, Operation};

/// The violations that the request's answer lists, without the common words around them.
fn violations(operation: Operation, body: &str) -> Vec<String> {
    let input = Input::decode(operation, &mut serde_json::Deserializer::from_str(body));
    let input = input.expect("well-formed").expect("not null");
    let Err(error) = input.validate() else { return Vec::new() };
    assert_eq!(error.code, ErrorCode::ValidationException);
    let message = error.message.expect("validation always says why");
    let (head, list) = message.split_once(" detected: ").expect("the list follows");
    let list: Vec<String> = list.split("; ").map(str::to_owned).collect();
    let expected =
        if list.len() == 1 { "1 validation error".to_owned() } else { format!("{} validation errors", list.len()) };
    assert_eq!(head, expected);
    list
}

/// Asserts that the request is refused for exactly these reasons, each as `value at path: constraint`.
fn assert_violations(operation: Operation, body: &str, expected: &[(&str, &str)]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|(subject, constraint)| format!("Value {subject} failed to satisfy constraint: Member must {constraint}"))
        .collect();
    assert_eq!(violations(operation, body), expected, "{body}");
}

const NAME: &str = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";

#[test]
fn the_message_has_awss_grammar() {
    let input = Input::decode(Operation::MergeShards, &mut serde_json::Deserializer::from_str("{}"));
    let error = input.expect("well-formed").expect("not null").validate().expect_err("two members are missing");
    assert_eq!(
        error.message.as_deref(),
        Some(
            "2 validation errors detected: \
             Value null at 'shardToMerge' failed to satisfy constraint: Member must not be null; \
             Value null at 'adjacentShardToMerge' failed to satisfy constraint: Member must not be null"
        )
    );
    let input = Input::decode(Operation::CreateStream, &mut serde_json::Deserializer::from_str("{}"));
    let error = input.expect("well-formed").expect("not null").validate().expect_err("a member is missing");
    assert_eq!(
        error.message.as_deref(),
        Some(
            "1 validation error detected: \
             Value null at 'streamName' failed to satisfy constraint: Member must not be null"
        )
    );
}

#[test]
fn strings_have_a_pattern_and_then_a_length() {
    assert_violations(
        Operation::DescribeStream,
        r#"{"StreamName":""}"#,
        &[("'' at 'streamName'", NAME), ("'' at 'streamName'", "have length greater than or equal to 1")],
    );
    let long = "a".repeat(129);
    assert_violations(
        Operation::DescribeStream,
        &format!(r#"{{"StreamName":"{long}"}}"#),
        &[(&format!("'{long}' at 'streamName'"), "have length less than or equal to 128")],
    );
    assert_violations(
        Operation::SplitShard,
        r#"{"StreamName":"s","ShardToSplit":"a b","NewStartingHashKey":"007"}"#,
        &[
            ("'a b' at 'shardToSplit'", NAME),
            ("'007' at 'newStartingHashKey'", r"satisfy regular expression pattern: 0|([1-9]\d{0,38})"),
        ],
    );
    assert_violations(
        Operation::PutRecord,
        r#"{"Data":"","PartitionKey":"k","SequenceNumberForOrdering":"-1","StreamARN":"arn:aws:kinesis:r:1:stream/s"}"#,
        &[
            ("'-1' at 'sequenceNumberForOrdering'", r"satisfy regular expression pattern: 0|([1-9]\d{0,128})"),
            (
                "'arn:aws:kinesis:r:1:stream/s' at 'streamARN'",
                r"satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
            ),
        ],
    );
}

#[test]
fn patterns_match_the_whole_value_and_ascii_digits() {
    for (stream, arn) in [
        ("s\\n", "arn:aws:kinesis:us-east-1:123456789012:stream/s"),
        ("é", "arn:aws:kinesis:us-east-1:123456789012:stream/s"),
        ("s", "arn:aws:kinesis:us-east-1:12345678901٢:stream/s"),
        ("s", "arn:aws:kinesis:us-east-1:123456789012:stream/s s"),
        ("s", " arn:aws:kinesis:us-east-1:123456789012:stream/s"),
    ] {
        let body = format!(r#"{{"StreamName":"{stream}","StreamARN":"{arn}"}}"#);
        assert_eq!(violations(Operation::DescribeStream, &body).len(), 1, "{body}");
    }
    let body = r#"{"StreamName":"a.B-c_9","StreamARN":"arn:aws-cn:kinesis:cn-north-1:123456789012:stream/s"}"#;
    assert!(violations(Operation::DescribeStream, body).is_empty());
    let consumer = "arn:aws:kinesis:us-east-1:123456789012:stream/s/consumer/c:1459799926";
    assert!(violations(Operation::DescribeStreamConsumer, &format!(r#"{{"ConsumerARN":"{consumer}"}}"#)).is_empty());
}

#[test]
fn lengths_count_utf16_units() {
    // 128 of these are 256 units, and 512 bytes.
    let fits = "😀".repeat(128);
    assert!(violations(Operation::PutRecord, &format!(r#"{{"Data":"","PartitionKey":"{fits}"}}"#)).is_empty());
    let long = format!("{fits}é");
    assert_violations(
        Operation::PutRecord,
        &format!(r#"{{"Data":"","PartitionKey":"{long}"}}"#),
        &[(&format!("'{long}' at 'partitionKey'"), "have length less than or equal to 256")],
    );
}

#[test]
fn numbers_have_a_range() {
    for (operation, body, value, path, constraint) in [
        (
            Operation::GetRecords,
            r#"{"ShardIterator":"i","Limit":100000}"#,
            "100000",
            "limit",
            "less than or equal to 10000",
        ),
        (Operation::GetRecords, r#"{"ShardIterator":"i","Limit":0}"#, "0", "limit", "greater than or equal to 1"),
        (
            Operation::CreateStream,
            r#"{"StreamName":"s","ShardCount":0}"#,
            "0",
            "shardCount",
            "greater than or equal to 1",
        ),
        (
            Operation::CreateStream,
            r#"{"StreamName":"s","ShardCount":1e12}"#,
            "2147483647",
            "shardCount",
            "less than or equal to 100000",
        ),
        (
            Operation::UpdateShardCount,
            r#"{"StreamName":"s","ScalingType":"UNIFORM_SCALING","TargetShardCount":100001}"#,
            "100001",
            "targetShardCount",
            "less than or equal to 100000",
        ),
        (
            Operation::IncreaseStreamRetentionPeriod,
            r#"{"StreamName":"s","RetentionPeriodHours":-1}"#,
            "-1",
            "retentionPeriodHours",
            "greater than or equal to 1",
        ),
    ] {
        let subject = format!("'{value}' at '{path}'");
        assert_violations(operation, body, &[(&subject, &format!("have value {constraint}"))]);
    }
}

#[test]
fn enumerations_list_their_values() {
    assert_violations(
        Operation::GetShardIterator,
        r#"{"StreamName":"s","ShardId":"0","ShardIteratorType":"x"}"#,
        &[(
            "'x' at 'shardIteratorType'",
            "satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
        )],
    );
    assert_violations(
        Operation::UpdateShardCount,
        r#"{"StreamName":"s","TargetShardCount":1,"ScalingType":""}"#,
        &[("'' at 'scalingType'", "satisfy enum value set: [UNIFORM_SCALING]")],
    );
}

#[test]
fn missing_members_are_found_within_structures() {
    assert_violations(
        Operation::CreateStream,
        r#"{"StreamName":"s","StreamModeDetails":{}}"#,
        &[("null at 'streamModeDetails.streamMode'", "not be null")],
    );
    assert_violations(
        Operation::PutRecord,
        r#"{"PartitionKey":""}"#,
        &[("null at 'data'", "not be null"), ("'' at 'partitionKey'", "have length greater than or equal to 1")],
    );
}

#[test]
fn blobs_and_lists_of_structures_are_not_shown() {
    assert_violations(
        Operation::PutRecords,
        r#"{"Records":[]}"#,
        &[("at 'records'", "have length greater than or equal to 1")],
    );
    assert_violations(
        Operation::PutRecords,
        r#"{"Records":[{"Data":"","PartitionKey":"k"},{"PartitionKey":"","ExplicitHashKey":"x"}]}"#,
        &[
            ("null at 'records.2.member.data'", "not be null"),
            ("'x' at 'records.2.member.explicitHashKey'", r"satisfy regular expression pattern: 0|([1-9]\d{0,38})"),
            ("'' at 'records.2.member.partitionKey'", "have length greater than or equal to 1"),
        ],
    );
    let data = base64_simd::STANDARD.encode_to_string(vec![0; 10_485_761]);
    assert_violations(
        Operation::PutRecord,
        &format!(r#"{{"Data":"{data}","PartitionKey":"k"}}"#),
        &[("at 'data'", "have length less than or equal to 10485760")],
    );
}

#[test]
fn at_most_ten_violations_are_reported() {
    let records = vec![r#"{"Data":"","PartitionKey":""}"#; 501].join(",");
    let found = violations(Operation::PutRecords, &format!(r#"{{"StreamName":"s","Records":[{records}]}}"#));
    assert_eq!(found.len(), 10);
    assert_eq!(
        found[0],
        "Value at 'records' failed to satisfy constraint: Member must have length less than or equal to 500"
    );
    assert_eq!(
        found[9],
        "Value '' at 'records.9.member.partitionKey' failed to satisfy constraint: \
         Member must have length greater than or equal to 1"
    );
}

#[test]
fn lists_of_scalars_are_reported_whole() {
    assert_violations(
        Operation::RemoveTagsFromStream,
        r#"{"StreamName":"s","TagKeys":[]}"#,
        &[("'[]' at 'tagKeys'", "have length greater than or equal to 1")],
    );
    assert_violations(
        Operation::RemoveTagsFromStream,
        r#"{"StreamName":"s","TagKeys":["a","","b"]}"#,
        &[(
            "'[a, , b]' at 'tagKeys'",
            "satisfy constraint: [Member must have length less than or equal to 128, \
             Member must have length greater than or equal to 1]",
        )],
    );
    assert_violations(
        Operation::EnableEnhancedMonitoring,
        r#"{"StreamName":"s","ShardLevelMetrics":["IncomingBytes","x"]}"#,
        &[(
            "'[IncomingBytes, x]' at 'shardLevelMetrics'",
            "satisfy constraint: [Member must satisfy enum value set: [IncomingBytes, IncomingRecords, OutgoingBytes, \
             OutgoingRecords, WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, \
             IteratorAgeMilliseconds, ALL]]",
        )],
    );
}

#[test]
fn maps_are_reported_whole_in_javas_order() {
    assert_violations(
        Operation::AddTagsToStream,
        r#"{"StreamName":"s","Tags":{}}"#,
        &[("'{}' at 'tags'", "have length greater than or equal to 1")],
    );
    let long = "v".repeat(257);
    let body = format!(r#"{{"StreamName":"s","Tags":{{"zebra":"{long}","":"b","apple":"c","Stage":"d"}}}}"#);
    // The buckets, of 16: "" and "zebra" 0, "apple" 1, "Stage" 9.
    let shown = format!("{{=b, zebra={long}, apple=c, Stage=d}}");
    assert_eq!(
        violations(Operation::AddTagsToStream, &body),
        [
            format!(
                "Value '{shown}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: \
                 [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"
            ),
            format!(
                "Value '{shown}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: \
                 [Member must have length less than or equal to 256, Member must have length greater than or equal to 0]"
            ),
        ]
    );
}

#[test]
fn long_values_are_cut() {
    let fits = "a".repeat(1024);
    assert_violations(
        Operation::DescribeStream,
        &format!(r#"{{"StreamName":"{fits}"}}"#),
        &[(&format!("'{fits}' at 'streamName'"), "have length less than or equal to 128")],
    );
    // Characters, not bytes; both violations are cut.
    let (long, head) = ("é".repeat(1_000_000), "é".repeat(1024));
    let shown = format!("'{head}...' at 'streamName'");
    assert_violations(
        Operation::DescribeStream,
        &format!(r#"{{"StreamName":"{long}"}}"#),
        &[(&shown, NAME), (&shown, "have length less than or equal to 128")],
    );
    let scaling = format!(r#"{{"StreamName":"s","TargetShardCount":1,"ScalingType":"{long}"}}"#);
    let keys = format!(r#"{{"StreamName":"s","TagKeys":["a","{long}"]}}"#);
    let tags = format!(r#"{{"StreamName":"s","Tags":{{"a":"{long}"}}}}"#);
    for (operation, body, cut) in [
        (Operation::UpdateShardCount, scaling, format!("'{head}...' at 'scalingType'")),
        (Operation::RemoveTagsFromStream, keys, format!("'[a, {}...' at 'tagKeys'", "é".repeat(1020))),
        (Operation::AddTagsToStream, tags, format!("'{{a={}...' at 'tags'", "é".repeat(1021))),
    ] {
        let found = violations(operation, &body);
        assert!(found.len() == 1 && found[0].contains(&cut), "{}", found.join("\n").len());
    }
}
