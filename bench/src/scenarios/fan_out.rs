//! Fan-out: how long a record takes from its put to the consumers that are subscribed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millstream_harness::{Endpoint, Kinesis};
use serde_json::json;

use crate::callers::{Moments, Putter, Way};
use crate::client::{Client, Protocol, http2};
use crate::contestants::{Ability, Contestant};
use crate::context::{Context, Field, SHARDS, STREAM};
use crate::engine::{Load, Until, latency, run};
use crate::error::BenchError;
use crate::goals::{SUBJECT, at_most, few_rounds, middle, p50, p99, reduced, row};
use crate::ledger::{Deliveries, Ledger};
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation};
use crate::results::{Measured, Sample, Scenario};
use crate::scenarios::empty;
use crate::scenarios::put::say;
use crate::subscription::{Event, Subscription};

const SHAPE: Shape = Shape::single(1024);
const WAY: Way = Way { operation: Operation::PutRecord, codec: Codec::Json, protocol: Protocol::Http1 };
/// Records put per second.
const RATE: f64 = 5000.0;
/// Connections that put.
const PUTTERS: usize = 64;
/// How long consumers may take to receive what was put when puts have ended.
const DELIVERY_LIMIT: Duration = Duration::from_secs(10);
/// The windows of subscriptions: wide enough not to hold anything up.
const WINDOW: u32 = 16 << 20;

/// Fan-out to so many consumers, each subscribed to every shard.
#[derive(Debug, Clone, Copy)]
pub struct FanOut {
    /// Its id.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Consumers.
    pub consumers: usize,
}

/// What the subscriptions of a run share.
struct Receiving {
    payload: Rc<Payload>,
    moments: Moments,
    /// Records that were meant for this time are measured.
    from: Cell<Option<Instant>>,
    latency: RefCell<Histogram<u64>>,
    /// Deliveries within the counted time.
    delivered: Cell<u64>,
    problem: RefCell<Option<BenchError>>,
    ready: Cell<usize>,
}

impl FanOut {
    /// Runs all rounds.
    ///
    /// # Errors
    /// None: a contestant that fails has failures in its row.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        let mut scenario = empty(self.id, "fan-out", self.name);
        scenario.notes.push(format!(
            "{RATE:.0} PutRecord/s of 1 KB at a constant rate over {PUTTERS} connections; latency from the intended moment \
             of the put to the delivery of the event to each consumer; every consumer is checked to receive every record once."
        ));
        let can = |who: &Contestant| who.can(Ability::FanOut);
        let contestants = context.field(Field::Fast, can);
        scenario.left_out = context.left_out(Field::Fast, can);
        let rounds = context.fewer_rounds();
        scenario.reduced = reduced([few_rounds(rounds)]);
        let mut rows: Vec<[Measured; 2]> = contestants
            .iter()
            .map(|who| [row(who.id(), "deliveries", "records"), row(who.id(), "puts", "requests")])
            .collect();
        for round in 1..=rounds {
            for (who, [deliveries, puts]) in contestants.iter().zip(&mut rows) {
                let work = self.round(context, who, round);
                let Some((put, delivered)) = context.attempt(self.name, deliveries, round, work).await else {
                    continue;
                };
                say(&format!("{} (puts)", self.name), round, who.id(), &put);
                say(&format!("{} (deliveries)", self.name), round, who.id(), &delivered);
                puts.samples.push(put);
                deliveries.samples.push(delivered);
            }
        }
        scenario.measured.extend(rows.into_iter().flatten());
        let of = |of: fn(&Sample) -> Option<f64>| middle(&scenario, SUBJECT, "deliveries", of);
        let goals = [at_most("p50 ms", of(p50), 2.0), at_most("p99 ms", of(p99), 10.0)];
        scenario.goals = goals.map(|goal| goal.of(&scenario, &[(SUBJECT, "deliveries")])).to_vec();
        Ok(scenario)
    }

    async fn round(&self, context: &Context, who: &Contestant, round: usize) -> Result<(Sample, Sample), BenchError> {
        let running = context.start_with(who, SHARDS).await?;
        let payload = Payload::new(SHAPE);
        let (ledger, moments) = (Ledger::default(), Moments::default());
        let latencies =
            Histogram::new_with_max(120_000_000, 3).map_err(|error| BenchError::Report(error.to_string()))?;
        let receiving = Rc::new(Receiving {
            payload: Rc::clone(&payload),
            moments: moments.clone(),
            from: Cell::new(None),
            latency: RefCell::new(latencies),
            delivered: Cell::new(0),
            problem: RefCell::new(None),
            ready: Cell::new(0),
        });
        let mut seen: Vec<Deliveries> = Vec::new();
        for consumer in consumers(&running.endpoint, self.consumers).await? {
            let consumer_seen = Deliveries::default();
            subscribe(&running.endpoint, &consumer, &receiving, &consumer_seen).await?;
            seen.push(consumer_seen);
        }
        let subscriptions = self.consumers * SHARDS as usize;
        until(|| receiving.ready.get() == subscriptions || receiving.problem.borrow().is_some()).await;
        let clients = Client::open(&running.endpoint, WAY.protocol, PUTTERS).await?;
        let putters = Putter::new(clients, WAY, STREAM, &payload, &ledger)?;
        let putters = putters.into_iter().map(|putter| putter.noting(&moments)).collect();
        receiving.from.set(Some(Instant::now() + context.warm_up));
        let until_time = Until::Time { warm_up: context.warm_up, time: context.time };
        let load = Load { pace: Pace::Open { per_second: RATE }, until: until_time, tolerant: false };
        let (tally, _) = run(load, putters, Some(running.process())).await?;
        let delivered = receiving.delivered.get();
        let all = ledger.taken();
        until(|| seen.iter().all(|seen| seen.count() >= all) || receiving.problem.borrow().is_some()).await;
        if let Some(problem) = receiving.problem.borrow_mut().take() {
            return Err(problem);
        }
        for seen in &seen {
            let received = seen.count();
            if received != all {
                let missing = all.abs_diff(received);
                return Err(BenchError::ReadBack(format!("{missing} of {all} records did not reach a consumer")));
            }
        }
        running.end()?;
        let seconds = tally.time.as_secs_f64();
        let put = tally.sample(round);
        let mut received = put.clone();
        received.rate = delivered as f64 / seconds;
        received.records_per_second = received.rate;
        received.bytes_per_second = received.rate * SHAPE.counted_bytes() as f64;
        received.latency = latency(&receiving.latency.borrow());
        received.records_verified = all * self.consumers as u64;
        if let Some(cpu) = &mut received.cpu {
            cpu.per_million_records = (delivered > 0).then(|| (cpu.user + cpu.system) / delivered as f64 * 1e6);
        }
        Ok((put, received))
    }
}

