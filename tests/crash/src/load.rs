//! What runs against the server until it ends: writers, writers who read at once what they wrote, followers and
//! subscribers. Who changes streams is in `control.rs`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_harness::{CallError, Kinesis, Random, Subscription};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::history::{Cursor, Page, Put};
use crate::ledger::Ledger;
use crate::payload::{self, RecordId};
use crate::place::{Place, shard_number};
use crate::shared::Shared;
use crate::stream::{Life, Role, Stream};
use crate::verify::{self, Positions, micros};

/// Rest after a call that was refused, and between two looks of a follower.
const REST: Duration = Duration::from_millis(2);

/// Puts records to all streams, one request at a time, until the server is gone.
pub async fn write(shared: Shared, writer: u64, mut random: Random) {
    let Some(mut kinesis) = shared.open(&shared.streams[0]).await else { return };
    while !shared.ending() {
        let stream = &shared.streams[at(random.range(0, shared.streams.len() as u64))];
        let count = if random.chance(50) { 0 } else { random.range(1, 40) };
        // Held until the answer is here: nobody makes the stream anew meanwhile.
        let life = stream.life.read().await;
        let done = match count {
            0 => put_one(&shared, &life, &mut kinesis, &stream.name, writer).await.map(|_| ()),
            count => put_many(&shared, &life, &mut kinesis, &stream.name, (writer, count)).await,
        };
        drop(life);
        if let Err(error) = done {
            // A connection that broke is of no more use; after an internal error the next put goes on.
            if shared.failed(stream, &error).await {
                return;
            }
            tokio::time::sleep(REST).await;
        }
        if !shared.pace.is_zero() {
            tokio::time::sleep(shared.pace).await;
        }
    }
}

