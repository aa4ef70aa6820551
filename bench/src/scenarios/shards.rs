//! Cost over the number of shards of a stream: puts spread over all of them, reading all of them, and reading one of many.

use std::rc::Rc;

use millstream_harness::Kinesis;

use crate::callers::{Noting, Putter, Reader, iterators};
use crate::ceilings::disk;
use crate::client::{Client, Protocol};
use crate::context::{Context, Running, STREAM};
use crate::engine::{Load, Until, run};
use crate::error::BenchError;
use crate::goals::{SUBJECT, at_least, at_most, few_rounds, middle, over, reduced, row};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::Payload;
use crate::requests::Codec;
use crate::results::{Curve, Figure, Goal, Measured, Point, Sample, Scenario};
use crate::scenarios::catch_up::{FILL, SHAPE, fill, to_the_end};
use crate::scenarios::empty;
use crate::scenarios::put::say;

/// The id.
pub const ID: &str = "shards";
/// The name.
pub const NAME: &str = "1 to 10,000 shards in a stream";
const SHARDS: [u32; 4] = [1, 100, 1000, 10_000];
/// What each shard holds at least before it is read: pages of a few records would compare requests, not reading.
const RECORDS_EACH: u64 = 100;
/// Connections that put and read.
const CONNECTIONS: usize = 4;
/// What was found with so many shards.
#[derive(Debug)]
struct Found {
    shards: u32,
    writes: Measured,
    reads: Measured,
    write_amplification: Vec<f64>,
    read_amplification: Option<[f64; 2]>,
}

impl Found {
    fn new(shards: u32) -> Self {
        Self {
            shards,
            writes: row(SUBJECT, &part("puts", shards), "requests"),
            reads: row(SUBJECT, &part("catch-up", shards), "requests"),
            write_amplification: Vec::new(),
            read_amplification: None,
        }
    }
}

fn part(what: &str, shards: u32) -> String {
    format!("{what}, {shards} shard{}", if shards == 1 { "" } else { "s" })
}

/// Runs all rounds: in each, all numbers of shards.
///
/// # Errors
/// None: rounds that fail are failures in their rows.
pub async fn scenario(context: &Context) -> Result<Scenario, BenchError> {
    let mut scenario = empty(ID, "shards", NAME);
    let rounds = context.fewer_rounds();
    scenario.reduced = reduced([few_rounds(rounds)]);
    scenario.notes.push(format!(
        "Catch-up reads over {CONNECTIONS} connections at every size: of one shard, {CONNECTIONS} readers each read all of it; of \
         more, each reads its part of the shards, of which each holds {RECORDS_EACH} records or more. The page cache is warm."
    ));
    let counts = context.set.pick(&SHARDS[..3], &SHARDS[..], &SHARDS[..]);
    let mut found: Vec<Found> = counts.iter().map(|count| Found::new(*count)).collect();
    for round in 1..=rounds {
        for found in &mut found {
            let work = one_round(context, found.shards, round, round == rounds);
            let Some(done) = context.attempt(NAME, &mut found.writes, round, work).await else { continue };
            say(&part("puts", found.shards), round, SUBJECT, &done.writes);
            say(&part("catch-up", found.shards), round, SUBJECT, &done.reads);
            println!("   {:.2} bytes written per byte", done.write_amplification);
            found.writes.samples.push(done.writes);
            found.reads.samples.push(done.reads);
            found.write_amplification.push(done.write_amplification);
            found.read_amplification = done.read_amplification;
        }
    }
    let curve = |name: &str, y: &str, of: fn(&Found) -> Vec<f64>| Curve {
        who: SUBJECT.to_owned(),
        name: name.to_owned(),
        x: "shards".to_owned(),
        y: y.to_owned(),
        logarithmic: true,
        points: found.iter().map(|found| Point { x: f64::from(found.shards), y: of(found) }).collect(),
    };
    scenario.curves = vec![
        curve("PutRecords 500 × 1 KB, 4 connections", "records/s", |found| records(&found.writes)),
        curve("catch-up of all shards, 4 connections, warm", "records/s", |found| records(&found.reads)),
        curve("bytes written to the device per byte of data", "", |found| found.write_amplification.clone()),
    ];
    let one_shard = found.last().map(|found| (found.shards, found.read_amplification));
    for found in found {
        scenario.measured.extend([found.writes, found.reads]);
    }
    scenario.goals = judge(&scenario, counts);
    if let Some((count, amplification)) = one_shard {
        let name = format!("bytes read from the device for one shard of {count} ÷ its own");
        scenario.goals.push(at_most(&name, amplification.map(|[_, next]| next), 3.0));
        let (first, next) = amplification.map(|[first, next]| (first, next)).unzip();
        for (name, value) in [(format!("{name}, first after a start"), first), (name, next)] {
            let samples = value.into_iter().collect();
            scenario.figures.push(Figure { who: SUBJECT.to_owned(), name, unit: String::new(), samples });
        }
    }
    Ok(scenario)
}

fn records(measured: &Measured) -> Vec<f64> {
    measured.samples.iter().map(|sample| sample.records_per_second).collect()
}

