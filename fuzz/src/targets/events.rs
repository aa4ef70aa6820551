//! Answers of records: event-stream messages, and pages written piece by piece. What is written is read by other means than
//! it was written with.

use bytes::Bytes;
use millstream_api::kinesis::{
    ChildShard, EncryptionType, GetRecordsOutput, HashKeyRange, Output, Record, SubscribeToShardEvent,
};
use millstream_api::{Error, ErrorCode, Timestamp};
use millstream_server::fuzzing::Wire;
use serde_json::{Value, json};

use super::Input;
use crate::cbor;

/// Any events and pages come back as they were.
pub(super) fn answers(bytes: &[u8]) {
    let mut input = Input(bytes);
    let wire = if input.byte().is_multiple_of(2) { Wire::Json } else { Wire::Cbor };
    let choice = input.byte();
    // Both sides of the length from which data are written in parts, without inputs as long.
    let padding = if choice & 4 == 0 { 0 } else { 4090 };
    let behind = input.number() as i64 & i64::MAX;
    let child_shards = (choice & 1 != 0).then(|| vec![child(&mut input)]);
    let continuation = (choice & 2 != 0).then(|| input.text());
    let mut records = Vec::new();
    while !input.0.is_empty() {
        records.push(record(&mut input, padding));
    }

    let event = SubscribeToShardEvent {
        records: records.clone(),
        continuation_sequence_number: continuation.clone(),
        millis_behind_latest: behind,
        child_shards: child_shards.clone(),
    };
    let (measured, message) = wire.event(&event);
    assert_eq!(measured, message.len(), "an event is as long as was said");
    let (headers, payload) = open(&message);
    assert_eq!(headers[0], (":message-type", "event"));
    assert_eq!(headers[1], (":event-type", "SubscribeToShardEvent"));
    let mut expected = json!({ "Records": shown(&records), "MillisBehindLatest": behind });
    expected["ChildShards"] = shown_children(child_shards.as_deref());
    expected["ContinuationSequenceNumber"] = continuation.clone().into();
    assert_eq!(read(wire, payload), without_nulls(expected));

    let text = continuation.unwrap_or_default();
    let exception = wire.exception(&Error::new(ErrorCode::InternalFailure, text.clone()));
    let (headers, payload) = open(&exception);
    assert_eq!(headers[0], (":message-type", "exception"));
    assert_eq!(read(wire, payload)["message"], text);

    let output =
        GetRecordsOutput { records, next_shard_iterator: Some(text), millis_behind_latest: Some(behind), child_shards };
    let whole = wire.answer(&Output::GetRecords(output.clone()));
    assert_eq!(wire.page(output).concat(), whole, "in pieces it is the same");
}

fn record(input: &mut Input<'_>, padding: usize) -> Record {
    let flags = input.byte();
    let mut data = input.short().to_vec();
    data.resize(data.len() + padding, 7);
    Record {
        sequence_number: input.text(),
        approximate_arrival_timestamp: (flags & 1 != 0).then(|| Timestamp(i64::from(input.number() as u32) * 977)),
        data: Bytes::from(data),
        partition_key: (flags & 2 != 0).then(|| input.text()),
        encryption_type: (flags & 4 != 0).then_some(EncryptionType::Kms),
    }
}

fn child(input: &mut Input<'_>) -> ChildShard {
    ChildShard {
        shard_id: input.text(),
        parent_shards: vec![input.text(), input.text()],
        hash_key_range: HashKeyRange { starting_hash_key: input.text(), ending_hash_key: "1".into() },
    }
}

fn read(wire: Wire, payload: &[u8]) -> Value {
    match wire {
        Wire::Json => serde_json::from_slice(payload).expect("JSON"),
        Wire::Cbor => cbor::to_json(payload).expect("CBOR"),
    }
}

fn shown(records: &[Record]) -> Value {
    let shown = |record: &Record| {
        let mut shown = json!({ "SequenceNumber": record.sequence_number });
        shown["Data"] = base64_simd::STANDARD.encode_to_string(&record.data).into();
        shown["PartitionKey"] = record.partition_key.clone().into();
        shown["ApproximateArrivalTimestamp"] = match record.approximate_arrival_timestamp {
            Some(Timestamp(ms)) if ms % 1000 == 0 => json!(ms / 1000),
            Some(Timestamp(ms)) => json!(ms as f64 / 1000.0),
            None => Value::Null,
        };
        shown["EncryptionType"] = record.encryption_type.is_some().then_some("KMS").into();
        without_nulls(shown)
    };
    records.iter().map(shown).collect()
}

fn shown_children(children: Option<&[ChildShard]>) -> Value {
    let shown = |child: &ChildShard| {
        let range = &child.hash_key_range;
        json!({
            "ShardId": child.shard_id,
            "ParentShards": child.parent_shards,
            "HashKeyRange": { "StartingHashKey": range.starting_hash_key, "EndingHashKey": range.ending_hash_key },
        })
    };
    children.map(|children| children.iter().map(shown).collect::<Vec<Value>>()).into()
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, value| !value.is_null());
    }
    value
}

/// The headers of strings and the payload of an event-stream message, whose lengths and checksums are right.
fn open(message: &[u8]) -> (Vec<(&str, &str)>, &[u8]) {
    let word = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().expect("four bytes")) as usize;
    let crc = |bytes: &[u8]| crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as usize;
    let (length, headers_length, end) = (word(0), word(4), message.len() - 4);
    assert_eq!(length, message.len());
    assert_eq!(word(8), crc(&message[..8]));
    assert_eq!(word(end), crc(&message[..end]));
    let (mut rest, payload) = message[12..end].split_at(headers_length);
    let mut headers = Vec::new();
    let text = |bytes| std::str::from_utf8(bytes).expect("text");
    while let [name_length, behind @ ..] = rest {
        let (name, behind) = behind.split_at(usize::from(*name_length));
        let [7, high, low, behind @ ..] = behind else { panic!("a header that is no string: {behind:?}") };
        let (value, behind) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        headers.push((text(name), text(value)));
        rest = behind;
    }
    (headers, payload)
}