fn at(number: u64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// A new attempt as an entry of PutRecords, which is also most of PutRecord.
fn entry(shared: &Shared, ledger: &Mutex<Ledger>, writer: u64) -> (RecordId, Value) {
    let (id, seed) = {
        let mut ledger = ledger.lock();
        (ledger.attempt(writer, shared.time.now()), ledger.seed())
    };
    let data = base64_simd::STANDARD.encode_to_string(payload::bytes(seed, id));
    (id, json!({ "Data": data, "PartitionKey": payload::partition_key(seed, id) }))
}

/// The place that an answer names, as it is written and as it is kept.
fn place(answer: &Value) -> Option<(String, String, Place)> {
    let text = |key: &str| answer[key].as_str().map(str::to_owned);
    let (shard, sequence) = (text("ShardId")?, text("SequenceNumber")?);
    let place = Place::parse(&shard, &sequence)?;
    Some((shard, sequence, place))
}

/// Puts one record; where it is.
async fn put_one(
    shared: &Shared,
    life: &Life,
    kinesis: &mut Kinesis,
    stream: &str,
    writer: u64,
) -> Result<Option<(String, String, Place)>, CallError> {
    let (id, mut input) = entry(shared, &life.ledger, writer);
    input["StreamName"] = json!(stream);
    let invoked = micros(shared.started);
    let answer = kinesis.call("PutRecord", &input).await;
    let completed = micros(shared.started);
    let mut ledger = life.ledger.lock();
    match answer {
        Ok(answer) => {
            let place = place(&answer);
            match &place {
                Some((_, _, place)) => {
                    ledger.acknowledged(id, *place);
                    life.history.lock().put(Put { place: *place, invoked, completed });
                }
                None => ledger.problem(format!("PutRecord answered {answer}")),
            }
            Ok(place)
        }
        Err(error) => {
            if !error.outcome_unknown() {
                ledger.refused(id);
            }
            Err(error)
        }
    }
}

async fn put_many(
    shared: &Shared,
    life: &Life,
    kinesis: &mut Kinesis,
    stream: &str,
    (writer, count): (u64, u64),
) -> Result<(), CallError> {
    let (ids, entries): (Vec<RecordId>, Vec<Value>) = (0..count).map(|_| entry(shared, &life.ledger, writer)).unzip();
    let invoked = micros(shared.started);
    let answer = kinesis.call("PutRecords", &json!({ "StreamName": stream, "Records": entries })).await;
    let completed = micros(shared.started);
    let mut ledger = life.ledger.lock();
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
    let mut history = life.history.lock();
    for (id, result) in ids.into_iter().zip(results) {
        match (place(result), result["ErrorCode"].as_str()) {
            (Some((_, _, place)), None) => {
                ledger.acknowledged(id, place);
                history.put(Put { place, invoked, completed });
            }
            // As with a whole request, the internal error leaves the outcome open.
            (None, Some("InternalFailure")) => {}
            (None, Some(_)) => ledger.refused(id),
            _ => ledger.problem(format!("PutRecords gave an entry {result}")),
        }
    }
    Ok(())
}

/// Puts to a steady stream and reads each record as soon as it is acknowledged: at it, and behind the one before it on its
/// shard.
pub async fn read_own_writes(shared: Shared, writer: u64) {
    let Some(stream) = shared.streams.iter().find(|stream| stream.role == Role::Steady) else { return };
    let Some(mut kinesis) = shared.open(stream).await else { return };
    let mut last: HashMap<String, (String, Place)> = HashMap::new();
    while !shared.ending() {
        if let Err(error) = read_own_write(&shared, stream, &mut kinesis, writer, &mut last).await {
            // A step of the clock expires iterators.
            if error.code() != "ExpiredIteratorException" && shared.failed(stream, &error).await {
                return;
            }
        }
        if !shared.pace.is_zero() {
            tokio::time::sleep(shared.pace).await;
        }
    }
}

async fn read_own_write(
    shared: &Shared,
    stream: &Stream,
    kinesis: &mut Kinesis,
    writer: u64,
    last: &mut HashMap<String, (String, Place)>,
) -> Result<(), CallError> {
    let life = stream.life.read().await.clone();
    let Some((shard, number, place)) = put_one(shared, &life, kinesis, &stream.name, writer).await? else {
        return Ok(());
    };
    let seek = json!({
        "StreamName": stream.name, "ShardId": shard,
        "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number,
    });
    let answer = kinesis.call("GetShardIterator", &seek).await?;
    let at = answer["ShardIterator"].as_str().unwrap_or_default();
    let got = verify::page(kinesis, &shard, at, Cursor::At(place.sequence), 3, shared.started).await?;
    life.history.lock().page(got.page);
    if let Some((before, earlier)) = last.insert(shard.clone(), (number, place)) {
        let iterator = kinesis.iterator(&stream.name, &shard, Some(&before)).await?;
        let cursor = Cursor::After(earlier.sequence);
        let got = verify::page(kinesis, &shard, &iterator, cursor, 1000, shared.started).await?;
        life.history.lock().page(got.page);
    }
    Ok(())
}

/// Reads behind the writers, from where the last verification ended, and notes what it sees.
pub async fn follow(shared: Shared, stream: Arc<Stream>, mut positions: Positions) {
    let Some(mut kinesis) = shared.open(&stream).await else { return };
    while !shared.ending() {
        let life = stream.life.read().await.clone();
        let mut note = |page: Page, records| {
            life.history.lock().page(page);
            let mut ledger = life.ledger.lock();
            for read in Vec::into_iter(records) {
                ledger.seen(read);
            }
        };
        if let Err(error) = verify::pass(&mut kinesis, &stream.name, &mut positions, shared.started, &mut note).await
            && error.code() != "ExpiredIteratorException"
            && shared.failed(&stream, &error).await
        {
            return;
        }
        // A pass over shards that are all at their tips takes no time; the writers need some.
        tokio::time::sleep(REST).await;
    }
}

/// The name of the consumer whose subscriptions are kept open.
pub const SUBSCRIBER: &str = "subscriber";

/// Subscribes to a stream's shards, all at once, and takes what is pushed; again and again, with the shards there are then.
pub async fn subscribe(shared: Shared, stream: Arc<Stream>, consumer: String) {
    let Some(mut kinesis) = shared.open(&stream).await else { return };
    let mut running: HashMap<String, tokio::task::JoinHandle<()>> = HashMap::new();
    while !shared.ending() {
        let shards = match kinesis.list_shards(&stream.name).await {
            Ok(shards) => shards,
            Err(error) if shared.failed(&stream, &error).await => break,
            Err(_) => Vec::new(),
        };
        for shard in shards {
            running.entry(shard.id.clone()).or_insert_with(|| {
                let (shared, stream, consumer) = (shared.clone(), Arc::clone(&stream), consumer.clone());
                tokio::spawn(async move { subscribe_to_shard(&shared, &stream, &consumer, &shard.id).await })
            });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for task in running.into_values() {
        // Its problems are in the ledger.
        let _ = task.await;
    }
}

async fn subscribe_to_shard(shared: &Shared, stream: &Stream, consumer: &str, shard: &str) {
    let life = stream.life.read().await.clone();
    let (mut cursor, mut last) = (Cursor::Oldest, None);
    while !shared.ending() {
        let invoked = micros(shared.started);
        let mut subscription = match Subscription::open(&shared.endpoint, consumer, shard, last.as_deref()).await {
            Ok(subscription) => subscription,
            // The last one has ended just now: the service wants to be asked again later.
            Err(error) if error.code() == "ResourceInUseException" => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            Err(error) => {
                shared.failed(stream, &error).await;
                return;
            }
        };
        shared.count("subscriptions");
        loop {
            let event = match subscription.next().await {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(cause) => {
                    let operation = "SubscribeToShard".to_owned();
                    shared.failed(stream, &CallError::Connection { operation, cause }).await;
                    return;
                }
            };
            if event.kind != "SubscribeToShardEvent" {
                // A clean stop ends subscriptions so.
                if !shared.ending() {
                    life.ledger.lock().problem(format!("a subscription ended with {} {}", event.kind, event.payload));
                }
                break;
            }
            let listed = event.payload["Records"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            let records: Vec<_> = verify::reads(shard, listed).collect();
            let page = Page {
                shard: shard_number(shard).unwrap_or(u32::MAX),
                cursor,
                records: records.iter().map(|read| read.place.sequence).collect(),
                behind: event.payload["MillisBehindLatest"].as_u64().unwrap_or(u64::MAX),
                invoked,
                completed: micros(shared.started),
            };
            if let Some(record) = listed.last() {
                cursor = page.records.last().map_or(cursor, |number| Cursor::After(*number));
                last = record["SequenceNumber"].as_str().map(str::to_owned);
            }
            life.history.lock().page(page);
            {
                let mut ledger = life.ledger.lock();
                records.into_iter().for_each(|read| ledger.seen(read));
            }
            shared.count("events");
            if event.payload["ChildShards"].as_array().is_some_and(|children| !children.is_empty()) {
                return;
            }
        }
    }
}
