use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, I64Deserializer};

use super::*;
use crate::kinesis::{Input, Operation};

/// The request, or the error's text without the position that serde_json adds.
fn decode(operation: Operation, body: &str) -> Result<Input<'_>, String> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    match Input::decode(operation, &mut deserializer) {
        Ok(input) => Ok(input.expect("not null")),
        Err(error) => {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            Err(no_blob(text).unwrap_or_else(|| text.to_owned()))
        }
    }
}

fn assert_refused(operation: Operation, cases: &[(&str, &str)]) {
    for (body, expected) in cases {
        assert_eq!(decode(operation, body).expect_err(body), *expected, "{body}");
    }
}

macro_rules! request {
    ($operation:ident, $body:expr) => {
        match decode(Operation::$operation, $body) {
            Ok(Input::$operation(input)) => input,
            other => panic!("{other:?}"),
        }
    };
}

const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";

#[test]
fn wrong_types_of_scalars_are_refused_in_awss_words() {
    assert_refused(
        Operation::PutRecord,
        &[
            (r#"{"StreamName":true}"#, "class java.lang.Boolean can not be converted to an String"),
            (r#"{"StreamName":23}"#, &format!("{NUMBER} an String")),
            (r#"{"StreamName":2.5}"#, &format!("{NUMBER} an String")),
            (r#"{"StreamName":[]}"#, "Start of list found where not expected"),
            (r#"{"StreamName":{}}"#, "Start of structure or map found where not expected."),
            (r#"{"Data":true}"#, "class java.lang.Boolean can not be converted to a Blob"),
            (r#"{"Data":1}"#, &format!("{NUMBER} a Blob")),
            (r#"{"Data":[]}"#, "Start of list found where not expected"),
            (r#"{"Data":{}}"#, "Start of structure or map found where not expected."),
            (
                r#"{"Data":"A"}"#,
                "'A' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 1",
            ),
            (r#"{"Data":"=AA="}"#, "'=AA=' can not be converted to a Blob: Invalid Base64 character: '='"),
            (
                r#"{"Data":"+H1="}"#,
                "'+H1=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected",
            ),
            (r#"{"DryRun":23}"#, &format!("{NUMBER} an Boolean")),
            (r#"{"DryRun":"maybe"}"#, "'MAYBE' can not be converted to an Boolean"),
            (r#"{"DryRun":[]}"#, "Start of list found where not expected"),
        ],
    );
    assert_refused(
        Operation::CreateStream,
        &[
            (r#"{"ShardCount":"1"}"#, "class java.lang.String can not be converted to an Integer"),
            (r#"{"ShardCount":false}"#, "class java.lang.Boolean can not be converted to an Integer"),
            (r#"{"ShardCount":[1]}"#, "Start of list found where not expected"),
            (r#"{"ShardCount":{"a":1}}"#, "Start of structure or map found where not expected."),
        ],
    );
    assert_refused(
        Operation::GetShardIterator,
        &[
            (r#"{"Timestamp":"now"}"#, "class java.lang.String can not be converted to milliseconds since epoch"),
            (r#"{"Timestamp":true}"#, "class java.lang.Boolean can not be converted to milliseconds since epoch"),
            (r#"{"Timestamp":[]}"#, "Start of list found where not expected"),
            (r#"{"ShardIteratorType":7}"#, &format!("{NUMBER} an String")),
        ],
    );
    let long = serde_json::from_str::<serde_json::Value>("\"7\"").map(<i64 as Decode>::decode);
    assert_eq!(
        long.expect("json").expect_err("a string").to_string(),
        "class java.lang.String can not be converted to an Long"
    );
}

#[test]
fn wrong_types_of_containers_are_refused_in_awss_words() {
    assert_refused(
        Operation::PutRecords,
        &[
            (r#"{"Records":"a"}"#, "Expected list or null"),
            (r#"{"Records":1}"#, "Expected list or null"),
            (r#"{"Records":true}"#, "Expected list or null"),
            (r#"{"Records":{}}"#, "Start of structure or map found where not expected."),
            (r#"{"Records":[[]]}"#, "Start of list found where not expected"),
            (r#"{"Records":["a"]}"#, "Expected null"),
            (r#"{"Records":[{"Data":1.5}]}"#, &format!("{NUMBER} a Blob")),
        ],
    );
    assert_refused(
        Operation::AddTagsToStream,
        &[
            (r#"{"Tags":"a"}"#, "Expected map or null"),
            (r#"{"Tags":1}"#, "Expected map or null"),
            (r#"{"Tags":true}"#, "Expected map or null"),
            (r#"{"Tags":[]}"#, "Start of list found where not expected"),
            (r#"{"Tags":{"a":1}}"#, &format!("{NUMBER} an String")),
        ],
    );
    assert_refused(
        Operation::CreateStream,
        &[
            (r#"{"StreamModeDetails":"ON_DEMAND"}"#, "Expected null"),
            (r#"{"StreamModeDetails":1}"#, "Expected null"),
            (r#"{"StreamModeDetails":[]}"#, "Start of list found where not expected"),
        ],
    );
}

#[test]
fn numbers_are_floored_and_saturate() {
    for (number, expected) in [
        ("5", 5),
        ("5.9", 5),
        ("-1.5", -2),
        ("2147483647", i32::MAX),
        ("2147483648", i32::MAX),
        ("-2147483649", i32::MIN),
        ("18446744073709551615", i32::MAX),
        ("123456789012345678901234567890", i32::MAX),
        ("1e300", i32::MAX),
    ] {
        let body = format!(r#"{{"ShardCount":{number}}}"#);
        assert_eq!(request!(CreateStream, &body).shard_count, Some(expected), "{number}");
    }
}

#[test]
fn booleans_come_as_words_and_fractions_too() {
    for (text, expected) in [
        ("true", true),
        ("false", false),
        ("\"true\"", true),
        ("\"False\"", false),
        ("\"1\"", true),
        ("\"0\"", false),
        ("\"yes\"", true),
        ("\"NO\"", false),
        ("23.5", true),
    ] {
        let body = format!(r#"{{"EnforceConsumerDeletion":{text}}}"#);
        assert_eq!(request!(DeleteStream, &body).enforce_consumer_deletion, Some(expected), "{text}");
    }
}

#[test]
fn timestamps_are_seconds_with_a_fraction() {
    for (text, expected) in [
        ("1459799926", 1_459_799_926_000),
        ("1459799926.480", 1_459_799_926_480),
        ("1506440188.749", 1_506_440_188_749),
        ("0.0009", 1),
        ("-1.5", -1500),
        ("1e300", i64::MAX),
        ("9223372036854775807", i64::MAX),
    ] {
        let body = format!(r#"{{"Timestamp":{text}}}"#);
        assert_eq!(request!(GetShardIterator, &body).timestamp, Some(Timestamp(expected)), "{text}");
    }
}

/// A value of a format that is not for human readers.
struct Binary(&'static [u8]);

impl<'de> Deserializer<'de> for Binary {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn a_format_may_have_milliseconds_and_bytes_of_its_own() {
    let milliseconds: I64Deserializer<ValueError> = 1_787_036_486_712i64.into_deserializer();
    assert_eq!(Timestamp::decode(milliseconds), Ok(Some(Timestamp(1_787_036_486_712))));
    let bytes = Binary(b"\x00\xff");
    let blob = Blob::decode(bytes).expect("bytes are a blob").expect("not null");
    assert_eq!(blob.to_vec(), b"\x00\xff");
}

#[test]
fn null_and_absence_are_the_same() {
    assert_eq!(request!(PutRecord, r#"{"StreamName":null,"Data":null,"DryRun":null}"#), request!(PutRecord, "{}"));
    assert_eq!(
        request!(CreateStream, r#"{"StreamModeDetails":null,"Tags":null,"ShardCount":null}"#),
        request!(CreateStream, "{}")
    );
    assert_eq!(request!(GetShardIterator, r#"{"Timestamp":null}"#).timestamp, None);
    assert_eq!(request!(PutRecords, r#"{"Records":null}"#), request!(PutRecords, "{}"));
    // Within a list, a null is a structure without members: its position counts.
    assert_eq!(request!(PutRecords, r#"{"Records":[null]}"#), request!(PutRecords, r#"{"Records":[{}]}"#));
    let tags = request!(AddTagsToStream, r#"{"Tags":{"a":null}}"#).tags;
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("a".into(), "".into())]);
}

#[test]
fn unknown_members_are_skipped_and_the_last_of_several_counts() {
    let body = r#"{"streamName":"x","More":{"a":[1,{"b":null}]},"StreamName":"a","StreamName":"b"}"#;
    assert_eq!(request!(PutRecord, body).stream_name.as_deref(), Some("b"));
    assert_eq!(request!(PutRecord, r#"{"StreamName":"a","StreamName":null}"#).stream_name, None);
    let sent_then_withdrawn = request!(PutRecord, r#"{"Data":"YQ==","Data":null}"#);
    assert_eq!(sent_then_withdrawn, request!(PutRecord, "{}"));
    assert_eq!(request!(DescribeLimits, r#"{"Any":1}"#), request!(DescribeLimits, "{}"));
}

#[test]
fn strings_are_borrowed_unless_they_have_escapes() {
    let input = request!(PutRecord, r#"{"StreamName":"plain","PartitionKey":"\u00e9\n"}"#);
    assert!(matches!(input.stream_name, Some(Cow::Borrowed("plain"))));
    assert!(matches!(&input.partition_key, Some(Cow::Owned(key)) if key == "é\n"));
    let input = request!(PutRecord, r#"{"Data":"\/\/8=","\u0053treamName":"s"}"#);
    assert_eq!(input.data.to_vec(), [0xff, 0xff]);
    assert_eq!(input.stream_name.as_deref(), Some("s"));
}

#[test]
fn of_endless_lists_and_maps_only_so_much_is_kept() {
    let records = vec!["{}"; 50_000].join(",");
    assert_eq!(request!(PutRecords, &format!(r#"{{"Records":[{records}]}}"#)).records.len(), KEPT);
    assert_refused(Operation::PutRecords, &[(&format!(r#"{{"Records":[{records},1]}}"#), "Expected null")]);
    let records = vec!["{}"; READ + 1].join(",");
    assert_refused(Operation::PutRecords, &[(&format!(r#"{{"Records":[{records}]}}"#), TOO_MANY)]);
    let tags: Vec<String> = (0..50_000).map(|number| format!(r#""{number}":"""#)).collect();
    let body = format!(r#"{{"Tags":{{{},"0":"last"}}}}"#, tags.join(","));
    let input = request!(AddTagsToStream, &body);
    assert_eq!(input.tags.len(), KEPT);
    assert_eq!(input.tags.get("0").map(AsRef::as_ref), Some("last"));
}
