//! Catch-up: a consumer that reads all there is from the oldest record on, from the page cache and from the device.

use std::rc::Rc;
use std::time::Duration;

use crate::callers::{Noting, Putter, Reader, Way, iterators};
use crate::ceilings::{constant, disk};
use crate::client::{Client, Protocol};
use crate::contestants::{Contestant, endpoint};
use crate::context::{Context, Running, SHARDS, STREAM};
use crate::engine::{Load, Tally, Until, run};
use crate::error::BenchError;
use crate::goals::{CONSTANT, RAW_READ, SUBJECT, at_least, bytes, middle, row};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation};
use crate::results::{Failure, Measured, Sample, Scenario};
use crate::scenarios::empty;
use crate::scenarios::put::say;

/// What is put before it is read.
pub const SHAPE: Shape = Shape { per_request: 500, record_bytes: 1024 };
/// How it is put.
pub const FILL: Way = Way { operation: Operation::PutRecords, codec: Codec::Json, protocol: Protocol::Http1 };
/// Connections that put before anything is read.
const FILLERS: usize = 4;
/// Bytes of data that a peer is given: most of them fill slowly and keep everything in memory.
const PEER_BYTES: u64 = 256 << 20;
const CONSTANT_TIME: Duration = Duration::from_secs(2);

/// Catch-up in one encoding; one connection per shard.
#[derive(Debug, Clone, Copy)]
pub struct CatchUp {
    /// Its id.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The encoding of answers.
    pub codec: Codec,
}

impl CatchUp {
    /// Runs all rounds.
    ///
    /// # Errors
    /// When a ceiling cannot be measured.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        let mut scenario = empty(self.id, "catch-up", self.name);
        let bytes = context.set.pick(512 << 20, 3 << 30, 5 << 30);
        scenario.notes.push(format!(
            "Millstream holds {:.1} GiB of data, peers {:.2} GiB. Warm: the files are in the page cache. Cold: put out of it \
             (POSIX_FADV_DONTNEED) and looked for there.",
            bytes as f64 / f64::from(1 << 30),
            PEER_BYTES as f64 / f64::from(1 << 30),
        ));
        let mut rows = Vec::new();
        for who in &context.contestants {
            if self.codec == Codec::Cbor && !who.can(crate::contestants::Ability::Cbor) {
                continue;
            }
            let mut measured = row(who.id(), "warm", "requests");
            let bytes = if who.is_subject() { bytes } else { PEER_BYTES };
            let more = self.contestant(context, who, bytes, &mut measured).await;
            rows.push(measured);
            match more {
                Ok(more) => rows.extend(more),
                Err(error) if who.is_subject() => return Err(error),
                Err(error) => {
                    println!("{}: {} failed: {error}", self.name, who.id());
                    if let Some(measured) = rows.last_mut() {
                        measured.failures.push(Failure { round: 0, reason: error.to_string() });
                    }
                }
            }
        }
        scenario.measured = rows;
        judge(&mut scenario);
        Ok(scenario)
    }

    /// All rounds of one contestant, its warm ones into `warm`; of Millstream also the cold ones and the ceilings.
    async fn contestant(
        &self,
        context: &Context,
        who: &Contestant,
        bytes: u64,
        warm: &mut Measured,
    ) -> Result<Vec<Measured>, BenchError> {
        let payload = Payload::new(SHAPE);
        let ledger = Ledger::default();
        let running = context.start_with(who, SHARDS).await?;
        let filled = fill(&running, STREAM, &payload, &ledger, bytes / SHAPE.record_bytes as u64).await?;
        let mut filling = row(who.id(), "fill", "requests");
        filling.samples.push(filled.sample(1));
        let mut cold = row(who.id(), "cold", "requests");
        let mut raw = row(RAW_READ, "cold", "reads");
        let mut made_up = row(CONSTANT, "warm", "requests");
        for round in 1..=context.rounds {
            let sample = self.read(&running, &payload, &ledger, round).await?;
            say(&format!("{} warm", self.name), round, who.id(), &sample);
            warm.samples.push(sample);
            if who.is_subject() {
                let sample = self.constant(context, &running, &payload, round).await?;
                say(self.name, round, CONSTANT, &sample);
                made_up.samples.push(sample);
                let data = running.dir.join("data");
                disk::cool(&data)?;
                let sample = disk::read_through(&data, round)?;
                say(self.name, round, RAW_READ, &sample);
                raw.samples.push(sample);
                disk::cool(&data)?;
                let sample = self.read(&running, &payload, &ledger, round).await?;
                say(&format!("{} cold", self.name), round, who.id(), &sample);
                cold.samples.push(sample);
            }
        }
        running.end()?;
        Ok(if who.is_subject() { vec![cold, made_up, raw, filling] } else { vec![filling] })
    }

    async fn read(
        &self,
        running: &Running,
        payload: &Rc<Payload>,
        ledger: &Ledger,
        round: usize,
    ) -> Result<Sample, BenchError> {
        let iterators = iterators(&running.endpoint, STREAM).await?;
        let clients = Client::open(&running.endpoint, Protocol::Http1, iterators.len()).await?;
        let readers = Reader::new(clients, self.codec, payload, Noting::Into(ledger.clone()), iterators);
        let (tally, _) = run(to_the_end(), readers, Some(running.process())).await?;
        let mut sample = tally.sample(round);
        sample.records_verified = ledger.close()?;
        Ok(sample)
    }

    /// The same reader against a server that answers with one of Millstream's pages, again and again.
    async fn constant(
        &self,
        context: &Context,
        running: &Running,
        payload: &Rc<Payload>,
        round: usize,
    ) -> Result<Sample, BenchError> {
        let iterators = iterators(&running.endpoint, STREAM).await?;
        let count = iterators.len();
        let clients = Client::open(&running.endpoint, Protocol::Http1, count).await?;
        let mut readers = Reader::new(clients, self.codec, payload, Noting::MadeUp, iterators.clone());
        let answer = match readers.first_mut() {
            Some(reader) => reader.sample_answer().await?,
            None => return Err(BenchError::Conditions("the stream has no shards".to_owned())),
        };
        let dir = context.dir.join("constant");
        std::fs::create_dir_all(&dir)?;
        let server = constant::start(&dir, &answer, self.codec)?;
        let made_up = Running { endpoint: endpoint(&server)?, server, dir };
        let clients = Client::open(&made_up.endpoint, Protocol::Http1, count).await?;
        let readers = Reader::new(clients, self.codec, payload, Noting::MadeUp, iterators);
        let until = Until::Time { warm_up: context.warm_up, time: CONSTANT_TIME };
        let load = Load { pace: Pace::Closed, until, tolerant: false };
        let (tally, _) = run(load, readers, Some(made_up.process())).await?;
        made_up.end()?;
        Ok(tally.sample(round))
    }
}

