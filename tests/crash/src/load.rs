//! What runs against the server until it is killed: writers, a follower, and someone who reshards.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_harness::{CallError, Endpoint, Kinesis, Random, ShardDescription};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::ledger::{Ledger, Place};
use crate::payload::{self, RecordId};
use crate::verify;

/// The most shards that are open at once.
const MAX_OPEN_SHARDS: usize = 8;

/// What the parts of the load share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where the server is.
    pub endpoint: Endpoint,
    /// The stream.
    pub stream: String,
    /// What was put.
    pub ledger: Arc<Mutex<Ledger>>,
    /// Set before the server is killed: from then on a broken connection is expected.
    pub ending: Arc<AtomicBool>,
}

impl Shared {
    fn ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Takes a failed call: what a killed server causes is expected, anything else is a problem.
    fn failed(&self, error: &CallError) {
        let broken = matches!(error, CallError::Connection { .. });
        if !(broken && self.ending()) {
            self.ledger.lock().problem(format!("under load: {error}"));
        }
    }
}

/// Puts records, one request at a time, until the server is gone.
pub async fn write(shared: Shared, writer: u64, mut random: Random) {
    let mut kinesis = match Kinesis::open(&shared.endpoint).await {
        Ok(kinesis) => kinesis,
        Err(cause) => return shared.failed(&CallError::Connection { operation: "connect".to_owned(), cause }),
    };
    while !shared.ending() {
        let done = if random.chance(50) {
            put_one(&shared, &mut kinesis, writer).await
        } else {
            let count = random.range(1, 40);
            put_many(&shared, &mut kinesis, writer, count).await
        };
        if let Err(error) = done {
            shared.failed(&error);
            // A connection that broke is of no more use; after an internal error the next put goes on.
            if matches!(error, CallError::Connection { .. }) {
                return;
            }
        }
    }
}

/// A new attempt as an entry of PutRecords, which is also most of PutRecord.
fn entry(shared: &Shared, writer: u64) -> (RecordId, Value) {
    let (id, seed) = {
        let mut ledger = shared.ledger.lock();
        (ledger.attempt(writer), ledger.seed())
    };
    let data = base64_simd::STANDARD.encode_to_string(payload::bytes(seed, id));
    (id, json!({ "Data": data, "PartitionKey": payload::partition_key(seed, id) }))
}

/// The place that an answer names.
fn place(answer: &Value) -> Option<Place> {
    let text = |key: &str| answer[key].as_str().map(str::to_owned);
    Some(Place { shard: text("ShardId")?, sequence: text("SequenceNumber")? })
}

async fn put_one(shared: &Shared, kinesis: &mut Kinesis, writer: u64) -> Result<(), CallError> {
    let (id, mut input) = entry(shared, writer);
    input["StreamName"] = json!(shared.stream);
    let answer = kinesis.call("PutRecord", &input).await;
    let mut ledger = shared.ledger.lock();
    match answer {
        Ok(answer) => match place(&answer) {
            Some(place) => ledger.acknowledged(id, place),
            None => ledger.problem(format!("PutRecord answered {answer}")),
        },
        Err(error) if error.outcome_unknown() => return Err(error),
        Err(error) => {
            ledger.refused(id);
            return Err(error);
        }
    }
    Ok(())
}

async fn put_many(shared: &Shared, kinesis: &mut Kinesis, writer: u64, count: u64) -> Result<(), CallError> {
    let (ids, entries): (Vec<RecordId>, Vec<Value>) = (0..count).map(|_| entry(shared, writer)).unzip();
    let answer = kinesis.call("PutRecords", &json!({ "StreamName": shared.stream, "Records": entries })).await;
    let mut ledger = shared.ledger.lock();
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            if !error.outcome_unknown() {
                ids.iter().for_each(|id| ledger.refused(*id));
            }
            return Err(error);
        }
    };
    let results = answer["Records"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let failed = results.iter().filter(|result| !result["ErrorCode"].is_null()).count();
    if results.len() != ids.len() || answer["FailedRecordCount"] != json!(failed) {
        ledger.problem(format!("PutRecords of {count} answered {answer}"));
    }
    for (id, result) in ids.into_iter().zip(results) {
        match (place(result), result["ErrorCode"].as_str()) {
            (Some(place), None) => ledger.acknowledged(id, place),
            // As with a whole request, the internal error leaves the outcome open.
            (None, Some("InternalFailure")) => {}
            (None, Some(_)) => ledger.refused(id),
            _ => ledger.problem(format!("PutRecords gave an entry {result}")),
        }
    }
    Ok(())
}

/// Reads behind the writers, from where the last verification ended, and notes what it sees.
pub async fn follow(shared: Shared, mut positions: HashMap<String, verify::Position>) {
    let Ok(mut kinesis) = Kinesis::open(&shared.endpoint).await else { return };
    while !shared.ending() {
        let mut note = |read| shared.ledger.lock().seen(read);
        if let Err(error) = verify::pass(&mut kinesis, &shared.stream, &mut positions, &mut note).await {
            shared.failed(&error);
            return;
        }
        // A pass over shards that are all at their tips takes no time; the writers need some.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Splits and merges shards, one after the other, and counts how often that was taken.
pub async fn reshard(shared: Shared, mut random: Random) -> u64 {
    let mut taken = 0;
    let Ok(mut kinesis) = Kinesis::open(&shared.endpoint).await else { return taken };
    while !shared.ending() {
        match reshard_once(&shared, &mut kinesis, &mut random).await {
            Ok(()) => taken += 1,
            // The stream is still busy with the last one.
            Err(error) if error.code() == "ResourceInUseException" => {}
            Err(error) => {
                shared.failed(&error);
                return taken;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.range(1, 60))).await;
    }
    taken
}

async fn reshard_once(shared: &Shared, kinesis: &mut Kinesis, random: &mut Random) -> Result<(), CallError> {
    // While the last reshard is under way the old shards are listed.
    kinesis.wait_active(&shared.stream).await?;
    let mut open: Vec<ShardDescription> = kinesis.list_shards(&shared.stream).await?;
    open.retain(|shard| shard.open);
    open.sort_by_key(|shard| shard.start);
    let count = open.len() as u64;
    if count == 0 {
        return Ok(());
    }
    let split = open.len() == 1 || (open.len() < MAX_OPEN_SHARDS && random.chance(50));
    let (operation, mut input) = if random.chance(10) {
        // Between half and double, as the service allows.
        let target = random.range(count.div_ceil(2), (count * 2).min(MAX_OPEN_SHARDS as u64) + 1);
        ("UpdateShardCount", json!({ "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" }))
    } else if split {
        let shard = &open[usize::try_from(random.range(0, count)).unwrap_or_default()];
        if shard.end - shard.start < 8 {
            return Ok(());
        }
        let middle = shard.start + (shard.end - shard.start) / 2 + 1;
        ("SplitShard", json!({ "ShardToSplit": shard.id, "NewStartingHashKey": middle.to_string() }))
    } else {
        let at = usize::try_from(random.range(0, count - 1)).unwrap_or_default();
        ("MergeShards", json!({ "ShardToMerge": open[at].id, "AdjacentShardToMerge": open[at + 1].id }))
    };
    input["StreamName"] = json!(shared.stream);
    kinesis.call(operation, &input).await.map(|_| ())
}
