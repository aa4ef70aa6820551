//! What `make bench-instructions` counts of the wire formats. As tests they check that the pieces do their work.

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_api::Timestamp;
use millstream_api::kinesis::{
    GetRecordsOutput, Input, Operation, Output, PutRecordOutput, PutRecordsOutput, PutRecordsResultEntry, Record,
    SubscribeToShardEvent,
};
use millstream_env::counted;
use minicbor::Encoder;

use super::Format;

/// Records of a batch, and of a page.
const RECORDS: usize = 500;

/// Data of 1 KB, different for each record.
fn data(record: usize) -> Vec<u8> {
    (0..1024).map(|at| (record * 31 + at * 7) as u8).collect()
}

fn key(record: usize) -> String {
    format!("partition-key-{record:05}")
}

fn sequence_number(record: usize) -> String {
    format!("49590338271490256608559692538361571095921575989136588{record:03}")
}

fn put_record_json() -> Vec<u8> {
    format!(r#"{{"StreamName":"bench","Data":"{}","PartitionKey":"{}"}}"#, STANDARD.encode_to_string(data(0)), key(0))
        .into_bytes()
}

fn put_records_json() -> Vec<u8> {
    let entry = |record| {
        format!(r#"{{"Data":"{}","PartitionKey":"{}"}}"#, STANDARD.encode_to_string(data(record)), key(record))
    };
    let entries: Vec<String> = (0..RECORDS).map(entry).collect();
    format!(r#"{{"Records":[{}],"StreamName":"bench"}}"#, entries.join(",")).into_bytes()
}

fn put_record_cbor() -> Vec<u8> {
    let mut body = Encoder::new(Vec::new());
    body.map(3).unwrap().str("StreamName").unwrap().str("bench").unwrap();
    body.str("Data").unwrap().bytes(&data(0)).unwrap().str("PartitionKey").unwrap().str(&key(0)).unwrap();
    body.into_writer()
}

fn put_records_cbor() -> Vec<u8> {
    let mut body = Encoder::new(Vec::new());
    body.map(2).unwrap().str("StreamName").unwrap().str("bench").unwrap();
    body.str("Records").unwrap().array(RECORDS as u64).unwrap();
    for record in 0..RECORDS {
        body.map(2).unwrap().str("Data").unwrap().bytes(&data(record)).unwrap();
        body.str("PartitionKey").unwrap().str(&key(record)).unwrap();
    }
    body.into_writer()
}

/// Decodes a request once to check it and once to be counted.
fn decode(format: Format, operation: Operation, body: &[u8]) {
    let read = || format.decode(operation, body).expect("a good request");
    match read() {
        Input::PutRecord(input) => assert_eq!(input.data.to_vec(), data(0)),
        Input::PutRecords(input) => {
            assert_eq!(input.records.len(), RECORDS);
            assert_eq!(input.records[RECORDS - 1].data.to_vec(), data(RECORDS - 1));
        }
        other => panic!("another operation: {other:?}"),
    }
    counted(read);
}

#[test]
fn decode_put_record_json() {
    decode(Format::Json, Operation::PutRecord, &put_record_json());
}

#[test]
fn decode_put_record_cbor() {
    decode(Format::Cbor, Operation::PutRecord, &put_record_cbor());
}

#[test]
fn decode_put_records_json() {
    decode(Format::Json, Operation::PutRecords, &put_records_json());
}

#[test]
fn decode_put_records_cbor() {
    decode(Format::Cbor, Operation::PutRecords, &put_records_cbor());
}

fn records() -> Vec<Record> {
    let record = |number| Record {
        sequence_number: sequence_number(number),
        approximate_arrival_timestamp: Some(Timestamp(1_750_000_000_123)),
        data: Bytes::from(data(number)),
        partition_key: Some(key(number)),
        encryption_type: None,
    };
    (0..RECORDS).map(record).collect()
}

fn put_record_answer() -> Output {
    Output::PutRecord(PutRecordOutput {
        shard_id: "shardId-000000000000".to_owned(),
        sequence_number: sequence_number(0),
        encryption_type: None,
    })
}

fn put_records_answer() -> Output {
    let entry = |record| PutRecordsResultEntry {
        sequence_number: Some(sequence_number(record)),
        shard_id: Some("shardId-000000000000".to_owned()),
        ..PutRecordsResultEntry::default()
    };
    Output::PutRecords(PutRecordsOutput {
        failed_record_count: Some(0),
        records: (0..RECORDS).map(entry).collect(),
        encryption_type: None,
    })
}

fn get_records_answer() -> Output {
    Output::GetRecords(GetRecordsOutput {
        records: records(),
        next_shard_iterator: Some("A".repeat(224)),
        millis_behind_latest: Some(0),
        child_shards: None,
    })
}

/// Encodes an answer once to check its length and once to be counted.
fn encode(format: Format, answer: &Output, at_least: usize) {
    let write = || format.encode(answer);
    assert!(write().len() > at_least);
    counted(write);
}

#[test]
fn encode_put_record_json() {
    encode(Format::Json, &put_record_answer(), 100);
}

#[test]
fn encode_put_records_json() {
    encode(Format::Json, &put_records_answer(), RECORDS * 100);
}

#[test]
fn encode_put_records_cbor() {
    encode(Format::Cbor, &put_records_answer(), RECORDS * 100);
}

#[test]
fn encode_get_records_json() {
    encode(Format::Json, &get_records_answer(), RECORDS * 1400);
}

#[test]
fn encode_get_records_cbor() {
    encode(Format::Cbor, &get_records_answer(), RECORDS * 1100);
}

#[test]
fn encode_event_json() {
    let event = SubscribeToShardEvent {
        records: records(),
        continuation_sequence_number: Some(sequence_number(RECORDS)),
        millis_behind_latest: 0,
        child_shards: None,
    };
    let write = || Format::Json.encode_event(&event);
    assert!(write().len() > RECORDS * 1400);
    counted(write);
}