/// Registers consumers; their ARNs.
///
/// # Errors
/// When a call fails.
pub async fn consumers(endpoint: &Endpoint, count: usize) -> Result<Vec<String>, BenchError> {
    let mut kinesis = Kinesis::open(endpoint).await?;
    let summary = kinesis.call("DescribeStreamSummary", &json!({ "StreamName": STREAM })).await?;
    let arn = summary["StreamDescriptionSummary"]["StreamARN"].clone();
    let mut consumers = Vec::with_capacity(count);
    for index in 0..count {
        let input = json!({ "StreamARN": arn, "ConsumerName": format!("consumer-{index}") });
        let answer = kinesis.call("RegisterStreamConsumer", &input).await?;
        let consumer = answer["Consumer"]["ConsumerARN"].as_str().unwrap_or_default().to_owned();
        loop {
            let answer = kinesis.call("DescribeStreamConsumer", &json!({ "ConsumerARN": consumer })).await?;
            if answer["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        consumers.push(consumer);
    }
    Ok(consumers)
}

/// Subscribes one consumer to all shards, over a connection of its own.
async fn subscribe(
    endpoint: &Endpoint,
    consumer: &str,
    receiving: &Rc<Receiving>,
    seen: &Deliveries,
) -> Result<(), BenchError> {
    let send = http2(endpoint, WINDOW).await?;
    for shard in Kinesis::open(endpoint).await?.list_shards(STREAM).await? {
        let subscription = Subscription::open(&send, endpoint, consumer, &shard.id, "LATEST").await?;
        let (receiving, seen) = (Rc::clone(receiving), seen.clone());
        tokio::task::spawn_local(async move {
            if let Err(problem) = receive(subscription, &receiving, &seen).await {
                receiving.problem.borrow_mut().get_or_insert(problem);
            }
        });
    }
    Ok(())
}

async fn receive(mut subscription: Subscription, receiving: &Receiving, seen: &Deliveries) -> Result<(), BenchError> {
    while let Some(event) = subscription.next(&receiving.payload).await? {
        let now = Instant::now();
        match event {
            Event::Initial => receiving.ready.set(receiving.ready.get() + 1),
            Event::Records(numbers) => {
                for number in numbers {
                    seen.note(number)?;
                    let meant = receiving.moments.of(number);
                    let meant = meant.ok_or_else(|| BenchError::ReadBack(format!("record {number} was never put")))?;
                    if receiving.from.get().is_some_and(|from| meant >= from) {
                        let taken = now.saturating_duration_since(meant).as_micros();
                        receiving.latency.borrow_mut().saturating_record(u64::try_from(taken).unwrap_or(u64::MAX));
                        receiving.delivered.set(receiving.delivered.get() + 1);
                    }
                }
            }
        }
    }
    Err(BenchError::Conditions("a subscription ended".to_owned()))
}

/// Waits until something holds, at most [`DELIVERY_LIMIT`].
async fn until(holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() && started.elapsed() < DELIVERY_LIMIT {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
