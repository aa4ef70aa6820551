//! AT_TIMESTAMP over what is stored: a search costs the same in much as in little, a scan does not.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_harness::Kinesis;
use serde_json::json;

use crate::ceilings::disk;
use crate::context::{Context, SHARDS, STREAM};
use crate::error::BenchError;
use crate::goals::{PEAK, SUBJECT, at_most, less};
use crate::ledger::Ledger;
use crate::payload::Payload;
use crate::results::{Curve, Figure, Point, Scenario, median};
use crate::scenarios::catch_up::{SHAPE, fill};
use crate::scenarios::empty;

/// The id.
pub const ID: &str = "timestamp";
/// The name.
pub const NAME: &str = "GetShardIterator AT_TIMESTAMP and its first record, over what is stored";
/// Searches at each size.
const SEARCHES: usize = 20;
/// What a search may read from the device, however much is stored.
const SEARCH_READS: f64 = 4.0 * 1024.0 * 1024.0;

/// Runs it.
///
/// # Errors
/// When something is answered wrongly.
pub async fn scenario(context: &Context) -> Result<Scenario, BenchError> {
    let mut scenario = empty(ID, "timestamp", NAME);
    scenario.notes.push(format!(
        "{SEARCHES} searches at each size, for moments spread evenly over the time of writing; each asks for the iterator and \
         the first record (Limit 1). Cold: the files are put out of the page cache before each."
    ));
    let sizes: &[u64] = context.set.pick(&[64, 512], &[64, 512, 2048], &[64, 512, 2048, 10_240]);
    let running = context.start_with(context.subject()?, SHARDS).await?;
    let (payload, ledger) = (Payload::new(SHAPE), Ledger::default());
    let mut kinesis = Kinesis::open(&running.endpoint).await?;
    let curve = |name: &str, y: &str| Curve {
        who: SUBJECT.to_owned(),
        name: name.to_owned(),
        x: "bytes stored".to_owned(),
        y: y.to_owned(),
        logarithmic: true,
        points: Vec::new(),
    };
    let mut curves = [
        curve("search, warm", "ms"),
        curve("search, cold", "ms"),
        curve("bytes read from the device by a search, cold", "bytes"),
        curve("processor time of a search, warm", "µs"),
    ];
    let began = now();
    for size in sizes {
        let bytes = size << 20;
        let missing = bytes.saturating_sub(ledger.taken() * SHAPE.record_bytes as u64);
        fill(&running, STREAM, &payload, &ledger, missing / SHAPE.record_bytes as u64).await?;
        // Marks and indexes are written within a second of the last put.
        tokio::time::sleep(Duration::from_secs(2)).await;
        // In the last moments not every shard need have been written to.
        let ended = began + (now() - 2.0 - began) * 0.9;
        let mut found: [Vec<f64>; 4] = Default::default();
        let spent = running.process().spent();
        for index in 0..SEARCHES {
            let moment = began + (ended - began) * index as f64 / SEARCHES as f64;
            found[0].push(search(&mut kinesis, moment).await?);
        }
        let spent = running.process().spent().since(spent).total();
        found[3].push(spent / SEARCHES as f64 * 1e6);
        for index in 0..SEARCHES / 4 {
            let moment = began + (ended - began) * index as f64 / (SEARCHES / 4) as f64;
            disk::cool(&running.dir.join("data"))?;
            let before = running.process().moved().read;
            found[1].push(search(&mut kinesis, moment).await?);
            found[2].push((running.process().moved().read - before) as f64);
        }
        println!(
            "{NAME}: {size} MiB, {:.2} ms warm, {:.2} ms cold, {:.0} bytes read",
            median(&found[0]),
            median(&found[1]),
            median(&found[2])
        );
        for (curve, y) in curves.iter_mut().zip(found) {
            curve.points.push(Point { x: bytes as f64, y });
        }
    }
    let samples = vec![running.process().peak()? as f64];
    let unit = "bytes".to_owned();
    scenario.figures.push(Figure { who: SUBJECT.to_owned(), name: PEAK.to_owned(), unit, samples });
    running.end()?;
    let middle = |point: Option<&Point>| point.map_or(f64::NAN, |point| median(&point.y));
    let stored = curves[0].points.last().map_or(0.0, |point| point.x);
    scenario.reduced = less(stored / 1e9, 10.0, "GB");
    for curve in &curves[..2] {
        let ratio = middle(curve.points.last()) / middle(curve.points.first());
        let what = format!("{} in the largest ÷ in the smallest size", curve.name);
        scenario.goals.push(at_most(&what, ratio, 3.0));
    }
    let read = middle(curves[2].points.last());
    scenario.goals.push(at_most("bytes read from the device by a cold search in the largest size", read, SEARCH_READS));
    scenario.curves = curves.to_vec();
    Ok(scenario)
}

/// Milliseconds of one search.
async fn search(kinesis: &mut Kinesis, moment: f64) -> Result<f64, BenchError> {
    let started = Instant::now();
    let input = json!({
        "StreamName": STREAM,
        "ShardId": "shardId-000000000001",
        "ShardIteratorType": "AT_TIMESTAMP",
        "Timestamp": moment,
    });
    let answer = kinesis.call("GetShardIterator", &input).await?;
    let page = kinesis.call("GetRecords", &json!({ "ShardIterator": answer["ShardIterator"], "Limit": 1 })).await?;
    let taken = started.elapsed().as_secs_f64() * 1000.0;
    let arrived = page["Records"][0]["ApproximateArrivalTimestamp"].as_f64();
    match arrived {
        // Stamps are in milliseconds.
        Some(arrived) if arrived >= moment - 0.001 => Ok(taken),
        _ => Err(BenchError::ReadBack(format!("AT_TIMESTAMP {moment} gave a record of {arrived:?}"))),
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
