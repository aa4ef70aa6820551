//! Memory: what the process takes idle, and what many clients that hold something back can make it take.

use std::rc::Rc;
use std::time::{Duration, Instant};

use millstream_harness::{Connection, Kinesis};
use serde_json::json;

use crate::callers::{Putter, Way, iterators};
use crate::client::{Client, Protocol, http2};
use crate::context::{Context, Running, STREAM};
use crate::engine::{Called, Caller, Load, Until, run};
use crate::error::BenchError;
use crate::goals::{SUBJECT, at_least, at_most, row};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation, get_records_body};
use crate::results::{Figure, Scenario};
use crate::scenarios::catch_up::fill;
use crate::scenarios::empty;
use crate::scenarios::fan_out::consumers;
use crate::subscription::Subscription;

const MB: f64 = 1e6;
const MIB: usize = 1 << 20;
/// A stream's limit is for data and key together.
const LARGE: Shape = Shape::single(10 * MIB - 64);
const LARGE_PUT: Way = Way { operation: Operation::PutRecord, codec: Codec::Json, protocol: Protocol::Http1 };
const PEAK: &str = "peak resident memory";
/// How long a new connection may take to its first answer.
const SERVED_LIMIT: Duration = Duration::from_secs(5);
/// A window that one event of a subscription fills.
const SMALL_WINDOW: u32 = 64 << 10;

/// One way to hold memory.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its id.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Idle,
    Connections(usize),
    Shards(u32),
    Stalled { consumers: usize, shards: u32 },
    Reads(usize),
    Puts(usize),
    Uploads(usize),
}

/// All cases.
#[rustfmt::skip]
pub const ALL: [Case; 7] = [
    Case { id: "memory-idle", name: "Memory, idle", what: What::Idle },
    Case { id: "memory-connections", name: "Memory, 10,000 idle connections", what: What::Connections(10_000) },
    Case { id: "memory-shards", name: "Memory, per idle shard (of 10,000)", what: What::Shards(10_000) },
    Case { id: "memory-stalled", name: "Memory, 1,000 stalled subscribers", what: What::Stalled { consumers: 20, shards: 50 } },
    Case { id: "memory-reads", name: "Memory, 100 concurrent reads of 10 MiB", what: What::Reads(100) },
    Case { id: "memory-puts", name: "Memory, 64 concurrent puts of 10 MiB", what: What::Puts(64) },
    Case { id: "memory-uploads", name: "Memory, 1,000 uploads at 1 KB/s", what: What::Uploads(1000) },
];

impl Case {
    /// Runs it once: memory does not scatter as time does.
    ///
    /// # Errors
    /// When something is answered wrongly.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        let mut scenario = empty(self.id, "memory", self.name);
        match self.what {
            What::Idle => {
                let running = context.start(context.subject()?)?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                peak(&mut scenario, &running, 30.0 * MB);
                running.end()?;
            }
            What::Connections(count) => connections(context, &mut scenario, count).await?,
            What::Shards(count) => shards(context, &mut scenario, count).await?,
            What::Stalled { consumers, shards } => stalled(context, &mut scenario, consumers, shards).await?,
            What::Reads(count) => reads(context, &mut scenario, count).await?,
            What::Puts(count) => puts(context, &mut scenario, count).await?,
            What::Uploads(count) => uploads(context, &mut scenario, count).await?,
        }
        Ok(scenario)
    }
}

/// Notes the peak so far as a figure, and whether it keeps to its goal.
fn peak(scenario: &mut Scenario, running: &Running, wanted: f64) {
    let value = running.process().peak() as f64;
    figure(scenario, PEAK, "bytes", value);
    scenario.goals.push(at_most(&format!("{PEAK}, bytes"), value, wanted));
}

fn figure(scenario: &mut Scenario, name: &str, unit: &str, value: f64) {
    println!("{}: {name} {value:.0} {unit}", scenario.name);
    let samples = vec![value];
    scenario.figures.push(Figure { who: SUBJECT.to_owned(), name: name.to_owned(), unit: unit.to_owned(), samples });
}

