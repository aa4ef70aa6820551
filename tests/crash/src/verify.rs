//! Reading a stream: every shard from its position to its tip, closed shards to their end.

use std::collections::HashMap;
use std::time::Instant;

use millstream_harness::{CallError, Kinesis};
use serde_json::{Value, json};

use crate::history::{Cursor, Micros, Page};
use crate::ledger::Read;
use crate::place::{Place, shard_number};

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

/// The positions in a stream, by shard id.
pub type Positions = HashMap<String, Position>;

/// Time on this program's clock.
#[must_use]
pub fn micros(started: Instant) -> Micros {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Reads every shard from its position to where it has no more at the moment, gives each page to `take`, and moves the
/// positions.
///
/// # Errors
/// The first call that fails; the positions are those of what was taken.
pub async fn pass(
    kinesis: &mut Kinesis,
    stream: &str,
    positions: &mut Positions,
    started: Instant,
    take: &mut impl FnMut(Page, Vec<Read>),
) -> Result<usize, CallError> {
    let shards = kinesis.list_shards(stream).await?;
    for shard in &shards {
        let position = positions.entry(shard.id.clone()).or_default();
        match read_shard(kinesis, stream, &shard.id, position, started, take).await {
            // Forgotten since it was listed, as all of its records have expired. If they have not, they are missed.
            Err(error) if error.code() == "ResourceNotFoundException" => {}
            done => done?,
        }
    }
    Ok(shards.len())
}

async fn read_shard(
    kinesis: &mut Kinesis,
    stream: &str,
    shard: &str,
    position: &mut Position,
    started: Instant,
    take: &mut impl FnMut(Page, Vec<Read>),
) -> Result<(), CallError> {
    let (mut iterator, mut cursor) = match &*position {
        Position::Start => (kinesis.iterator(stream, shard, None).await?, Cursor::Oldest),
        Position::After(number) => (kinesis.iterator(stream, shard, Some(number)).await?, after(shard, number)),
        Position::End => return Ok(()),
    };
    loop {
        let read = page(kinesis, shard, &iterator, cursor, 10_000, started).await?;
        let (is_empty, behind) = (read.page.records.is_empty(), read.page.behind);
        if let Some(last) = read.last {
            cursor = after(shard, &last);
            *position = Position::After(last);
        }
        take(read.page, read.records);
        match read.next {
            None => {
                *position = Position::End;
                return Ok(());
            }
            Some(_) if is_empty && behind == 0 => return Ok(()),
            Some(next) => iterator = next,
        }
    }
}

fn after(shard: &str, number: &str) -> Cursor {
    Place::parse(shard, number).map_or(Cursor::Oldest, |place| Cursor::After(place.sequence))
}

/// What one GetRecords gave.
#[derive(Debug)]
pub struct Got {
    /// For the history.
    pub page: Page,
    /// For the ledger.
    pub records: Vec<Read>,
    /// The last sequence number, as it was written.
    pub last: Option<String>,
    /// Where to go on; `None` at the end of a closed shard.
    pub next: Option<String>,
}

/// One GetRecords.
///
/// # Errors
/// See [`CallError`].
pub async fn page(
    kinesis: &mut Kinesis,
    shard: &str,
    iterator: &str,
    cursor: Cursor,
    limit: u64,
    started: Instant,
) -> Result<Got, CallError> {
    let invoked = micros(started);
    let answer = kinesis.call("GetRecords", &json!({ "ShardIterator": iterator, "Limit": limit })).await?;
    let listed = answer["Records"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let records: Vec<Read> = reads(shard, listed).collect();
    Ok(Got {
        last: listed.last().and_then(|record| record["SequenceNumber"].as_str()).map(str::to_owned),
        next: answer["NextShardIterator"].as_str().map(str::to_owned),
        page: Page {
            shard: shard_number(shard).unwrap_or(u32::MAX),
            cursor,
            records: records.iter().map(|read| read.place.sequence).collect(),
            behind: answer["MillisBehindLatest"].as_u64().unwrap_or(u64::MAX),
            invoked,
            completed: micros(started),
        },
        records,
    })
}

/// The records of an answer or an event. One whose sequence number is none is left out, and missed then.
pub fn reads<'a>(shard: &'a str, records: &'a [Value]) -> impl Iterator<Item = Read> + 'a {
    records.iter().filter_map(move |record| {
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let seconds = record["ApproximateArrivalTimestamp"].as_f64().unwrap_or_default();
        Some(Read {
            place: Place::parse(shard, text("SequenceNumber"))?,
            partition_key: text("PartitionKey").to_owned(),
            // Text that is not base64 gives no bytes, and no bytes are no record that was put.
            data: base64_simd::STANDARD.decode_to_vec(text("Data")).unwrap_or_default(),
            arrived: (seconds * 1000.0).round() as u64,
        })
    })
}
