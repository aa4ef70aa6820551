//! Puts records, one call after the other.

use std::borrow::Cow;

use millstream_api::kinesis::{Input, Output, PutRecordInput, PutRecordsInput, PutRecordsRequestEntry};
use millstream_api::{Blob, ErrorCode};

use super::Clients;
use crate::model::NAMES;
use crate::payload;

/// What a put may meet when its stream is created, deleted or full.
const EXPECTED: [ErrorCode; 2] = [ErrorCode::ResourceNotFoundException, ErrorCode::ResourceInUseException];

/// Puts records into streams drawn at random, for ever.
pub async fn run(clients: Clients<'_>) {
    loop {
        clients.pause(400).await;
        let stream = clients.node.below(NAMES.len() as u64) as usize;
        put(clients, stream, clients.node.below(4)).await;
    }
}

fn size(clients: Clients<'_>) -> usize {
    let node = clients.node;
    let size = match node.below(12) {
        0 => node.below(20_000),
        1..4 => node.below(3_000),
        _ => node.below(80),
    };
    size as usize
}

/// Puts one record (`more` is 0) or several in one call.
pub async fn put(clients: Clients<'_>, stream: usize, more: u64) {
    let name = NAMES[stream];
    let stream_name = Some(Cow::Borrowed(name));
    let now = clients.node.now();
    if more == 0 {
        let id = clients.model.borrow_mut().send(stream, now);
        let (key, data) = (payload::key(id), payload::body(id, size(clients)));
        let put = PutRecordInput {
            stream_name,
            data: Blob::from_bytes(data),
            partition_key: Some(key.into()),
            ..Default::default()
        };
        match clients.node.call(Input::PutRecord(put)).await {
            Ok(Output::PutRecord(output)) => {
                clients.model.borrow_mut().acknowledge(id, &output.shard_id, &output.sequence_number);
            }
            Ok(other) => clients.model.borrow_mut().problem(format!("PutRecord gave {other:?}")),
            Err(error) => {
                if !clients.is_open("PutRecord", &error, &EXPECTED) {
                    clients.model.borrow_mut().refuse(id);
                }
            }
        }
        return;
    }
    let mut ids = Vec::new();
    let mut records = Vec::new();
    for _ in 0..=more {
        let id = clients.model.borrow_mut().send(stream, now);
        ids.push(id);
        records.push(PutRecordsRequestEntry {
            data: Blob::from_bytes(payload::body(id, size(clients))),
            partition_key: Some(payload::key(id).into()),
            ..Default::default()
        });
    }
    let put = PutRecordsInput { stream_name, records, ..Default::default() };
    match clients.node.call(Input::PutRecords(put)).await {
        Ok(Output::PutRecords(output)) => {
            for (id, entry) in ids.into_iter().zip(output.records) {
                match (entry.shard_id, entry.sequence_number, entry.error_code.as_deref()) {
                    (Some(shard), Some(sequence), None) => {
                        clients.model.borrow_mut().acknowledge(id, &shard, &sequence);
                    }
                    (None, None, Some("InternalFailure")) if clients.faulty => {}
                    other => clients.model.borrow_mut().problem(format!("PutRecords gave an entry {other:?}")),
                }
            }
        }
        Ok(other) => clients.model.borrow_mut().problem(format!("PutRecords gave {other:?}")),
        Err(error) => {
            if !clients.is_open("PutRecords", &error, &EXPECTED) {
                ids.into_iter().for_each(|id| clients.model.borrow_mut().refuse(id));
            }
        }
    }
}
