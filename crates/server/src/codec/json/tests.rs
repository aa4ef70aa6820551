use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_api::kinesis::{
    DescribeStreamOutput, GetRecordsOutput, HashKeyRange, Input, Operation, Output, PutRecordOutput, Record,
    SequenceNumberRange, Shard, StreamDescription, StreamMode, StreamModeDetails, StreamStatus,
};
use proptest::prelude::*;

use super::*;
use crate::codec::Format;

fn bare() -> Error {
    Error::bare(ErrorCode::SerializationException)
}

fn encoded(output: &Output) -> String {
    String::from_utf8(Format::Json.encode(output)).expect("JSON is UTF-8")
}

fn written(write: impl FnOnce(&mut JsonEncoder<Vec<u8>>)) -> String {
    let mut encoder = JsonEncoder::new(Vec::new());
    write(&mut encoder);
    String::from_utf8(encoder.into_sink()).expect("JSON is UTF-8")
}

#[test]
fn what_is_no_well_formed_object_is_refused_without_a_word() {
    for body in [
        "",
        " ",
        "hello",
        "true",
        "null",
        "1",
        "\"{}\"",
        "[]",
        "[{}]",
        "{",
        "{}x",
        "{} {}",
        "{'StreamName':'s'}",
        "{\"StreamName\":}",
        "{\"StreamName\":\"\\ud800\"}",
        "{\"StreamName\":\"\n\"}",
        "{\"StreamName\":1,}",
    ] {
        assert_eq!(decode(Operation::DescribeStream, body.as_bytes()), Err(bare()), "{body}");
    }
    assert_eq!(decode(Operation::DescribeStream, b"{\"StreamName\":\"\xff\"}"), Err(bare()));
    // Nor does what is passed over have to be less of a text.
    for body in [&b"{\"More\":\"\xff\"}"[..], b"{\"More\":[{\"\xff\":1}]}", b"{\"\xff\":1}"] {
        assert_eq!(decode(Operation::DescribeStream, body), Err(bare()));
        assert_eq!(check(body), Err(bare()));
    }
    let deep = format!("{{\"StreamName\":{}", "[".repeat(100_000));
    assert_eq!(decode(Operation::DescribeStream, deep.as_bytes()), Err(bare()));
    let deep_but_unknown = format!("{{\"More\":{}", "[".repeat(100_000));
    assert_eq!(decode(Operation::DescribeStream, deep_but_unknown.as_bytes()), Err(bare()));
}

#[test]
fn a_wrong_type_is_reported_only_in_a_well_formed_body() {
    let wrong =
        Error::new(ErrorCode::SerializationException, "class java.lang.Boolean can not be converted to an String");
    assert_eq!(decode(Operation::DescribeStream, b"{\"StreamName\":true}"), Err(wrong));
    assert_eq!(decode(Operation::DescribeStream, b"{\"StreamName\":true"), Err(bare()));
    let value = "x at line 1 column 9";
    let error = decode(Operation::PutRecord, format!("{{\"Data\":\"{value}\"}}").as_bytes()).expect_err("not base64");
    assert_eq!(
        error.message.as_deref(),
        Some("'x at line 1 column 9' can not be converted to a Blob: Invalid Base64 character: ' '")
    );
}

#[test]
fn checking_looks_at_the_form_only() {
    assert_eq!(check(b" \r\n\t{\"StreamName\":true, \"Any\": [1]} "), Ok(()));
    assert_eq!(check(b"{\"StreamName\":"), Err(bare()));
    assert_eq!(check(b"[]"), Err(bare()));
    assert_eq!(check(b""), Err(bare()));
}

#[test]
fn requests_borrow_from_the_body() {
    let body = br#"{"Records":[{"Data":"YWJj","PartitionKey":"a"},{"Data":"","PartitionKey":"b"}],"StreamName":"s"}"#;
    let Ok(Input::PutRecords(input)) = decode(Operation::PutRecords, body) else { panic!("decodes") };
    assert_eq!(input.stream_name.as_deref(), Some("s"));
    assert_eq!(input.records.len(), 2);
    assert_eq!(input.records[0].data.to_vec(), b"abc");
    assert_eq!(input.records[1].partition_key.as_deref(), Some("b"));
}

#[test]
fn answers_without_output_have_no_body() {
    assert_eq!(encoded(&Output::CreateStream), "");
}