async fn connections(context: &Context, scenario: &mut Scenario, count: usize) -> Result<(), BenchError> {
    let running = context.start_with(context.subject()?, 1).await?;
    let request = running.endpoint.request("DescribeLimits", b"{}");
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        let mut connection = Connection::open(running.endpoint.address).await?;
        // A connection that was used once holds what a connection holds.
        match tokio::time::timeout(SERVED_LIMIT, connection.send(&request)).await {
            Ok(answer) => {
                let answer = answer?;
                if answer.status != 200 {
                    return Err(BenchError::answer(answer.status, answer.body));
                }
            }
            // The server takes no more connections.
            Err(_) => break,
        }
        open.push(connection);
    }
    figure(scenario, "connections served", "", open.len() as f64);
    scenario.goals.push(at_least("connections served", open.len() as f64, count as f64));
    tokio::time::sleep(Duration::from_secs(2)).await;
    peak(scenario, &running, 300.0 * MB);
    // They must all still be there: connections that were closed would prove nothing.
    for connection in open.iter_mut().step_by(100) {
        connection.send(&request).await?;
    }
    running.end()
}

async fn shards(context: &Context, scenario: &mut Scenario, count: u32) -> Result<(), BenchError> {
    let running = context.start(context.subject()?)?;
    let mut kinesis = Kinesis::open(&running.endpoint).await?;
    kinesis.create_stream("first", 1).await?;
    let before = running.process().resident();
    kinesis.create_stream(STREAM, count).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = running.process().resident();
    let each = after.saturating_sub(before) as f64 / f64::from(count);
    figure(scenario, "resident memory per idle shard", "bytes", each);
    figure(scenario, "resident memory with all of them", "bytes", after as f64);
    scenario.goals.push(at_most("bytes per idle shard", each, 8192.0));
    running.end()
}

async fn stalled(context: &Context, scenario: &mut Scenario, count: usize, shards: u32) -> Result<(), BenchError> {
    let running = context.start_with(context.subject()?, shards).await?;
    // A MiB per shard at the least, so that every subscription has more to send than fits anywhere.
    let payload = Payload::new(crate::scenarios::catch_up::SHAPE);
    fill(&running, STREAM, &payload, &Ledger::default(), u64::from(shards) * 2048).await?;
    let all = Kinesis::open(&running.endpoint).await?.list_shards(STREAM).await?;
    let mut subscriptions = Vec::new();
    for consumer in consumers(&running.endpoint, count).await? {
        let send = http2(&running.endpoint, SMALL_WINDOW).await?;
        for shard in &all {
            let position = "TRIM_HORIZON";
            subscriptions.push(Subscription::open(&send, &running.endpoint, &consumer, &shard.id, position).await?);
        }
    }
    let held = context.set.pick(3, 10, 30);
    tokio::time::sleep(Duration::from_secs(held)).await;
    scenario.notes.push(format!(
        "{} subscriptions with windows of {} KiB, none of which was read for {held} s.",
        subscriptions.len(),
        SMALL_WINDOW >> 10
    ));
    peak(scenario, &running, 300.0 * MB);
    running.end()
}

/// Readers that all ask for 10 MiB and read nothing until all have asked.
async fn reads(context: &Context, scenario: &mut Scenario, count: usize) -> Result<(), BenchError> {
    let running = context.start_for(context.subject()?, 1, LARGE.counted_bytes()).await?;
    let (payload, ledger) = (Payload::new(LARGE), Ledger::default());
    let clients = Client::open(&running.endpoint, Protocol::Http1, 1).await?;
    for mut putter in Putter::new(clients, LARGE_PUT, STREAM, &payload, &ledger)? {
        putter.call(Instant::now()).await?;
    }
    let iterator = iterators(&running.endpoint, STREAM).await?.pop().unwrap_or_default();
    let body = get_records_body(Codec::Json, &iterator);
    let request = running.endpoint.request("GetRecords", &body);
    let mut waiting = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(running.endpoint.address).await?;
        connection.write(&[&request]).await?;
        waiting.push(connection);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut refused = 0;
    for mut connection in waiting {
        let answer = connection.receive().await?;
        if crate::answers::is_refusal(answer.status, answer.body) {
            refused += 1;
            continue;
        }
        let page = crate::answers::page(Codec::Json, &payload, answer.status, answer.body, |_| Ok(()))?;
        if page.records != 1 {
            return Err(BenchError::ReadBack("a read of 10 MiB came back empty".to_owned()));
        }
    }
    figure(scenario, "reads refused because the server was busy", "", f64::from(refused));
    peak(scenario, &running, 300.0 * MB);
    running.end()
}

