//! Polling: how long a record takes from its put to a consumer that calls GetRecords five times a second.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millstream_harness::{Endpoint, Kinesis};
use serde_json::json;

use crate::answers;
use crate::callers::{Moments, Putter, Way};
use crate::client::{Client, Protocol};
use crate::contestants::Contestant;
use crate::context::{Context, Field, SHARDS, STREAM};
use crate::engine::{Called, Caller, Load, Until, latency, run};
use crate::error::BenchError;
use crate::goals::{SUBJECT, at_most, few_rounds, middle, p99, reduced, row};
use crate::ledger::{Deliveries, Ledger};
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation, get_records_body};
use crate::results::{Figure, Measured, Sample, Scenario};
use crate::scenarios::empty;
use crate::scenarios::put::say;

/// The id.
pub const ID: &str = "poller";
/// The name.
pub const NAME: &str = "Put → GetRecords poller, 5 polls/s per shard";
const SHAPE: Shape = Shape::single(1024);
const WAY: Way = Way { operation: Operation::PutRecord, codec: Codec::Json, protocol: Protocol::Http1 };
const RATE: f64 = 500.0;
const PUTTERS: usize = 8;
const EVERY: Duration = Duration::from_millis(200);
const MISSED: &str = "records that were not in a poll sent after their acknowledgement";

/// Runs all rounds.
///
/// # Errors
/// None: a contestant that fails has failures in its row.
pub async fn scenario(context: &Context) -> Result<Scenario, BenchError> {
    let mut scenario = empty(ID, "poller", NAME);
    scenario.notes.push(format!(
        "{RATE:.0} PutRecord/s of 1 KB at a constant rate; one poller per shard. Latency from the intended moment of the put \
         to the poll that holds it: of an ideal server it is spread evenly between 0 and {} ms.",
        EVERY.as_millis()
    ));
    let contestants = context.field(Field::Fast, |_| true);
    scenario.left_out = context.left_out(Field::Fast, |_| true);
    let rounds = context.fewer_rounds();
    scenario.reduced = reduced([few_rounds(rounds)]);
    let figure = |who: &Contestant| Figure {
        who: who.id().to_owned(),
        name: MISSED.to_owned(),
        unit: String::new(),
        samples: Vec::new(),
    };
    let mut rows: Vec<(Measured, Figure)> =
        contestants.iter().map(|who| (row(who.id(), "deliveries", "records"), figure(who))).collect();
    for round in 1..=rounds {
        for (who, (polls, missed)) in contestants.iter().zip(&mut rows) {
            let work = one_round(context, who, round);
            let Some((sample, late)) = context.attempt(NAME, polls, round, work).await else { continue };
            say(NAME, round, who.id(), &sample);
            polls.samples.push(sample);
            missed.samples.push(late as f64);
        }
    }
    let ours = rows.iter().find(|(polls, _)| polls.who == SUBJECT);
    let most = ours.and_then(|(_, missed)| missed.samples.iter().copied().reduce(f64::max));
    for (polls, missed) in rows {
        scenario.measured.push(polls);
        scenario.figures.push(missed);
    }
    let slowest = middle(&scenario, SUBJECT, "deliveries", p99);
    let goals = [at_most(MISSED, most, 0.0), at_most("p99 ms", slowest, EVERY.as_secs_f64() * 1000.0 + 10.0)];
    scenario.goals = goals.map(|goal| goal.of(&scenario, &[(SUBJECT, "deliveries")])).to_vec();
    Ok(scenario)
}

/// A putter that notes when each record was acknowledged.
struct Acknowledging {
    putter: Putter,
    ledger: Ledger,
    acknowledged: Rc<RefCell<Vec<Option<Instant>>>>,
}

impl Caller for Acknowledging {
    async fn call(&mut self, intended: Instant) -> Result<Called, BenchError> {
        // A putter takes the next number before it waits for anything.
        let number = usize::try_from(self.ledger.taken()).unwrap_or_default();
        let called = self.putter.call(intended).await?;
        let mut acknowledged = self.acknowledged.borrow_mut();
        if acknowledged.len() <= number {
            acknowledged.resize(number + 1, None);
        }
        acknowledged[number] = Some(Instant::now());
        Ok(called)
    }
}

/// What the pollers of a round share.
struct Polling {
    payload: Rc<Payload>,
    moments: Moments,
    acknowledged: Rc<RefCell<Vec<Option<Instant>>>>,
    received: Deliveries,
    latency: RefCell<Histogram<u64>>,
    /// Records that an earlier poll should have held.
    late: RefCell<u64>,
    problem: RefCell<Option<BenchError>>,
}

