//! Puts: how many, how long they take, and how that compares with the disk, with a server that only answers, and with peers.

use std::time::Duration;

use crate::callers::{Putter, Way, read_back};
use crate::ceilings::{constant, disk};
use crate::client::{Client, Protocol};
use crate::contestants::{Ability, Contestant};
use crate::context::{Context, Running, SHARDS, STREAM};
use crate::engine::{Load, Tally, Until, run};
use crate::error::BenchError;
use crate::goals::{
    CONSTANT, RAW, SUBJECT, UNSTABLE_NOTE, at_least, at_most, bytes, if_so, middle, p50, p99, rate, raw, row,
};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation};
use crate::results::{Failure, Goal, Measured, Sample, Scenario};
use crate::scenarios::empty;

/// How long the raw loop runs with each piece.
const RAW_TIME: Duration = Duration::from_millis(300);

/// Puts of one shape in one way over some connections.
#[derive(Debug, Clone, Copy)]
pub struct Puts {
    /// Its id.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What is put.
    pub shape: Shape,
    /// How.
    pub way: Way,
    /// Connections, or streams of an HTTP/2 connection.
    pub connections: usize,
}

const KIB: usize = 1024;
/// A stream's limit is for data and key together.
const LARGE: usize = 10 * KIB * KIB - 64;
const MANY: Shape = Shape { per_request: 500, record_bytes: KIB };
const SMALL: Shape = Shape { per_request: 500, record_bytes: 100 };
const JSON: Way = Way { operation: Operation::PutRecord, codec: Codec::Json, protocol: Protocol::Http1 };
const JSON_MANY: Way = Way { operation: Operation::PutRecords, ..JSON };

macro_rules! puts {
    ($id:literal, $name:literal, $shape:expr, $way:expr, $connections:literal) => {
        Puts { id: $id, name: $name, shape: $shape, way: $way, connections: $connections }
    };
}

/// All of them.
#[rustfmt::skip]
pub const ALL: [Puts; 13] = [
    puts!("put-records-1k-4", "PutRecords 500 × 1 KB, 4 connections", MANY, JSON_MANY, 4),
    puts!("put-records-1k-16", "PutRecords 500 × 1 KB, 16 connections", MANY, JSON_MANY, 16),
    puts!("put-records-100b-4", "PutRecords 500 × 100 B, 4 connections", SMALL, JSON_MANY, 4),
    puts!("put-record-1k-1", "PutRecord 1 KB, 1 connection", Shape::single(KIB), JSON, 1),
    puts!("put-record-1k-16", "PutRecord 1 KB, 16 connections", Shape::single(KIB), JSON, 16),
    puts!("put-record-1k-64", "PutRecord 1 KB, 64 connections", Shape::single(KIB), JSON, 64),
    puts!("put-record-1k-256", "PutRecord 1 KB, 256 connections", Shape::single(KIB), JSON, 256),
    puts!("put-record-1m-4", "PutRecord 1 MiB, 4 connections", Shape::single(KIB * KIB - 64), JSON, 4),
    puts!("put-record-10m-4", "PutRecord 10 MiB, 4 connections", Shape::single(LARGE), JSON, 4),
    puts!("put-records-1k-4-cbor", "PutRecords 500 × 1 KB, 4 connections, CBOR", MANY, Way { codec: Codec::Cbor, ..JSON_MANY }, 4),
    puts!("put-record-1k-64-cbor", "PutRecord 1 KB, 64 connections, CBOR", Shape::single(KIB), Way { codec: Codec::Cbor, ..JSON }, 64),
    puts!("put-records-1k-4-http2", "PutRecords 500 × 1 KB, 4 streams of HTTP/2", MANY, Way { protocol: Protocol::Http2, ..JSON_MANY }, 4),
    puts!("put-record-1k-64-http2", "PutRecord 1 KB, 64 streams of HTTP/2", Shape::single(KIB), Way { protocol: Protocol::Http2, ..JSON }, 64),
];

impl Puts {
    /// Whether a contestant can take part.
    fn can(&self, who: &Contestant) -> bool {
        (self.way.codec == Codec::Json || who.can(Ability::Cbor))
            && (self.way.protocol == Protocol::Http1 || who.can(Ability::Http2))
            && (self.shape.counted_bytes() <= KIB * KIB || who.can(Ability::LargeRecords))
    }

