//! Reading a stream: every shard from its position to its tip, closed shards to their end.

use std::collections::HashMap;

use millstream_harness::{CallError, Kinesis};
use serde_json::{Value, json};

use crate::ledger::{Place, Read};

/// How far a shard was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Position {
    /// Not at all yet.
    #[default]
    Start,
    /// To the record with this sequence number.
    After(String),
    /// A closed shard, to its end.
    End,
}

/// Reads every shard from its position to where it has no more at the moment, gives each record to `take`, and moves the
/// positions.
///
/// # Errors
/// The first call that fails; the positions are those of what was taken.
pub async fn pass(
    kinesis: &mut Kinesis,
    stream: &str,
    positions: &mut HashMap<String, Position>,
    take: &mut impl FnMut(Read),
) -> Result<usize, CallError> {
    let shards = kinesis.list_shards(stream).await?;
    for shard in &shards {
        let position = positions.entry(shard.id.clone()).or_default();
        read_shard(kinesis, stream, &shard.id, position, take).await?;
    }
    Ok(shards.len())
}

async fn read_shard(
    kinesis: &mut Kinesis,
    stream: &str,
    shard: &str,
    position: &mut Position,
    take: &mut impl FnMut(Read),
) -> Result<(), CallError> {
    let mut iterator = match &*position {
        Position::Start => kinesis.iterator(stream, shard, None).await?,
        Position::After(number) => kinesis.iterator(stream, shard, Some(number)).await?,
        Position::End => return Ok(()),
    };
    loop {
        let page = kinesis.call("GetRecords", &json!({ "ShardIterator": iterator, "Limit": 10_000 })).await?;
        let records = page["Records"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        for record in records {
            let read = record_read(shard, record);
            *position = Position::After(read.place.sequence.clone());
            take(read);
        }
        match page["NextShardIterator"].as_str() {
            None => {
                *position = Position::End;
                return Ok(());
            }
            Some(_) if records.is_empty() && page["MillisBehindLatest"] == json!(0) => return Ok(()),
            Some(next) => iterator = next.to_owned(),
        }
    }
}

fn record_read(shard: &str, record: &Value) -> Read {
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    // Text that is not base64 gives no bytes, and no bytes are no record that was put.
    let data = base64_simd::STANDARD.decode_to_vec(text("Data")).unwrap_or_default();
    Read {
        place: Place { shard: shard.to_owned(), sequence: text("SequenceNumber") },
        partition_key: text("PartitionKey"),
        data,
    }
}
