//! Catch-up: a consumer that reads all there is from the oldest record on, from the page cache and from the device.

use std::rc::Rc;
use std::time::Duration;

use crate::callers::{Noting, Putter, Reader, Way, iterators};
use crate::ceilings::{constant, disk};
use crate::client::{Client, Protocol};
use crate::contestants::{Ability, Contestant, endpoint};
use crate::context::{Context, Field, Running, SHARDS, STREAM};
use crate::engine::{Load, Tally, Until, run};
use crate::error::BenchError;
use crate::goals::{CONSTANT, RAW_READ, SUBJECT, at_least, bytes, few_rounds, less, middle, over, reduced, row};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation};
use crate::results::{Goal, Measured, Sample, Scenario};
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
/// What a peer is given that writes gigabytes for it.
const SLOW_PEER_BYTES: u64 = 16 << 20;
/// What the goals speak of.
const GOAL_BYTES: f64 = 5e9;
const CONSTANT_TIME: Duration = Duration::from_secs(2);
/// Of the bytes that a cold reader got, how many must have come from the device.
const COLD_SHARE: f64 = 0.9;

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
    /// Runs all rounds: all are filled first, then each reads in every round.
    ///
    /// # Errors
    /// None: who fails has failures in its row.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        let mut scenario = empty(self.id, "catch-up", self.name);
        let bytes = context.set.pick(512 << 20, 2 << 30, 5 << 30);
        let field = if self.codec == Codec::Json { Field::Fast } else { Field::Alone };
        let can = |who: &Contestant| self.codec == Codec::Json || who.can(Ability::Cbor);
        let rounds = if field == Field::Alone { context.fewer_rounds() } else { context.rounds };
        scenario.left_out = context.left_out(field, can);
        scenario.reduced = reduced([less(bytes as f64 / 1e9, GOAL_BYTES / 1e9, "GB"), few_rounds(rounds)]);
        scenario.notes.push(format!(
            "Millstream holds {:.1} GiB of data, peers {:.2} GiB (ferrokinesis with `--state-dir` {:.2}). Warm: the files are in the \
             page cache. Cold: put out of it (POSIX_FADV_DONTNEED) and looked for there; a cold round counts only when at least \
             {:.0} % of the bytes came from the device.",
            bytes as f64 / f64::from(1 << 30),
            PEER_BYTES as f64 / f64::from(1 << 30),
            SLOW_PEER_BYTES as f64 / f64::from(1 << 30),
            COLD_SHARE * 100.0,
        ));
        let payload = Payload::new(SHAPE);
        let mut holders = Vec::new();
        for who in context.field(field, can) {
            let bytes = match (who.is_subject(), who.is_slow()) {
                (true, _) => bytes,
                (false, true) => SLOW_PEER_BYTES,
                (false, false) => PEER_BYTES,
            };
            let mut holder = Holder::new(who);
            let work = filled(context, who, &payload, &holder.ledger, bytes);
            if let Some((running, tally)) = context.attempt(self.name, &mut holder.warm, 0, work).await {
                holder.fill.samples.push(tally.sample(1));
                holder.running = Some(running);
            }
            holders.push(holder);
        }
        for running in holders.iter().filter_map(|holder| holder.running.as_ref()) {
            running.settle().await;
        }
        let mut ceilings = [row(CONSTANT, "warm", "requests"), row(RAW_READ, "cold", "reads")];
        for round in 1..=rounds {
            for holder in &mut holders {
                self.round(context, holder, &payload, &mut ceilings, round).await;
            }
        }
        for holder in holders {
            // What was measured stands, however the server ends.
            if let Some(Err(error)) = holder.running.map(Running::end) {
                println!("{}: {} did not end well: {error}", self.name, holder.who.id());
            }
            scenario.measured.push(holder.warm);
            if holder.who.is_subject() {
                scenario.measured.push(holder.cold);
                scenario.measured.extend(ceilings.clone());
            }
            scenario.measured.push(holder.fill);
        }
        scenario.goals = judge(&scenario);
        Ok(scenario)
    }

    /// A round of one contestant; of Millstream also the cold one and the ceilings.
    async fn round(
        &self,
        context: &Context,
        holder: &mut Holder<'_>,
        payload: &Rc<Payload>,
        [made_up, raw]: &mut [Measured; 2],
        round: usize,
    ) {
        let Some(running) = &holder.running else { return };
        let (who, ledger) = (holder.who, &holder.ledger);
        let data = running.dir.join("data");
        let work = async {
            if who.is_subject() {
                // What was read cold, or sorted behind the last put, need not all be in the page cache.
                disk::read_through(&data, round)?;
            }
            self.read(running, payload, ledger, round).await
        };
        if let Some(sample) = context.attempt(self.name, &mut holder.warm, round, work).await {
            say(&format!("{} warm", self.name), round, who.id(), &sample);
            holder.warm.samples.push(sample);
        }
        if !who.is_subject() {
            return;
        }
        let work = self.constant(context, running, payload, round);
        if let Some(sample) = context.attempt(self.name, made_up, round, work).await {
            say(self.name, round, CONSTANT, &sample);
            made_up.samples.push(sample);
        }
        let work = async {
            disk::cool(&data)?;
            disk::read_through(&data, round)
        };
        if let Some(sample) = context.attempt(self.name, raw, round, work).await {
            say(self.name, round, RAW_READ, &sample);
            raw.samples.push(sample);
        }
        let work = async {
            disk::cool(&data)?;
            let sample = self.read(running, payload, ledger, round).await?;
            came_from_the_device(&sample)?;
            Ok(sample)
        };
        if let Some(sample) = context.attempt(self.name, &mut holder.cold, round, work).await {
            say(&format!("{} cold", self.name), round, who.id(), &sample);
            holder.cold.samples.push(sample);
        }
    }

    async fn read(
        &self,
        running: &Running,
        payload: &Rc<Payload>,
        ledger: &Ledger,
        round: usize,
    ) -> Result<Sample, BenchError> {
        // A round that was broken off has read a part.
        ledger.unread();
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
        let dir = context.fresh(CONSTANT)?;
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

/// A contestant that holds its records and is read in every round.
struct Holder<'a> {
    who: &'a Contestant,
    running: Option<Running>,
    ledger: Ledger,
    fill: Measured,
    warm: Measured,
    cold: Measured,
}

