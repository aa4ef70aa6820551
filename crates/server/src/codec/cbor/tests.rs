use bytes::Bytes;
use millstream_api::kinesis::{
    AddTagsToStreamInput, GetRecordsOutput, Input, Operation, Output, PutRecordOutput, Record, ShardIteratorType,
};
use proptest::prelude::*;

use super::*;
use crate::codec::Format;

fn bare() -> Error {
    Error::bare(ErrorCode::SerializationException)
}

fn wrong(text: &str) -> Error {
    Error::new(ErrorCode::SerializationException, text)
}

fn written(write: impl FnOnce(&mut CborEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = CborEncoder::new(Vec::new());
    write(&mut encoder);
    encoder.into_sink()
}

/// Bytes of items in a row: texts stand for themselves with their heads, everything else is given as bytes.
enum Part<'a> {
    Text(&'a str),
    Raw(&'a [u8]),
}

use Part::{Raw, Text};

fn cbor(parts: &[Part<'_>]) -> Vec<u8> {
    written(|encoder| {
        for part in parts {
            match part {
                Text(text) => encoder.string(text),
                Raw(bytes) => encoder.out.extend_from_slice(bytes),
            }
        }
    })
}

const MAP_OF_ONE: &[u8] = &[0xa1];
const MAP: &[u8] = &[0xbf];
const LIST: &[u8] = &[0x9f];
const END: &[u8] = &[0xff];

/// A map with one member.
fn member(name: &str, value: &[u8]) -> Vec<u8> {
    cbor(&[Raw(MAP_OF_ONE), Text(name), Raw(value)])
}

#[test]
fn a_body_of_countless_items_is_refused_early() {
    let passed_over = |items: usize| member("Other", &[LIST, &vec![0xf6; items], END].concat());
    assert!(decode(Operation::ListStreams, &passed_over(reader::ITEMS - 10)).is_ok());
    assert_eq!(decode(Operation::ListStreams, &passed_over(reader::ITEMS)).err(), Some(bare()));
}

#[test]
fn what_is_no_well_formed_map_is_refused_without_a_word() {
    let name = cbor(&[Text("StreamName")]);
    let with = |head: &[u8], tail: &[u8]| [head, &name, tail].concat();
    for body in [
        b"".to_vec(),
        vec![0xf5],
        vec![0xf6],
        vec![0x01],
        vec![0x80],
        vec![0x81, 0xa0],
        cbor(&[Text("{}")]),
        vec![0xa1],
        vec![0xbf],
        vec![0xa0, 0xa0],
        vec![0xa0, 0xff],
        vec![0xff],
        vec![0xc1],
        with(b"\xa1", b""),
        with(b"\xa1", b"\x63ab"),
        with(b"\xa1", b"\xff"),
        with(b"\xbf", b"\x61s"),
        with(b"\xbf", b"\xff"),
        // Not UTF-8.
        with(b"\xa1", b"\x61\xff"),
        // A text of pieces that are not texts.
        with(b"\xa1", b"\x7f\x41a\xff"),
        // A key that is no text.
        vec![0xa1, 0x01, 0x01],
        // Reserved heads and an unassigned simple value.
        with(b"\xa1", b"\x1c"),
        with(b"\xa1", b"\x5d"),
        with(b"\xa1", b"\xe0"),
        with(b"\xa1", b"\xf8\x20"),
        // Cut off within a number.
        with(b"\xa1", b"\x19\x01"),
        with(b"\xa1", b"\x39"),
        with(b"\xa1", b"\xf9\x01"),
        with(b"\xa1", b"\xfb\x01"),
    ] {
        assert_eq!(decode(Operation::DescribeStream, &body), Err(bare()), "{body:02x?}");
        assert_eq!(check(&body), Err(bare()), "{body:02x?}");
    }
}

#[test]
fn deep_nesting_and_huge_lengths_are_refused() {
    for (open, name) in [(0x81, "StreamName"), (0x9f, "More"), (0xc1, "StreamName"), (0xc1, "More")] {
        let deep = member(name, &vec![open; 1_000_000]);
        assert_eq!(decode(Operation::DescribeStream, &deep), Err(bare()), "{open:x}");
        assert_eq!(check(&deep), Err(bare()), "{open:x}");
    }
    let maps = member("More", &cbor(&[Raw(MAP_OF_ONE), Text("a")]).repeat(100_000));
    assert_eq!(decode(Operation::DescribeStream, &maps), Err(bare()));
    for head in [0x9b, 0xbb, 0x5b, 0x7b] {
        let huge = [&[head][..], &[0xff; 8]].concat();
        for name in ["Records", "StreamName", "More"] {
            assert_eq!(decode(Operation::PutRecords, &member(name, &huge)), Err(bare()), "{name} {head:x}");
        }
        assert_eq!(check(&huge), Err(bare()), "{head:x}");
    }
}

#[test]
fn a_wrong_type_is_reported_only_in_a_well_formed_body() {
    let boolean = member("StreamName", &[0xf5]);
    let expected = wrong("class java.lang.Boolean can not be converted to an String");
    assert_eq!(decode(Operation::DescribeStream, &boolean), Err(expected));
    assert_eq!(check(&boolean), Ok(()));
    assert_eq!(decode(Operation::DescribeStream, &[boolean, vec![0]].concat()), Err(bare()));
    for (operation, name, value, text) in [
        (Operation::DescribeStream, "StreamName", &b"\x80"[..], "Start of list found where not expected"),
        (Operation::DescribeStream, "StreamName", b"\xbf\xff", "Start of structure or map found where not expected."),
        (
            Operation::DescribeStream,
            "StreamName",
            b"\x41a",
            "class java.nio.HeapByteBuffer can not be converted to an String",
        ),
        (Operation::DescribeStream, "Limit", b"\x61a", "class java.lang.String can not be converted to an Integer"),
        (Operation::PutRecords, "Records", b"\x61a", "Expected list or null"),
        (Operation::AddTagsToStream, "Tags", b"\x01", "Expected map or null"),
        (Operation::PutRecord, "Data", b"\xf4", "class java.lang.Boolean can not be converted to a Blob"),
        (
            Operation::GetShardIterator,
            "Timestamp",
            b"\xc1\x61a",
            "class java.lang.String can not be converted to milliseconds since epoch",
        ),
    ] {
        assert_eq!(decode(operation, &member(name, value)), Err(wrong(text)), "{name} {value:02x?}");
    }
}

#[test]
fn what_came_in_one_piece_is_borrowed() {
    let body = cbor(&[
        Raw(MAP),
        Text("Records"),
        Raw(b"\x82\xa2"),
        Text("Data"),
        Raw(b"\x43abc"),
        Text("PartitionKey"),
        Text("a"),
        Raw(MAP),
        Text("Data"),
        Raw(b"\x5f\x42ab\x41c\xff"),
        Text("PartitionKey"),
        Raw(b"\x7f\x61a\x60\x61b\xff"),
        Raw(END),
        Text("StreamName"),
        Text("s"),
        Raw(END),
    ]);
    let Ok(Input::PutRecords(input)) = decode(Operation::PutRecords, &body) else { panic!("decodes") };
    assert!(matches!(input.stream_name, Some(std::borrow::Cow::Borrowed("s"))));
    assert_eq!(input.records.len(), 2);
    assert_eq!((input.records[0].data.to_vec(), input.records[1].data.to_vec()), (b"abc".to_vec(), b"abc".to_vec()));
    assert!(matches!(input.records[0].partition_key, Some(std::borrow::Cow::Borrowed("a"))));
    assert_eq!(input.records[1].partition_key.as_deref(), Some("ab"));
}

#[test]
fn nothing_comes_in_several_forms() {
    for nothing in [&b"\xf6"[..], b"\xf7", b"\xc1\xf6"] {
        let body = member("Limit", nothing);
        let Ok(Input::DescribeStream(input)) = decode(Operation::DescribeStream, &body) else { panic!("decodes") };
        assert_eq!(input.limit, None);
        let body = member("Timestamp", nothing);
        let Ok(Input::GetShardIterator(input)) = decode(Operation::GetShardIterator, &body) else { panic!("decodes") };
        assert_eq!(input.timestamp, None);
    }
}

#[test]
fn integers_come_in_any_width() {
    for (value, expected) in [
        (&b"\x05"[..], 5),
        (b"\x1b\0\0\0\0\0\0\0\x05", 5),
        (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", i32::MAX),
        (b"\x20", -1),
        (b"\x39\x01\x00", -257),
        (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", i32::MIN),
        (b"\xf9\x3e\x00", 1),
        (b"\xf9\x7c\x00", i32::MAX),
        (b"\xf9\x7e\x00", 0),
        (b"\xf9\xfc\x00", i32::MIN),
        (b"\xf9\x00\x01", 0),
        (b"\xf9\xc2\x00", -3),
        (b"\xfa\x40\x60\x00\x00", 3),
        (b"\xfb\x40\x0c\0\0\0\0\0\0", 3),
        (b"\xd9\xd9\xf7\x07", 7),
    ] {
        let body = member("Limit", value);
        let Ok(Input::DescribeStream(input)) = decode(Operation::DescribeStream, &body) else {
            panic!("{value:02x?} decodes");
        };
        assert_eq!(input.limit, Some(expected), "{value:02x?}");
    }
}

#[test]
fn timestamps_are_milliseconds_however_they_are_written() {
    for (value, expected) in [
        (&b"\xc1\x1b\x00\x00\x01\xa0\x13\xac\xcc\x38"[..], 1_787_036_486_712),
        (b"\x1b\x00\x00\x01\xa0\x13\xac\xcc\x38", 1_787_036_486_712),
        (b"\xc1\x20", -1),
        (b"\xc1\xf9\x3e\x00", 2),
        (b"\xc1\xfb\x40\x8f\x40\0\0\0\0\0", 1000),
        (b"\xc1\xfb\x7f\xf0\0\0\0\0\0\0", i64::MAX),
        (b"\xc1\x1b\xff\xff\xff\xff\xff\xff\xff\xff", i64::MAX),
    ] {
        let body = cbor(&[
            Raw(b"\xbf"),
            Text("Timestamp"),
            Raw(value),
            Text("ShardIteratorType"),
            Text("AT_TIMESTAMP"),
            Raw(END),
        ]);
        let Ok(Input::GetShardIterator(input)) = decode(Operation::GetShardIterator, &body) else { panic!("decodes") };
        assert_eq!(input.timestamp, Some(Timestamp(expected)), "{value:02x?}");
        assert_eq!(input.shard_iterator_type, ShardIteratorType::AtTimestamp);
    }
}

#[test]
fn unknown_members_are_passed_over() {
    let body = cbor(&[
        Raw(MAP),
        Text("More"),
        Raw(LIST),
        Raw(b"\xa1"),
        Text("a"),
        Raw(b"\xc2\x5f\x41a\xff\xf4\xfa\0\0\0\0\x7f\xff"),
        Raw(END),
        Text("StreamName"),
        Text("s"),
        Raw(END),
    ]);
    let Ok(Input::DescribeStream(input)) = decode(Operation::DescribeStream, &body) else { panic!("decodes") };
    assert_eq!(input.stream_name.as_deref(), Some("s"));
    assert_eq!(check(&body), Ok(()));
}

#[test]
fn maps_have_texts_for_keys() {
    let body = member("Tags", &cbor(&[Raw(b"\xa2"), Text("a"), Text("1"), Text("b"), Raw(b"\xf6")]));
    let Ok(Input::AddTagsToStream(AddTagsToStreamInput { tags, .. })) = decode(Operation::AddTagsToStream, &body)
    else {
        panic!("decodes");
    };
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("a".into(), "1".into()), ("b".into(), "".into())]);
    assert_eq!(decode(Operation::AddTagsToStream, &member("Tags", b"\xa1\x01\x01")), Err(bare()));
}

#[test]
fn answers_leave_out_what_is_absent() {
    assert_eq!(Format::Cbor.encode(&Output::CreateStream), b"");
    let put = PutRecordOutput { shard_id: "shardId-0".into(), sequence_number: "49".into(), encryption_type: None };
    assert_eq!(Format::Cbor.encode(&Output::PutRecord(put)), b"\xa2\x67ShardId\x69shardId-0\x6eSequenceNumber\x6249");
    let get = GetRecordsOutput {
        records: vec![Record {
            sequence_number: "49".into(),
            approximate_arrival_timestamp: Some(Timestamp(1_787_036_486_712)),
            data: Bytes::from_static(b"\xff\xfe"),
            partition_key: Some("é".into()),
            encryption_type: None,
        }],
        next_shard_iterator: None,
        millis_behind_latest: Some(0),
        child_shards: None,
    };
    assert_eq!(
        Format::Cbor.encode(&Output::GetRecords(get)),
        b"\xa2\x67Records\x81\xa4\x6eSequenceNumber\x6249\x78\x1bApproximateArrivalTimestamp\
          \xc1\x1b\x00\x00\x01\xa0\x13\xac\xcc\x38\x64Data\x42\xff\xfe\x6cPartitionKey\x62\xc3\xa9\
          \x72MillisBehindLatest\x00"
    );
}

#[test]
fn heads_are_as_short_as_they_can_be() {
    for (value, expected) in [
        (0, &b"\x00"[..]),
        (23, b"\x17"),
        (24, b"\x18\x18"),
        (255, b"\x18\xff"),
        (256, b"\x19\x01\x00"),
        (65536, b"\x1a\x00\x01\x00\x00"),
        (1 << 32, b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00"),
        (-1, b"\x20"),
        (-25, b"\x38\x18"),
        (i64::MIN, b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"),
    ] {
        assert_eq!(written(|encoder| encoder.integer(value)), expected, "{value}");
    }
    assert_eq!(written(|encoder| encoder.timestamp(Timestamp(-1))), b"\xc1\x20");
}

#[test]
fn a_structure_with_many_members_is_written_without_a_length() {
    let of = |members: usize| {
        written(|encoder| {
            encoder.begin_structure();
            (0..members).for_each(|_| {
                encoder.member("a");
                encoder.boolean(true);
            });
            encoder.end_structure();
        })
    };
    assert_eq!(of(23), [&[0xa0 | 23][..], &b"\x61a\xf5".repeat(23)].concat());
    assert_eq!(of(24), [&[0xbf][..], &b"\x61a\xf5".repeat(24), &[0xff]].concat());
}

#[test]
fn an_errors_message_has_awss_key() {
    let error = |code| Format::Cbor.encode_error(&Error::new(code, "x".repeat(300)));
    let message = [&b"\x79\x01\x2c"[..], &b"x".repeat(300)].concat();
    assert_eq!(
        error(ErrorCode::ServiceUnavailable),
        [&b"\xa2\x66__type\x72ServiceUnavailable\x67message"[..], &message].concat()
    );
    assert_eq!(
        error(ErrorCode::SerializationException),
        [&b"\xa2\x66__type\x76SerializationException\x67Message"[..], &message].concat()
    );
    let longer = Error::bare(ErrorCode::UnknownOperationException);
    assert_eq!(Format::Cbor.encode_error(&longer), b"\xa1\x66__type\x78\x19UnknownOperationException");
}

/// The forms in which a client may send a text or a byte string.
fn string(major: u8, bytes: &[u8], pieces: usize) -> Vec<u8> {
    let whole =
        |bytes: &[u8]| written(|encoder| encoder.head(major, bytes.len() as u64)).into_iter().chain(bytes.to_vec());
    if pieces == 0 {
        return whole(bytes).collect();
    }
    let pieces = bytes.chunks(bytes.len().div_ceil(pieces).max(1)).flat_map(whole);
    [major | 31].into_iter().chain(pieces).chain([BREAK]).collect()
}

proptest! {
    #[test]
    fn records_survive_in_any_form(
        records in proptest::collection::vec((any::<Vec<u8>>(), "[ -~]{0,40}", 0..4usize), 0..8),
        indefinite in any::<bool>(),
    ) {
        let mut body = cbor(&[Raw(MAP), Text("Records")]);
        if indefinite {
            body.extend_from_slice(LIST);
        } else {
            body.extend(written(|encoder| encoder.begin_list(records.len())));
        }
        for (data, key, pieces) in &records {
            body.extend(cbor(&[Raw(b"\xa2"), Text("Data"), Raw(&string(major::BYTES, data, *pieces))]));
            body.extend(cbor(&[Text("PartitionKey"), Raw(&string(major::TEXT, key.as_bytes(), *pieces))]));
        }
        body.extend_from_slice(if indefinite { b"\xff\xff" } else { END });
        let Ok(Input::PutRecords(input)) = decode(Operation::PutRecords, &body) else {
            return Err(TestCaseError::fail("does not decode"));
        };
        prop_assert_eq!(input.records.len(), records.len());
        for (read, (data, key, _)) in input.records.iter().zip(&records) {
            prop_assert_eq!(&read.data.to_vec(), data);
            prop_assert_eq!(read.partition_key.as_deref(), Some(key.as_str()));
        }
        // Wherever it is cut off, it is no longer well-formed.
        for end in 0..body.len() {
            prop_assert_eq!(check(&body[..end]), Err(bare()));
        }
    }

    #[test]
    fn no_bytes_bring_the_decoder_down(mut body in any::<Vec<u8>>(), map in any::<bool>()) {
        if map {
            body.insert(0, INDEFINITE_MAP);
        }
        for operation in [Operation::PutRecords, Operation::AddTagsToStream, Operation::GetShardIterator] {
            if let Ok(input) = decode(operation, &body) {
                prop_assert_eq!(check(&body), Ok(()));
                let _ = input.validate();
            }
        }
    }

    #[test]
    fn no_value_brings_the_decoder_down(value in any::<Vec<u8>>(), which in 0..6usize) {
        let name = ["Records", "Data", "Tags", "Timestamp", "Limit", "StreamName"][which];
        for operation in [Operation::PutRecords, Operation::PutRecord, Operation::AddTagsToStream,
                          Operation::GetShardIterator, Operation::DescribeStream] {
            let body = member(name, &value);
            match (decode(operation, &body), check(&body)) {
                (Ok(_), form) => prop_assert_eq!(form, Ok(())),
                (Err(error), Ok(())) => prop_assert!(error.message.is_some()),
                (Err(error), Err(form)) => prop_assert_eq!(error, form),
            }
        }
    }

    #[test]
    fn an_answer_is_not_longer_than_it_was_measured(keys in proptest::collection::vec("[a-z]{0,400}", 0..20)) {
        let records = keys.into_iter().map(|key| Record {
            sequence_number: "49".into(),
            approximate_arrival_timestamp: Some(Timestamp(1_506_440_188_749)),
            data: Bytes::from(key.clone()),
            partition_key: Some(key),
            encryption_type: None,
        });
        let output = Output::GetRecords(GetRecordsOutput { records: records.collect(), ..Default::default() });
        let body = Format::Cbor.encode(&output);
        prop_assert!(body.len() <= Format::Cbor.measure(&crate::codec::Whole(&output)));
    }
}