#[test]
fn answers_are_compact_and_leave_out_what_is_absent() {
    let put = PutRecordOutput { shard_id: "shardId-0".into(), sequence_number: "49".into(), encryption_type: None };
    assert_eq!(encoded(&Output::PutRecord(put)), r#"{"ShardId":"shardId-0","SequenceNumber":"49"}"#);

    let get = GetRecordsOutput {
        records: vec![Record {
            sequence_number: "49".into(),
            approximate_arrival_timestamp: Some(Timestamp(1_506_440_188_749)),
            data: Bytes::from_static(b"\xff\xfe"),
            partition_key: Some("k\"\\\u{1}é".into()),
            encryption_type: None,
        }],
        next_shard_iterator: None,
        millis_behind_latest: Some(0),
        child_shards: None,
    };
    assert_eq!(
        encoded(&Output::GetRecords(get)),
        "{\"Records\":[{\"SequenceNumber\":\"49\",\"ApproximateArrivalTimestamp\":1506440188.749,\
         \"Data\":\"//4=\",\"PartitionKey\":\"k\\\"\\\\\\u0001é\"}],\"MillisBehindLatest\":0}"
    );
}

#[test]
fn nested_answers_close_what_they_open() {
    let shard = Shard {
        shard_id: "shardId-000000000000".into(),
        hash_key_range: HashKeyRange { starting_hash_key: "0".into(), ending_hash_key: "1".into() },
        sequence_number_range: SequenceNumberRange { starting_sequence_number: "2".into(), ..Default::default() },
        ..Shard::default()
    };
    let description = StreamDescription {
        stream_name: "s".into(),
        stream_arn: "arn".into(),
        stream_status: StreamStatus::Active,
        stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::OnDemand, ..Default::default() }),
        shards: vec![shard.clone(), shard],
        retention_period_hours: 24,
        stream_creation_timestamp: Timestamp(1_600_000_000_000),
        ..StreamDescription::default()
    };
    let shard = "{\"ShardId\":\"shardId-000000000000\",\"HashKeyRange\":{\"StartingHashKey\":\"0\",\
                 \"EndingHashKey\":\"1\"},\"SequenceNumberRange\":{\"StartingSequenceNumber\":\"2\"}}";
    assert_eq!(
        encoded(&Output::DescribeStream(DescribeStreamOutput { stream_description: description })),
        format!(
            "{{\"StreamDescription\":{{\"StreamName\":\"s\",\"StreamARN\":\"arn\",\"StreamStatus\":\"ACTIVE\",\
             \"StreamModeDetails\":{{\"StreamMode\":\"ON_DEMAND\"}},\"Shards\":[{shard},{shard}],\
             \"HasMoreShards\":false,\"RetentionPeriodHours\":24,\"StreamCreationTimestamp\":1600000000,\
             \"EnhancedMonitoring\":[]}}}}"
        )
    );
}

#[test]
fn maps_are_objects() {
    let text = written(|encoder| {
        encoder.begin_map(2);
        for (key, value) in [("a\n", "1"), ("b", "2")] {
            encoder.key(key);
            encoder.string(value);
        }
        encoder.end_map();
    });
    assert_eq!(text, "{\"a\\n\":\"1\",\"b\":\"2\"}");
}

#[test]
fn timestamps_are_plain_decimals() {
    for (milliseconds, expected) in [
        (0, "0"),
        (1, "0.001"),
        (1_600_000_000_000, "1600000000"),
        (1_600_000_000_500, "1600000000.5"),
        (1_506_440_188_749, "1506440188.749"),
        (1_506_440_188_740, "1506440188.74"),
        (-1, "-0.001"),
        (-1500, "-1.5"),
        (i64::MIN, "-9223372036854775.808"),
    ] {
        assert_eq!(written(|encoder| encoder.timestamp(Timestamp(milliseconds))), expected);
    }
}

#[test]
fn an_errors_message_has_awss_key() {
    let body = |error: &Error| String::from_utf8(Format::Json.encode_error(error)).expect("JSON is UTF-8");
    let error = |code| body(&Error::new(code, "why \"so\""));
    assert_eq!(
        error(ErrorCode::ResourceNotFoundException),
        r#"{"__type":"ResourceNotFoundException","message":"why \"so\""}"#
    );
    assert_eq!(
        error(ErrorCode::SerializationException),
        r#"{"__type":"SerializationException","Message":"why \"so\""}"#
    );
    assert_eq!(body(&bare()), r#"{"__type":"SerializationException"}"#);
}

proptest! {
    #[test]
    fn strings_and_blobs_survive(texts in proptest::collection::vec(any::<String>(), 0..5), bytes in any::<Vec<u8>>()) {
        let text = written(|encoder| {
            encoder.begin_structure();
            encoder.member("Texts");
            encoder.begin_list(texts.len());
            for text in &texts {
                encoder.element();
                encoder.string(text);
            }
            encoder.end_list();
            encoder.member("Bytes");
            encoder.blob(&bytes);
            encoder.end_structure();
        });
        let read: serde_json::Value = serde_json::from_str(&text).expect("well-formed");
        prop_assert_eq!(&read["Texts"], &serde_json::json!(texts));
        prop_assert_eq!(&read["Bytes"], &serde_json::json!(STANDARD.encode_to_string(&bytes)));
    }

    #[test]
    fn no_body_brings_the_decoder_down(body in "[{}\\[\\]\":,a-zS0-9=\\\\ ]{0,60}") {
        for operation in [Operation::PutRecords, Operation::AddTagsToStream, Operation::GetShardIterator] {
            if let Ok(input) = decode(operation, body.as_bytes()) {
                let _ = input.validate();
            }
        }
    }

    #[test]
    fn an_answer_is_about_as_long_as_it_was_measured(keys in proptest::collection::vec("[a-z]{0,40}", 0..20)) {
        let records = keys.into_iter().map(|key| Record {
            sequence_number: "49".into(),
            approximate_arrival_timestamp: Some(Timestamp(1_506_440_188_749)),
            data: Bytes::from(key.clone()),
            partition_key: Some(key),
            encryption_type: None,
        });
        let output = Output::GetRecords(GetRecordsOutput { records: records.collect(), ..Default::default() });
        let body = Format::Json.encode(&output);
        prop_assert!(body.len() <= Format::Json.measure(&crate::codec::Whole(&output)));
    }
}