    /// Runs all rounds.
    ///
    /// # Errors
    /// When a ceiling cannot be measured. A contestant that fails has failures in its row.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        let mut scenario = empty(self.id, "put", self.name);
        let payload = Payload::new(self.shape);
        let contestants: Vec<&Contestant> = context.contestants.iter().filter(|who| self.can(who)).collect();
        let mut raw_rows = raw_rows(self.shape);
        let mut constant_row = row(CONSTANT, "", "requests");
        let mut rows: Vec<Measured> = contestants.iter().map(|who| row(who.id(), "", "requests")).collect();
        for round in 1..=context.rounds {
            for (measured, piece) in &mut raw_rows {
                measured.samples.push(context.disk.appends(*piece, RAW_TIME, round)?);
            }
            for (who, measured) in contestants.iter().zip(&mut rows) {
                match self.round(context, who, &payload, round).await {
                    Ok((sample, answer)) => {
                        say(self.name, round, who.id(), &sample);
                        measured.samples.push(sample);
                        if who.is_subject() {
                            let sample = self.constant(context, &payload, &answer, round).await?;
                            say(self.name, round, CONSTANT, &sample);
                            constant_row.samples.push(sample);
                        }
                    }
                    Err(error) => {
                        println!("{}, round {round}: {} failed: {error}", self.name, who.id());
                        measured.failures.push(Failure { round, reason: error.to_string() });
                    }
                }
            }
        }
        scenario.measured.extend(rows);
        scenario.measured.push(constant_row);
        scenario.measured.extend(raw_rows.into_iter().map(|(measured, _)| measured));
        self.judge(&mut scenario);
        Ok(scenario)
    }

    /// One round of one contestant, and an answer of its as it came.
    async fn round(
        &self,
        context: &Context,
        who: &Contestant,
        payload: &std::rc::Rc<Payload>,
        round: usize,
    ) -> Result<(Sample, Vec<u8>), BenchError> {
        let running = context.start_for(who, SHARDS, self.shape.counted_bytes()).await?;
        let ledger = Ledger::default();
        let (tally, answer) = self.load(context, &running, payload, &ledger).await?;
        let mut sample = tally.sample(round);
        sample.records_verified = read_back(&running.endpoint, STREAM, payload, &ledger).await?;
        running.end()?;
        Ok((sample, answer))
    }

    async fn load(
        &self,
        context: &Context,
        running: &Running,
        payload: &std::rc::Rc<Payload>,
        ledger: &Ledger,
    ) -> Result<(Tally, Vec<u8>), BenchError> {
        let clients = Client::open(&running.endpoint, self.way.protocol, self.connections).await?;
        let mut putters = Putter::new(clients, self.way, STREAM, payload, ledger)?;
        let answer = match putters.first_mut() {
            Some(putter) => putter.sample_answer().await?,
            None => Vec::new(),
        };
        let until = Until::Time { warm_up: context.warm_up, time: context.time };
        let load = Load { pace: Pace::Closed, until, tolerant: false };
        let (tally, _) = run(load, putters, Some(running.process())).await?;
        Ok((tally, answer))
    }

    /// The same requests to a server that gives the same answer to all of them.
    async fn constant(
        &self,
        context: &Context,
        payload: &std::rc::Rc<Payload>,
        answer: &[u8],
        round: usize,
    ) -> Result<Sample, BenchError> {
        let dir = context.fresh()?;
        let server = constant::start(&dir, answer, self.way.codec)?;
        let endpoint = crate::contestants::endpoint(&server)?;
        let running = Running { server, endpoint, dir };
        let (tally, _) = self.load(context, &running, payload, &Ledger::default()).await?;
        running.end()?;
        Ok(tally.sample(round))
    }

    fn judge(&self, scenario: &mut Scenario) {
        let Some((raw, unstable)) = raw(scenario) else { return };
        scenario.device_unstable = unstable;
        let of = |who: &str, of: fn(&Sample) -> Option<f64>| middle(scenario, who, "", of);
        let (Some(ours), Some(our_rate)) = (of(SUBJECT, bytes), of(SUBJECT, rate)) else { return };
        let mut goals = Vec::new();
        let stable = |goal: Goal| if_so(goal, !unstable, UNSTABLE_NOTE);
        let peer = |who: &str| of(who, rate).map(|peer| our_rate / peer);
        match (self.way.operation, self.shape.record_bytes) {
            (Operation::PutRecords, size) => {
                if let Some(constant) = of(CONSTANT, bytes) {
                    let bound = raw.min(0.6 * constant);
                    if size == KIB {
                        let what = "÷ min(raw, 0.6 × constant-answer server), bytes";
                        goals.push(stable(at_least(what, ours / bound, 0.75)));
                    }
                    if let (Some(ratio), Some(peer)) = (peer("ferrokinesis"), of("ferrokinesis", bytes)) {
                        let wanted = if size == KIB { 14.0 } else { 10.0 };
                        let goal = at_least("÷ ferrokinesis (memory)", ratio, wanted);
                        let note = format!("the bound is {:.1} × ferrokinesis", bound / peer);
                        goals.push(if_so(goal, bound / peer >= wanted, &note));
                    }
                }
                if size == KIB
                    && let Some(ratio) = peer("ferrokinesis-state-dir")
                {
                    goals.push(at_least("÷ ferrokinesis --state-dir", ratio, 100.0));
                }
            }
            (Operation::PutRecord, size) if size > KIB => {
                goals.push(stable(at_least("÷ raw, bytes", ours / raw, 0.7)));
            }
            (Operation::PutRecord, _) => goals.extend(self.judge_single(scenario, our_rate)),
        }
        scenario.goals = goals;
    }

    fn judge_single(&self, scenario: &Scenario, our_rate: f64) -> Vec<Goal> {
        let of = |who: &str, part: &str, of: fn(&Sample) -> Option<f64>| middle(scenario, who, part, of);
        let mut goals = Vec::new();
        let ferrokinesis = of("ferrokinesis", "", rate);
        let what = "÷ ferrokinesis (memory)";
        match self.connections {
            1 => {
                if let (Some(ours), Some(bare)) = (of(SUBJECT, "", p50), of(RAW, "a record", p50)) {
                    goals.push(at_most("p50 ÷ a bare append + fdatasync", ours / bare, 1.5));
                }
            }
            16 => {
                if let (Some(peer), Some(t)) = (ferrokinesis, of(RAW, "16 KiB", p50)) {
                    let allowed = 16.0 / (t / 1000.0);
                    let note = format!("16 / t is {allowed:.0}/s, which does not allow twice that");
                    goals.push(if_so(at_least(what, our_rate / peer, 1.2), allowed >= 2.0 * 1.2 * peer, &note));
                }
            }
            connections => {
                if let Some(constant) = of(CONSTANT, "", rate) {
                    goals.push(at_least("÷ constant-answer server", our_rate / constant, 0.5));
                }
                let (wanted, limit) = if connections >= 256 { (4.0, 15.0) } else { (2.2, 5.0) };
                if let Some(peer) = ferrokinesis {
                    goals.push(at_least(what, our_rate / peer, wanted));
                }
                if let Some(p99) = of(SUBJECT, "", p99) {
                    goals.push(at_most("p99 ms", p99, limit));
                }
            }
        }
        goals
    }
}

