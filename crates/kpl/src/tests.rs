use proptest::prelude::*;

use super::message::Record;
use super::*;

fn aggregate(message: &AggregatedRecord) -> Bytes {
    let encoded = message.encode_to_vec();
    let digest = Md5::digest(&encoded);
    Bytes::from([&MAGIC[..], &encoded, &digest[..]].concat())
}

fn record(partition_key_index: u64, explicit_hash_key_index: Option<u64>, data: &str) -> Record {
    Record { partition_key_index, explicit_hash_key_index, data: Bytes::copy_from_slice(data.as_bytes()) }
}

fn two() -> AggregatedRecord {
    AggregatedRecord {
        partition_keys: vec!["a".to_owned(), "b".to_owned()],
        explicit_hash_keys: vec!["5".to_owned()],
        records: vec![record(1, None, "one"), record(0, Some(0), "two"), record(1, None, "")],
    }
}

#[test]
fn user_records_come_in_order_with_their_keys() {
    let whole = aggregate(&two());
    let records = deaggregate(&whole).expect("aggregated");
    let shown: Vec<_> = records
        .iter()
        .map(|r| (&*r.partition_key, r.explicit_hash_key.as_deref(), &r.data[..], r.sub_sequence_number))
        .collect();
    assert_eq!(shown, [("b", None, &b"one"[..], 0), ("a", Some("5"), &b"two"[..], 1), ("b", None, &b""[..], 2)]);
    assert_eq!(records[0].hash_key(), 195_289_424_170_611_159_128_911_017_612_795_795_343);
    assert_eq!(records[1].hash_key(), 5);
    let held = whole.as_ptr_range();
    assert!(held.contains(&records[0].data.as_ptr()), "the data are not copied");
}

#[test]
fn a_key_that_many_records_name_is_in_memory_once() {
    let records = deaggregate(&aggregate(&two())).expect("aggregated");
    assert!(Arc::ptr_eq(&records[0].partition_key, &records[2].partition_key));
}

/// What the Python package `aws_kinesis_agg` 1.2.3 made of three user records, one of them with an explicit hash key.
#[test]
fn a_record_of_the_python_aggregator() {
    let text = include_str!("../testdata/aws_kinesis_agg.base64");
    let whole = Bytes::from(base64_simd::STANDARD.decode_to_vec(text.trim()).expect("base64"));
    let records = deaggregate(&whole).expect("aggregated");
    let shown: Vec<_> = records.iter().map(|r| (&*r.partition_key, &r.data[..])).collect();
    assert_eq!(
        shown,
        [("alpha", &b"first"[..]), ("beta", "zweiter \u{fc}".as_bytes()), ("alpha", &b"\x00\x01\x02"[..])]
    );
    assert_eq!(records[1].explicit_hash_key.as_deref(), Some("340282366920938463463374607431768211455"));
}

#[test]
fn anything_else_is_an_ordinary_record() {
    let whole = aggregate(&two());
    let mut flipped = whole.to_vec();
    flipped[6] ^= 1;
    let mut headless = whole.to_vec();
    headless[0] = 0;
    let empty = [&MAGIC[..], &Md5::digest(b"")[..]].concat();
    let garbage = [&MAGIC[..], b"\xff\xff", &Md5::digest(b"\xff\xff")[..]].concat();
    for (what, data) in [
        ("nothing", Vec::new()),
        ("the magic alone", MAGIC.to_vec()),
        ("no message", empty),
        ("another digest", flipped),
        ("another magic", headless),
        ("cut short", whole[..whole.len() - 1].to_vec()),
        ("no protobuf", garbage),
    ] {
        assert_eq!(deaggregate(&Bytes::from(data)), None, "{what}");
    }
    let mut astray = two();
    astray.records[1].explicit_hash_key_index = Some(1);
    assert_eq!(deaggregate(&aggregate(&astray)), None, "an index beside the table");
    astray.records[1] = record(2, None, "");
    assert_eq!(deaggregate(&aggregate(&astray)), None, "an index beside the table");
}

proptest! {
    #[test]
    fn what_was_aggregated_is_taken_apart(data in proptest::collection::vec((0u64..5, proptest::option::of(0u64..2), ".{0,20}"), 0..20)) {
        let message = AggregatedRecord {
            partition_keys: (0..5).map(|n| format!("key {n}")).collect(),
            explicit_hash_keys: vec!["0".to_owned(), "7".to_owned()],
            records: data.iter().map(|(key, hash, text)| record(*key, *hash, text)).collect(),
        };
        let records = deaggregate(&aggregate(&message)).expect("aggregated");
        prop_assert_eq!(records.len(), data.len());
        for (record, (key, hash, text)) in records.iter().zip(&data) {
            prop_assert_eq!(&*record.partition_key, format!("key {key}"));
            prop_assert_eq!(record.explicit_hash_key.is_some(), hash.is_some());
            prop_assert_eq!(&record.data[..], text.as_bytes());
        }
    }

    #[test]
    fn no_bytes_do_harm(message in proptest::collection::vec(any::<u8>(), 0..64)) {
        let digest = Md5::digest(&message);
        let _ = deaggregate(&Bytes::from([&MAGIC[..], &message, &digest[..]].concat()));
    }
}
