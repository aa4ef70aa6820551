//! Puts: how many, how long they take, and how that compares with the disk, with a server that only answers, and with peers.

use std::time::Duration;

use crate::callers::{Putter, Way, read_back};
use crate::ceilings::{constant, disk};
use crate::client::{Client, Protocol};
use crate::contestants::{Ability, Contestant};
use crate::context::{Context, Field, Running, SHARDS, STREAM};
use crate::engine::{Load, Tally, Until, run};
use crate::error::BenchError;
use crate::goals::{
    CONSTANT, RAW, SUBJECT, against_raw, at_least, at_most, bytes, few_rounds, if_so, middle, over, p50, p99, rate,
    raw, reduced, row,
};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation};
use crate::results::{Figure, Goal, Measured, Sample, Scenario};
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

    /// Who takes part in the smaller sets: the slow one where a goal names it, and in other encodings nobody's peers.
    fn field(&self) -> Field {
        match (self.way, self.shape) {
            (JSON_MANY, MANY) => Field::Everyone,
            (JSON | JSON_MANY, _) => Field::Fast,
            _ => Field::Alone,
        }
    }

    /// Runs all rounds.
    ///
    /// # Errors
    /// None: who fails, a ceiling too, has failures in its row.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        let mut scenario = empty(self.id, "put", self.name);
        let payload = Payload::new(self.shape);
        let contestants = context.field(self.field(), |who| self.can(who));
        scenario.left_out = context.left_out(self.field(), |who| self.can(who));
        let rounds = if self.field() == Field::Alone { context.fewer_rounds() } else { context.rounds };
        scenario.reduced = reduced([few_rounds(rounds)]);
        let mut raw_rows = raw_rows(self.shape);
        let mut constant_row = row(CONSTANT, "", "requests");
        let mut rows: Vec<Measured> = contestants.iter().map(|who| row(who.id(), "", "requests")).collect();
        let mut fresh = Vec::new();
        for round in 1..=rounds {
            if self.is_large() {
                fresh.extend(disk::fresh(&context.dir, RAW_TIME).ok());
            }
            for (measured, piece) in &mut raw_rows {
                let work = async { context.disk.appends(*piece, RAW_TIME, round) };
                let sample = context.attempt(self.name, measured, round, work).await;
                measured.samples.extend(sample);
            }
            for (who, measured) in contestants.iter().zip(&mut rows) {
                let work = self.round(context, who, &payload, round);
                let Some((sample, answer)) = context.attempt(self.name, measured, round, work).await else { continue };
                say(self.name, round, who.id(), &sample);
                measured.samples.push(sample);
                if who.is_subject() {
                    let work = self.constant(context, &payload, &answer, round);
                    if let Some(sample) = context.attempt(self.name, &mut constant_row, round, work).await {
                        say(self.name, round, CONSTANT, &sample);
                        constant_row.samples.push(sample);
                    }
                }
            }
        }
        scenario.measured.extend(rows);
        scenario.measured.push(constant_row);
        scenario.measured.extend(raw_rows.into_iter().map(|(measured, _)| measured));
        scenario.device_unstable = raw(&scenario).is_some_and(|raw| raw.unstable);
        if !fresh.is_empty() {
            let (name, unit) = ("append + fdatasync into space never written, 1 MiB".to_owned(), "bytes/s".to_owned());
            scenario.figures.push(Figure { who: RAW.to_owned(), name, unit, samples: fresh });
        }
        scenario.goals = self.judge(&scenario);
        Ok(scenario)
    }

    /// Whether a request is so large that its bytes count, and not its sync.
    fn is_large(&self) -> bool {
        self.shape.per_request * self.shape.record_bytes >= 256 * KIB
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
        let dir = context.fresh(CONSTANT)?;
        let server = constant::start(&dir, answer, self.way.codec)?;
        let endpoint = crate::contestants::endpoint(&server)?;
        let running = Running { server, endpoint, dir };
        let (tally, _) = self.load(context, &running, payload, &Ledger::default()).await?;
        running.end()?;
        Ok(tally.sample(round))
    }

    fn judge(&self, scenario: &Scenario) -> Vec<Goal> {
        let of = |who: &str, of: fn(&Sample) -> Option<f64>| middle(scenario, who, "", of);
        let (ours, constant) = (of(SUBJECT, bytes), of(CONSTANT, bytes));
        let ceiling = [(SUBJECT, ""), (CONSTANT, "")];
        let peer = |who: &str, name: &str, wanted: f64| {
            let ratio = over(of(SUBJECT, rate), of(who, rate));
            at_least(&format!("÷ {name}"), ratio, wanted).of(scenario, &[(SUBJECT, ""), (who, "")])
        };
        let mut goals = Vec::new();
        match (self.way.operation, self.shape.record_bytes) {
            (Operation::PutRecords, size) => {
                if size == KIB {
                    let what = "÷ min(raw, 0.6 × constant-answer server), bytes";
                    let value = |raw: f64| over(ours, Some(raw.min(0.6 * constant?)));
                    goals.extend(against_raw(scenario, what, value, 0.75, &ceiling));
                }
                let wanted = if size == KIB { 14.0 } else { 10.0 };
                let bound = raw(scenario).zip(constant).map(|(raw, constant)| raw.median.min(0.6 * constant));
                let goal = peer("ferrokinesis", "ferrokinesis (memory)", wanted);
                goals.push(match over(bound, of("ferrokinesis", bytes)) {
                    Some(most) => if_so(goal, most >= wanted, &format!("the bound is {most:.1} × ferrokinesis")),
                    None => if_so(goal, false, "the bound was not measured"),
                });
                if size == KIB {
                    goals.push(peer("ferrokinesis-state-dir", "ferrokinesis --state-dir", 100.0));
                }
            }
            (Operation::PutRecord, size) if size > KIB => {
                let value = |raw: f64| over(ours, Some(raw));
                goals.extend(against_raw(scenario, "÷ raw, bytes", value, 0.7, &[(SUBJECT, "")]));
            }
            (Operation::PutRecord, _) => match self.connections {
                1 => {
                    let ratio = over(of(SUBJECT, p50), middle(scenario, RAW, "a record", p50));
                    let goal = at_most("p50 ÷ a bare append + fdatasync", ratio, 1.5);
                    goals.push(goal.of(scenario, &[(SUBJECT, ""), (RAW, "a record")]));
                }
                16 => {
                    let allowed = middle(scenario, RAW, "16 KiB", p50).map(|t| 16.0 / (t / 1000.0));
                    let goal = peer("ferrokinesis", "ferrokinesis (memory)", 1.2);
                    goals.push(match (allowed, of("ferrokinesis", rate)) {
                        (Some(allowed), Some(peer)) => {
                            let note = format!("16 / t is {allowed:.0}/s, which does not allow twice that");
                            if_so(goal, allowed >= 2.0 * 1.2 * peer, &note)
                        }
                        _ => if_so(goal, false, "16 / t was not measured"),
                    });
                }
                connections => {
                    let ratio = over(of(SUBJECT, rate), of(CONSTANT, rate));
                    goals.push(at_least("÷ constant-answer server", ratio, 0.5).of(scenario, &ceiling));
                    let (wanted, limit) = if connections >= 256 { (4.0, 15.0) } else { (2.2, 5.0) };
                    goals.push(peer("ferrokinesis", "ferrokinesis (memory)", wanted));
                    goals.push(at_most("p99 ms", of(SUBJECT, p99), limit).of(scenario, &[(SUBJECT, "")]));
                }
            },
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