/// The raw loop's rows with their pieces: those of which the best is "raw", the one whose sync is t, and for small
/// requests one of their own size.
fn raw_rows(shape: Shape) -> Vec<(Measured, usize)> {
    let mut pieces: Vec<(String, usize)> =
        disk::PIECES.iter().map(|piece| (format!("{} MiB", *piece as f64 / (1 << 20) as f64), *piece)).collect();
    pieces.push(("16 KiB".to_owned(), disk::SMALL));
    if shape.per_request == 1 && shape.record_bytes < disk::SMALL {
        pieces.push(("a record".to_owned(), shape.counted_bytes()));
    }
    pieces.into_iter().map(|(part, piece)| (row(RAW, &part, "appends"), piece)).collect()
}

/// A line about a sample.
pub fn say(scenario: &str, round: usize, who: &str, sample: &Sample) {
    let latency = sample
        .latency
        .as_ref()
        .map_or(String::new(), |latency| format!(", p50 {:.2} ms, p99 {:.2} ms", latency.p50, latency.p99));
    let cpu = sample.cpu.as_ref().and_then(|cpu| cpu.per_million_records);
    let cpu = cpu.map_or(String::new(), |seconds| format!(", {seconds:.2} µs of CPU per record"));
    println!(
        "{scenario}, round {round}: {who} {:.0}/s, {:.0} MB/s{latency}{cpu}, generator {:.2} s of CPU",
        sample.rate,
        sample.bytes_per_second / 1e6,
        sample.generator_cpu_seconds,
    );
}