async fn puts(context: &Context, scenario: &mut Scenario, count: usize) -> Result<(), BenchError> {
    let running = context.start_for(context.subject()?, 4, LARGE.counted_bytes()).await?;
    let (payload, ledger) = (Payload::new(LARGE), Ledger::default());
    let clients = Client::open(&running.endpoint, Protocol::Http1, count).await?;
    let putters = Putter::new(clients, LARGE_PUT, STREAM, &payload, &ledger)?;
    let until = Until::Time { warm_up: Duration::ZERO, time: context.time.max(Duration::from_secs(3)) };
    let load = Load { pace: Pace::Closed, until, tolerant: false };
    let (tally, _) = run(load, putters, Some(running.process())).await?;
    let mut measured = row(SUBJECT, "", "requests");
    peak(scenario, &running, 300.0 * MB);
    let mut sample = tally.sample(1);
    sample.records_verified = crate::callers::read_back(&running.endpoint, STREAM, &payload, &ledger).await?;
    measured.samples.push(sample);
    scenario.measured.push(measured);
    running.end()
}

/// A put of a MiB, of which a KB is sent every second.
struct Upload {
    connection: Connection,
    body: Rc<Vec<u8>>,
    sent: usize,
}

impl Caller for Upload {
    async fn call(&mut self, _: Instant) -> Result<Called, BenchError> {
        let Some(piece) = self.body.get(self.sent..self.sent + 1024) else { return Ok(Called::Over) };
        self.connection.write(&[piece]).await?;
        self.sent += piece.len();
        Ok(Called::Good { records: 0, bytes: piece.len() as u64 })
    }
}

async fn uploads(context: &Context, scenario: &mut Scenario, count: usize) -> Result<(), BenchError> {
    let running = context.start_with(context.subject()?, 4).await?;
    let data = crate::requests::base64(&vec![7; MIB]);
    let body = Rc::new(json!({ "StreamName": STREAM, "PartitionKey": "k", "Data": data }).to_string().into_bytes());
    let head = running.endpoint.head("PutRecord", Codec::Json.content_type(), body.len());
    let mut uploads = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(running.endpoint.address).await?;
        connection.write(&[head.as_bytes()]).await?;
        uploads.push(Upload { connection, body: Rc::clone(&body), sent: 0 });
    }
    let seconds = context.set.pick(4, 15, 60);
    let until = Until::Time { warm_up: Duration::ZERO, time: Duration::from_secs(seconds) };
    let pace = Pace::Open { per_second: count as f64 };
    // A server may end uploads that are too slow for it; that is counted, and not wrong.
    let (tally, _) = run(Load { pace, until, tolerant: true }, uploads, Some(running.process())).await?;
    scenario.notes.push(format!(
        "{count} PutRecord bodies of a MiB at 1 KB/s each, for {seconds} s; {} pieces could not be sent since the server had \
         closed the connection.",
        tally.errors
    ));
    let mut measured = row(SUBJECT, "", "requests");
    measured.samples.push(tally.sample(1));
    scenario.measured.push(measured);
    peak(scenario, &running, 300.0 * MB);
    // While they hang on, others are served.
    let mut kinesis = Kinesis::open(&running.endpoint).await?;
    kinesis.call("PutRecord", &json!({ "StreamName": STREAM, "PartitionKey": "k", "Data": "AA==" })).await?;
    running.end()
}