async fn one_round(context: &Context, who: &Contestant, round: usize) -> Result<(Sample, u64), BenchError> {
    let running = context.start_with(who, SHARDS).await?;
    let payload = Payload::new(SHAPE);
    let (ledger, moments) = (Ledger::default(), Moments::default());
    let acknowledged = Rc::default();
    let latencies = Histogram::new_with_max(120_000_000, 3).map_err(|error| BenchError::Report(error.to_string()))?;
    let polling = Rc::new(Polling {
        payload: Rc::clone(&payload),
        moments: moments.clone(),
        acknowledged: Rc::clone(&acknowledged),
        received: Deliveries::default(),
        latency: RefCell::new(latencies),
        late: RefCell::new(0),
        problem: RefCell::new(None),
    });
    let pollers = start_pollers(&running.endpoint, &polling).await?;
    let clients = Client::open(&running.endpoint, WAY.protocol, PUTTERS).await?;
    let putters: Vec<Acknowledging> = Putter::new(clients, WAY, STREAM, &payload, &ledger)?
        .into_iter()
        .map(|putter| Acknowledging {
            putter: putter.noting(&moments),
            ledger: ledger.clone(),
            acknowledged: Rc::clone(&acknowledged),
        })
        .collect();
    let until = Until::Time { warm_up: Duration::ZERO, time: context.time.max(Duration::from_secs(4)) };
    let load = Load { pace: Pace::Open { per_second: RATE }, until, tolerant: false };
    let (tally, _) = run(load, putters, Some(running.process())).await?;
    // Two more polls hold the last records.
    tokio::time::sleep(EVERY * 3).await;
    for poller in pollers {
        poller.abort();
    }
    if let Some(problem) = polling.problem.borrow_mut().take() {
        return Err(problem);
    }
    let (all, received) = (ledger.taken(), polling.received.count());
    if received != all {
        return Err(BenchError::ReadBack(format!("{received} of {all} records were polled")));
    }
    running.end()?;
    let mut sample = tally.sample(round);
    sample.latency = latency(&polling.latency.borrow());
    sample.records_verified = all;
    let late = *polling.late.borrow();
    Ok((sample, late))
}

async fn start_pollers(
    endpoint: &Endpoint,
    polling: &Rc<Polling>,
) -> Result<Vec<tokio::task::JoinHandle<()>>, BenchError> {
    let mut kinesis = Kinesis::open(endpoint).await?;
    let mut pollers = Vec::new();
    for shard in kinesis.list_shards(STREAM).await? {
        let input = json!({ "StreamName": STREAM, "ShardId": shard.id, "ShardIteratorType": "LATEST" });
        let answer = kinesis.call("GetShardIterator", &input).await?;
        let iterator = answer["ShardIterator"].as_str().unwrap_or_default().to_owned();
        for client in Client::open(endpoint, Protocol::Http1, 1).await? {
            let (polling, iterator) = (Rc::clone(polling), iterator.clone());
            pollers.push(tokio::task::spawn_local(async move {
                if let Err(problem) = poll(client, iterator, &polling).await {
                    polling.problem.borrow_mut().get_or_insert(problem);
                }
            }));
        }
    }
    Ok(pollers)
}

async fn poll(mut client: Client, mut iterator: String, polling: &Polling) -> Result<(), BenchError> {
    let mut every = tokio::time::interval(EVERY);
    let mut last_sent: Option<Instant> = None;
    loop {
        every.tick().await;
        let sent = Instant::now();
        let body = get_records_body(Codec::Json, &iterator);
        let response = client.call("GetRecords", Codec::Json, &body).await?;
        let now = Instant::now();
        let page = answers::page(Codec::Json, &polling.payload, response.status, response.body, |number| {
            polling.received.note(number)?;
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let known = polling.acknowledged.borrow().get(index).copied().flatten();
            if let (Some(known), Some(last)) = (known, last_sent)
                && known < last
            {
                *polling.late.borrow_mut() += 1;
            }
            if let Some(meant) = polling.moments.of(number) {
                let taken = now.saturating_duration_since(meant).as_micros();
                polling.latency.borrow_mut().saturating_record(u64::try_from(taken).unwrap_or(u64::MAX));
            }
            Ok(())
        })?;
        last_sent = Some(sent);
        iterator = page.next.ok_or_else(|| BenchError::ReadBack("an open shard has no next iterator".to_owned()))?;
    }
}
