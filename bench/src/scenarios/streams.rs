//! Cost over the number of streams that are written at once.

use std::time::{Duration, Instant};

use millstream_harness::Connection;

use crate::callers::{Putter, Way, read_back};
use crate::ceilings::disk;
use crate::client::{Client, Protocol};
use crate::context::{Context, Running};
use crate::engine::{Called, Caller, Load, Until, run};
use crate::error::BenchError;
use crate::goals::{PEAK, RAW, SUBJECT, cpu, rate, row};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation};
use crate::results::{Curve, Measured, Point, Sample, Scenario};
use crate::scenarios::empty;
use crate::scenarios::put::say;

/// The id.
pub const ID: &str = "streams";
/// The name.
pub const NAME: &str = "1 to 1,000 streams written at once";
const STREAMS: [usize; 4] = [1, 16, 100, 1000];
/// Connections; each puts into its streams in turn, so that all numbers of streams meet the same load.
const CONNECTIONS: usize = 256;
const SHAPE: Shape = Shape::single(1024);
const WAY: Way = Way { operation: Operation::PutRecord, codec: Codec::Json, protocol: Protocol::Http1 };
/// Files that the raw loop syncs at once.
const RAW_FILES: [usize; 2] = [1, 16];
const RAW_TIME: Duration = Duration::from_secs(1);
/// The server's own count of the log's syncs.
const SYNCS: &str = "millstream_log_sync_seconds_count ";
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
/// None: rounds that fail are failures in their rows.
pub async fn scenario(context: &Context) -> Result<Scenario, BenchError> {
    let mut scenario = empty(ID, "streams", NAME);
    scenario.notes.push(format!(
        "PutRecord of 1 KB over {CONNECTIONS} connections, each of which puts into its streams in turn; the first {READ_BACK} \
         streams are read back. Beside it, what the device gives to threads that each append 16 KiB to a file of their own and \
         sync it."
    ));
    let rounds = context.fewer_rounds();
    let counts = context.set.pick(&STREAMS[..3], &STREAMS[..], &STREAMS[..]);
    let part = |count: &usize| format!("{count} stream{}", if *count == 1 { "" } else { "s" });
    let mut rows: Vec<(Measured, Vec<f64>)> =
        counts.iter().map(|count| (row(SUBJECT, &part(count), "requests"), Vec::new())).collect();
    let mut raw = RAW_FILES.map(|files| row(RAW, &format!("16 KiB, {files} files at once"), "appends"));
    for round in 1..=rounds {
        for (files, measured) in RAW_FILES.iter().zip(&mut raw) {
            let work = async { disk::parallel(&context.fresh(RAW)?, *files, disk::SMALL, RAW_TIME, round) };
            let sample = context.attempt(NAME, measured, round, work).await;
            measured.samples.extend(sample);
        }
        for (count, (measured, syncs)) in counts.iter().zip(&mut rows) {
            let work = one_round(context, *count, round);
            let Some((sample, synced)) = context.attempt(NAME, measured, round, work).await else { continue };
            say(&part(count), round, SUBJECT, &sample);
            measured.samples.push(sample);
            syncs.extend(synced);
        }
    }
    let curve = |name: &str, y: &str, values: Vec<Vec<f64>>| Curve {
        who: SUBJECT.to_owned(),
        name: name.to_owned(),
        x: "streams".to_owned(),
        y: y.to_owned(),
        logarithmic: true,
        points: counts.iter().zip(values).map(|(count, y)| Point { x: *count as f64, y }).collect(),
    };
    let each = |of: fn(&Sample) -> Option<f64>| {
        rows.iter().map(|(measured, _)| measured.samples.iter().filter_map(of).collect()).collect()
    };
    scenario.curves = vec![
        curve("PutRecord 1 KB, 256 connections", "records/s", each(rate)),
        curve("syncs of the log", "syncs/s", rows.iter().map(|(_, syncs)| syncs.clone()).collect()),
        curve(PEAK, "bytes", each(|sample| sample.memory.as_ref().map(|memory| memory.peak as f64))),
        curve("processor time per record", "µs", each(cpu)),
    ];
    scenario.measured = rows.into_iter().map(|(measured, _)| measured).chain(raw).collect();
    Ok(scenario)
}

/// How many syncs the server has counted, where it counts them.
async fn syncs(running: &Running) -> Option<f64> {
    let host = running.endpoint.address;
    let request = format!("GET /_millstream/metrics HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let mut connection = Connection::open(host).await.ok()?;
    let answer = connection.send(request.as_bytes()).await.ok()?;
    counted(&String::from_utf8_lossy(answer.body))
}

/// The number of syncs in Prometheus' text format.
fn counted(metrics: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(SYNCS)).and_then(|rest| rest.trim().parse().ok())
}

/// What a round gave, and the syncs per second of all of it.
async fn one_round(context: &Context, count: usize, round: usize) -> Result<(Sample, Option<f64>), BenchError> {
    let running = context.start(context.subject()?)?;
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
    let before = syncs(&running).await;
    let (tally, _) = run(load, turns, Some(running.process())).await?;
    let seconds = (context.warm_up + context.time).as_secs_f64();
    let synced = before.zip(syncs(&running).await).map(|(before, after)| (after - before) / seconds);
    let mut sample = tally.sample(round);
    for (name, ledger) in ledgers.iter().take(READ_BACK) {
        sample.records_verified += read_back(&running.endpoint, name, &payload, ledger).await?;
    }
    running.end()?;
    Ok((sample, synced))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_are_found_among_the_metrics() {
        let text = "# TYPE millstream_log_sync_seconds histogram\nmillstream_log_sync_seconds_sum 0.5\n\
                    millstream_log_sync_seconds_count 421\n";
        assert_eq!(counted(text), Some(421.0));
        assert_eq!(counted(""), None);
    }
}