fn judge(scenario: &Scenario, counts: &[u32]) -> Vec<Goal> {
    let compared = |name: String, what: &str, count: u32, wanted: f64| {
        let (many, one) = (part(what, count), part(what, 1));
        let of = |part: &str| middle(scenario, SUBJECT, part, |sample| Some(sample.records_per_second));
        at_least(&name, over(of(&many), of(&one)), wanted).of(scenario, &[(SUBJECT, &many), (SUBJECT, &one)])
    };
    let of_count = |count: &u32| {
        [
            compared(format!("puts with {count} shards ÷ with 1"), "puts", *count, 0.9),
            compared(format!("catch-up of {count} shards ÷ of 1"), "catch-up", *count, 0.5),
        ]
    };
    counts.iter().skip(1).flat_map(of_count).collect()
}

/// What a round gave.
struct Done {
    writes: Sample,
    reads: Sample,
    write_amplification: f64,
    read_amplification: Option<[f64; 2]>,
}

async fn one_round(context: &Context, shards: u32, round: usize, last: bool) -> Result<Done, BenchError> {
    let running = context.start_with(context.subject()?, shards).await?;
    let (payload, ledger) = (Payload::new(SHAPE), Ledger::default());
    let clients = Client::open(&running.endpoint, FILL.protocol, CONNECTIONS).await?;
    let putters = Putter::new(clients, FILL, STREAM, &payload, &ledger)?;
    let until = Until::Time { warm_up: context.warm_up, time: context.time };
    let load = Load { pace: Pace::Closed, until, tolerant: false };
    let (tally, _) = run(load, putters, Some(running.process())).await?;
    let writes = tally.sample(round);
    let missing = (u64::from(shards) * RECORDS_EACH).saturating_sub(ledger.taken());
    if missing > 0 {
        fill(&running, STREAM, &payload, &ledger, missing).await?;
    }
    let data = ledger.taken() * SHAPE.counted_bytes() as u64;
    running.settle().await;
    let write_amplification = running.process().moved().written as f64 / data as f64;
    let reads = read(&running, &payload, &ledger, round).await?;
    let read_amplification = match last && shards > 1 {
        true => Some(one_shard(context, running, &payload).await?),
        false => {
            running.end()?;
            None
        }
    };
    Ok(Done { writes, reads, write_amplification, read_amplification })
}

/// Reads everything over as many connections whatever the number of shards: more readers at once would be another load.
async fn read(running: &Running, payload: &Rc<Payload>, ledger: &Ledger, round: usize) -> Result<Sample, BenchError> {
    let iterators = iterators(&running.endpoint, STREAM).await?;
    let mut readers = Vec::new();
    let mut ledgers = vec![ledger.clone()];
    if iterators.len() == 1 {
        // Each reads every record, so each has an account of its own.
        ledgers.extend((1..CONNECTIONS).map(|_| ledger.copy()));
        for ledger in &ledgers {
            let client = Client::open(&running.endpoint, Protocol::Http1, 1).await?;
            let noting = Noting::Into(ledger.clone());
            readers.extend(Reader::new(client, Codec::Json, payload, noting, iterators.clone()));
        }
    } else {
        let clients = Client::open(&running.endpoint, Protocol::Http1, CONNECTIONS).await?;
        readers.extend(Reader::new(clients, Codec::Json, payload, Noting::Into(ledger.clone()), iterators));
    }
    let (tally, _) = run(to_the_end(), readers, Some(running.process())).await?;
    let mut sample = tally.sample(round);
    for ledger in ledgers {
        sample.records_verified += ledger.close()?;
    }
    Ok(sample)
}

/// Bytes read from the device to read a shard of many, divided by its own: of the first one after a start with a cold page
/// cache, which the segments' tables and indexes are read for, and of the next one.
async fn one_shard(context: &Context, running: Running, payload: &Rc<Payload>) -> Result<[f64; 2], BenchError> {
    let dir = running.stop()?;
    disk::cool(&dir.join("data"))?;
    let running = context.restart(context.subject()?, &dir)?;
    let mut kinesis = Kinesis::open(&running.endpoint).await?;
    let shards = kinesis.list_shards(STREAM).await?;
    // What start-up and the catalog read is not what reading the shard reads.
    running.settle().await;
    let mut found = [0.0; 2];
    for (found, at) in found.iter_mut().zip([shards.len() / 4, shards.len() / 2]) {
        let shard = shards.get(at).ok_or_else(|| BenchError::Conditions("no shards".to_owned()))?;
        let iterator = kinesis.iterator(STREAM, &shard.id, None).await?;
        let before = running.process().moved().read;
        let clients = Client::open(&running.endpoint, Protocol::Http1, 1).await?;
        let readers = Reader::new(clients, Codec::Json, payload, Noting::Nothing, vec![iterator]);
        let (tally, _) = run(to_the_end(), readers, Some(running.process())).await?;
        if tally.bytes == 0 {
            return Err(BenchError::ReadBack("the shard has no records".to_owned()));
        }
        *found = (running.process().moved().read - before) as f64 / tally.bytes as f64;
        // A reader that met an unsorted segment has it sorted: that is not the next one's.
        running.settle().await;
    }
    running.end()?;
    Ok(found)
}