/// A closed loop of readers that ends when all have read everything.
#[must_use]
pub fn to_the_end() -> Load {
    Load { pace: Pace::Closed, until: Until::Records(u64::MAX), tolerant: false }
}

/// Puts so many records of [`SHAPE`] into a stream.
///
/// # Errors
/// The first wrong answer.
pub async fn fill(
    running: &Running,
    stream: &str,
    payload: &Rc<Payload>,
    ledger: &Ledger,
    records: u64,
) -> Result<Tally, BenchError> {
    let clients = Client::open(&running.endpoint, FILL.protocol, FILLERS).await?;
    let putters = Putter::new(clients, FILL, stream, payload, ledger)?;
    let load = Load { pace: Pace::Closed, until: Until::Records(records), tolerant: false };
    Ok(run(load, putters, Some(running.process())).await?.0)
}

fn judge(scenario: &mut Scenario) {
    let of = |who: &str, part: &str| middle(scenario, who, part, bytes);
    let mut goals = Vec::new();
    let warm = of(SUBJECT, "warm");
    if let (Some(warm), Some(constant)) = (warm, of(CONSTANT, "warm")) {
        goals.push(at_least("warm ÷ constant-answer server, bytes", warm / constant, 0.5));
    }
    if let (Some(warm), Some(peer)) = (warm, of("ferrokinesis", "warm")) {
        goals.push(at_least("warm ÷ ferrokinesis (memory), bytes", warm / peer, 8.0));
    }
    if let (Some(warm), Some(cold), Some(raw)) = (warm, of(SUBJECT, "cold"), of(RAW_READ, "cold")) {
        goals.push(at_least("cold ÷ min(raw read, warm), bytes", cold / raw.min(warm), 0.8));
    }
    scenario.goals = goals;
}