impl<'a> Holder<'a> {
    fn new(who: &'a Contestant) -> Self {
        Self {
            who,
            running: None,
            ledger: Ledger::default(),
            fill: row(who.id(), "fill", "requests"),
            warm: row(who.id(), "warm", "requests"),
            cold: row(who.id(), "cold", "requests"),
        }
    }
}

/// Starts a contestant and puts so many bytes into it.
async fn filled(
    context: &Context,
    who: &Contestant,
    payload: &Rc<Payload>,
    ledger: &Ledger,
    bytes: u64,
) -> Result<(Running, Tally), BenchError> {
    let running = context.start_with(who, SHARDS).await?;
    let tally = fill(&running, STREAM, payload, ledger, bytes / SHAPE.record_bytes as u64).await?;
    Ok((running, tally))
}

/// Whether a cold read was one: what the page cache held makes it a warm one.
fn came_from_the_device(sample: &Sample) -> Result<(), BenchError> {
    let read = sample.device_read_bytes.unwrap_or_default() as f64;
    let got = (sample.records_verified * SHAPE.counted_bytes() as u64) as f64;
    match read >= COLD_SHARE * got {
        true => Ok(()),
        false => Err(BenchError::Conditions(format!(
            "only {:.0} % of what was read cold came from the device",
            read / got.max(1.0) * 100.0
        ))),
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

fn judge(scenario: &Scenario) -> Vec<Goal> {
    let of = |who: &str, part: &str| middle(scenario, who, part, bytes);
    let (warm, cold) = (of(SUBJECT, "warm"), of(SUBJECT, "cold"));
    let lower = of(RAW_READ, "cold").zip(warm).map(|(raw, warm)| raw.min(warm));
    let goal = |what: &str, value: Option<f64>, wanted: f64, rows: &[(&str, &str)]| {
        at_least(what, value, wanted).of(scenario, rows)
    };
    let mut goals = vec![goal(
        "warm ÷ constant-answer server, bytes",
        over(warm, of(CONSTANT, "warm")),
        0.5,
        &[(SUBJECT, "warm"), (CONSTANT, "warm")],
    )];
    let rows = [(SUBJECT, "warm"), ("ferrokinesis", "warm")];
    let value = over(warm, of("ferrokinesis", "warm"));
    goals.push(goal("warm ÷ ferrokinesis (memory), bytes", value, 8.0, &rows));
    let rows = [(SUBJECT, "cold"), (RAW_READ, "cold"), (SUBJECT, "warm")];
    goals.push(goal("cold ÷ min(raw read, warm), bytes", over(cold, lower), 0.8, &rows));
    goals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_read_comes_from_the_device() {
        let sample = |read| Sample { records_verified: 1000, device_read_bytes: Some(read), ..Sample::default() };
        assert!(came_from_the_device(&sample(1_000_000)).is_ok());
        assert!(came_from_the_device(&sample(500_000)).is_err());
    }
}
