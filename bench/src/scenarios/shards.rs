//! Cost over the number of shards of a stream: puts spread over all of them, reading all of them, and reading one of many.

use std::rc::Rc;
use std::time::{Duration, Instant};

use millstream_harness::Kinesis;

use crate::callers::{Noting, Putter, Reader, iterators};
use crate::ceilings::disk;
use crate::client::{Client, Protocol};
use crate::context::{Context, Running, STREAM};
use crate::engine::{Load, Until, run};
use crate::error::BenchError;
use crate::goals::{SUBJECT, at_least, at_most};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::Payload;
use crate::requests::Codec;
use crate::results::{Curve, Figure, Goal, Point, Scenario, median};
use crate::scenarios::catch_up::{FILL, SHAPE, to_the_end};
use crate::scenarios::empty;

/// The id.
pub const ID: &str = "shards";
/// The name.
pub const NAME: &str = "1 to 10,000 shards in a stream";
const SHARDS: [u32; 4] = [1, 100, 1000, 10_000];
/// Connections that put and read.
const CONNECTIONS: usize = 4;
/// How long sealed segments may take to be sorted by shard after the last put.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// What was found with so many shards.
#[derive(Debug, Default)]
struct Found {
    writes: Vec<f64>,
    reads: Vec<f64>,
    write_amplification: Vec<f64>,
    read_amplification: Option<f64>,
}

/// Runs all rounds: in each, all numbers of shards.
///
/// # Errors
/// When something is answered wrongly.
pub async fn scenario(context: &Context) -> Result<Scenario, BenchError> {
    let mut scenario = empty(ID, "shards", NAME);
    let rounds = context.rounds.min(context.set.pick(1, 3, 5));
    let counts = context.set.pick(&SHARDS[..3], &SHARDS[..], &SHARDS[..]);
    let mut found: Vec<Found> = counts.iter().map(|_| Found::default()).collect();
    for round in 1..=rounds {
        for (count, found) in counts.iter().zip(&mut found) {
            one_round(context, *count, round == rounds, found).await?;
            println!(
                "{NAME}, round {round}: {count} shards, {:.0} records/s put, {:.0} records/s read, {:.2} bytes written per byte",
                found.writes.last().copied().unwrap_or_default(),
                found.reads.last().copied().unwrap_or_default(),
                found.write_amplification.last().copied().unwrap_or_default(),
            );
        }
    }
    let curve = |name: &str, y: &str, of: fn(&Found) -> Vec<f64>| Curve {
        who: SUBJECT.to_owned(),
        name: name.to_owned(),
        x: "shards".to_owned(),
        y: y.to_owned(),
        logarithmic: true,
        points: counts.iter().zip(&found).map(|(x, found)| Point { x: f64::from(*x), y: of(found) }).collect(),
    };
    scenario.curves = vec![
        curve("PutRecords 500 × 1 KB, 4 connections", "records/s", |found| found.writes.clone()),
        curve("catch-up of all shards, 4 connections, warm", "records/s", |found| found.reads.clone()),
        curve("bytes written to the device per byte of data", "", |found| found.write_amplification.clone()),
    ];
    if let (Some(one), Some(most), Some(count)) = (found.first(), found.last(), counts.last()) {
        let mut goals: Vec<Goal> = counts
            .iter()
            .zip(&found)
            .skip(1)
            .flat_map(|(count, found)| {
                let writes = median(&found.writes) / median(&one.writes);
                let reads = median(&found.reads) / median(&one.reads);
                [
                    at_least(&format!("puts with {count} shards ÷ with 1"), writes, 0.9),
                    at_least(&format!("catch-up of {count} shards ÷ of 1"), reads, 0.5),
                ]
            })
            .collect();
        if let Some(amplification) = most.read_amplification {
            let name = format!("bytes read from the device for one shard of {count} ÷ its own");
            goals.push(at_most(&name, amplification, 3.0));
            let samples = vec![amplification];
            scenario.figures.push(Figure { who: SUBJECT.to_owned(), name, unit: String::new(), samples });
        }
        scenario.goals = goals;
    }
    Ok(scenario)
}

async fn one_round(context: &Context, shards: u32, last: bool, found: &mut Found) -> Result<(), BenchError> {
    let running = context.start_with(context.subject()?, shards).await?;
    let (payload, ledger) = (Payload::new(SHAPE), Ledger::default());
    let clients = Client::open(&running.endpoint, FILL.protocol, CONNECTIONS).await?;
    let putters = Putter::new(clients, FILL, STREAM, &payload, &ledger)?;
    let until = Until::Time { warm_up: context.warm_up, time: context.time };
    let load = Load { pace: Pace::Closed, until, tolerant: false };
    let (tally, _) = run(load, putters, Some(running.process())).await?;
    found.writes.push(tally.records as f64 / tally.time.as_secs_f64());
    let data = ledger.taken() * SHAPE.counted_bytes() as u64;
    settle(&running).await;
    found.write_amplification.push(running.process().moved().written as f64 / data as f64);
    let iterators = iterators(&running.endpoint, STREAM).await?;
    let clients = Client::open(&running.endpoint, Protocol::Http1, CONNECTIONS).await?;
    let readers = Reader::new(clients, Codec::Json, &payload, Noting::Into(ledger.clone()), iterators);
    let (tally, _) = run(to_the_end(), readers, Some(running.process())).await?;
    found.reads.push(tally.records as f64 / tally.time.as_secs_f64());
    ledger.close()?;
    if last && shards > 1 {
        found.read_amplification = Some(one_shard(context, running, &payload).await?);
        return Ok(());
    }
    running.end()
}

/// Waits until the server writes nothing more.
async fn settle(running: &Running) {
    let started = Instant::now();
    let mut before = running.process().moved().written;
    while started.elapsed() < SETTLE_LIMIT {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let written = running.process().moved().written;
        // What a second's marks and stamps take is no sorting.
        if written.saturating_sub(before) < 1 << 20 {
            break;
        }
        before = written;
    }
}

/// Bytes read from the device to read one shard of many from a cold cache, divided by that shard's own.
async fn one_shard(context: &Context, running: Running, payload: &Rc<Payload>) -> Result<f64, BenchError> {
    let dir = running.stop()?;
    disk::cool(&dir.join("data"))?;
    let running = context.restart(context.subject()?, &dir)?;
    let mut kinesis = Kinesis::open(&running.endpoint).await?;
    let shards = kinesis.list_shards(STREAM).await?;
    let shard = shards.get(shards.len() / 2).ok_or_else(|| BenchError::Conditions("no shards".to_owned()))?;
    let iterator = kinesis.iterator(STREAM, &shard.id, None).await?;
    // What start-up and the catalog read is not what reading the shard reads.
    settle(&running).await;
    let before = running.process().moved().read;
    let clients = Client::open(&running.endpoint, Protocol::Http1, 1).await?;
    let readers = Reader::new(clients, Codec::Json, payload, Noting::Nothing, vec![iterator]);
    let (tally, _) = run(to_the_end(), readers, Some(running.process())).await?;
    let read = running.process().moved().read - before;
    running.end()?;
    if tally.bytes == 0 {
        return Err(BenchError::ReadBack("the shard has no records".to_owned()));
    }
    Ok(read as f64 / tally.bytes as f64)
}
