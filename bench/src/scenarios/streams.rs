//! Cost over the number of streams that are written at once.

use std::time::Instant;

use crate::callers::{Putter, Way, read_back};
use crate::client::{Client, Protocol};
use crate::context::{Context, Running};
use crate::engine::{Called, Caller, Load, Until, run};
use crate::error::BenchError;
use crate::goals::SUBJECT;
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation};
use crate::results::{Curve, Point, Scenario};
use crate::scenarios::empty;

/// The id.
pub const ID: &str = "streams";
/// The name.
pub const NAME: &str = "1 to 1,000 streams written at once";
const STREAMS: [usize; 4] = [1, 16, 100, 1000];
/// Connections; each puts into its streams in turn, so that all numbers of streams meet the same load.
const CONNECTIONS: usize = 256;
const SHAPE: Shape = Shape::single(1024);
const WAY: Way = Way { operation: Operation::PutRecord, codec: Codec::Json, protocol: Protocol::Http1 };
/// Streams that are read back: reading all of 1,000 back would take longer than writing them.
const READ_BACK: usize = 16;

/// Puts into some streams in turn.
struct Turns {
    putters: Vec<Putter>,
    next: usize,
}

impl Caller for Turns {
    async fn call(&mut self, intended: Instant) -> Result<Called, BenchError> {
        let index = self.next % self.putters.len().max(1);
        self.next += 1;
        match self.putters.get_mut(index) {
            Some(putter) => putter.call(intended).await,
            None => Ok(Called::Over),
        }
    }
}

/// Runs all rounds: in each, all numbers of streams.
///
/// # Errors
/// When something is answered wrongly.
pub async fn scenario(context: &Context) -> Result<Scenario, BenchError> {
    let mut scenario = empty(ID, "streams", NAME);
    scenario.notes.push(format!(
        "PutRecord of 1 KB over {CONNECTIONS} connections, each of which puts into its streams in turn; the first {READ_BACK} \
         streams are read back."
    ));
    let rounds = context.rounds.min(context.set.pick(1, 3, 5));
    let counts = context.set.pick(&STREAMS[..3], &STREAMS[..], &STREAMS[..]);
    let curve = |name: &str, y: &str| Curve {
        who: SUBJECT.to_owned(),
        name: name.to_owned(),
        x: "streams".to_owned(),
        y: y.to_owned(),
        logarithmic: true,
        points: counts.iter().map(|count| Point { x: *count as f64, y: Vec::new() }).collect(),
    };
    let mut rates = curve("PutRecord 1 KB, 256 connections", "records/s");
    let mut peaks = curve("peak resident memory", "bytes");
    let mut cpu = curve("processor time per record", "µs");
    for round in 1..=rounds {
        for (index, count) in counts.iter().enumerate() {
            let running = context.start(context.subject()?)?;
            let sample = one_round(context, &running, *count, round).await?;
            running.end()?;
            println!("{NAME}, round {round}: {count} streams, {:.0} records/s", sample.rate);
            rates.points[index].y.push(sample.rate);
            peaks.points[index].y.extend(sample.memory.map(|memory| memory.peak as f64));
            cpu.points[index].y.extend(sample.cpu.and_then(|cpu| cpu.per_million_records));
        }
    }
    scenario.curves = vec![rates, peaks, cpu];
    Ok(scenario)
}

async fn one_round(
    context: &Context,
    running: &Running,
    count: usize,
    round: usize,
) -> Result<crate::results::Sample, BenchError> {
    let mut kinesis = millstream_harness::Kinesis::open(&running.endpoint).await?;
    let payload = Payload::new(SHAPE);
    let mut turns: Vec<Turns> = (0..CONNECTIONS).map(|_| Turns { putters: Vec::new(), next: 0 }).collect();
    let mut ledgers = Vec::with_capacity(count);
    for stream in 0..count {
        let name = format!("stream-{stream}");
        kinesis.create_stream(&name, 1).await?;
        let ledger = Ledger::default();
        // With fewer streams than connections, a stream has several; with more, a connection has several.
        let owners = (0..CONNECTIONS.max(count)).filter(|slot| slot % count == stream);
        for connection in owners.map(|slot| slot % CONNECTIONS) {
            let clients = Client::open(&running.endpoint, WAY.protocol, 1).await?;
            turns[connection].putters.extend(Putter::new(clients, WAY, &name, &payload, &ledger)?);
        }
        ledgers.push((name, ledger));
    }
    let until = Until::Time { warm_up: context.warm_up, time: context.time };
    let load = Load { pace: Pace::Closed, until, tolerant: false };
    let (tally, _) = run(load, turns, Some(running.process())).await?;
    let mut sample = tally.sample(round);
    for (name, ledger) in ledgers.iter().take(READ_BACK) {
        sample.records_verified += read_back(&running.endpoint, name, &payload, ledger).await?;
    }
    Ok(sample)
}
