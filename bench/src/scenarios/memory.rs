//! Memory: what the process takes idle, and what many clients that hold something back can make it take.

use std::rc::Rc;
use std::time::{Duration, Instant};

use millstream_harness::{CallError, Connection, Kinesis};
use serde_json::json;

use crate::callers::{Putter, Way};
use crate::client::{Client, Protocol, http2};
use crate::context::{Context, Running, STREAM};
use crate::engine::{Called, Caller, Load, Until, run};
use crate::error::BenchError;
use crate::goals::{PEAK, SUBJECT, at_least, at_most, row};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation, get_records_body};
use crate::results::{Figure, Goal, Scenario};
use crate::scenarios::catch_up::fill;
use crate::scenarios::empty;
use crate::scenarios::fan_out::consumers;
use crate::subscription::Subscription;

const MB: f64 = 1e6;
const MIB: usize = 1 << 20;
/// A stream's limit is for data and key together.
const LARGE: Shape = Shape::single(10 * MIB - 64);
const LARGE_PUT: Way = Way { operation: Operation::PutRecord, codec: Codec::Json, protocol: Protocol::Http1 };
/// Of what is asked for at once, how much a server must answer at the least.
const SERVED: f64 = 0.9;
/// Records of 10 MiB that are read: more than a server that keeps to its memory can hold.
const LARGE_RECORDS: usize = 32;
/// How long a new connection may take to its first answer.
const SERVED_LIMIT: Duration = Duration::from_secs(5);
/// Puts of other clients while uploads hang on; each may have to wait for some seconds.
const OTHERS: usize = 5;
/// How long the server may take to read what an upload sends at once.
const TAKEN_LIMIT: Duration = Duration::from_secs(2);
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
    /// None: a case that fails has that in its row, and its goal is not met.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        let mut scenario = empty(self.id, "memory", self.name);
        let mut failed = row(SUBJECT, "", "requests");
        let done = context.attempt(self.name, &mut failed, 1, self.measure(context, &mut scenario)).await;
        if done.is_none() {
            let wanted = if matches!(self.what, What::Idle) { 30.0 } else { 300.0 };
            if !scenario.goals.iter().any(|goal| goal.what.starts_with(PEAK)) {
                scenario.goals.push(at_most(&format!("{PEAK}, bytes"), None, wanted * MB));
            }
            scenario.measured = vec![failed];
        }
        Ok(scenario)
    }

    async fn measure(&self, context: &Context, scenario: &mut Scenario) -> Result<(), BenchError> {
        match self.what {
            What::Idle => {
                let running = context.start(context.subject()?)?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                peak(scenario, &running, 30.0 * MB)?;
                running.end()
            }
            What::Connections(count) => connections(context, scenario, count).await,
            What::Shards(count) => shards(context, scenario, count).await,
            What::Stalled { consumers, shards } => stalled(context, scenario, consumers, shards).await,
            What::Reads(count) => reads(context, scenario, count).await,
            What::Puts(count) => puts(context, scenario, count).await,
            What::Uploads(count) => uploads(context, scenario, count).await,
        }
    }
}

/// Notes the peak so far as a figure, and whether it keeps to its goal.
fn peak(scenario: &mut Scenario, running: &Running, wanted: f64) -> Result<(), BenchError> {
    let value = running.process().peak()? as f64;
    figure(scenario, PEAK, "bytes", value);
    scenario.goals.push(at_most(&format!("{PEAK}, bytes"), value, wanted));
    Ok(())
}

/// Notes how many were answered and how many refused. A server that turns nearly all away keeps its memory low by that alone.
fn served(scenario: &mut Scenario, what: &str, answered: u64, refused: u64) -> Goal {
    figure(scenario, &format!("{what} answered"), "", answered as f64);
    figure(scenario, &format!("{what} refused because the server was busy"), "", refused as f64);
    let share = (answered + refused > 0).then(|| answered as f64 / (answered + refused) as f64);
    at_least(&format!("share of the {what} that were answered"), share, SERVED)
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
    peak(scenario, &running, 300.0 * MB)?;
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
    peak(scenario, &running, 300.0 * MB)?;
    running.end()
}

/// How often a read that was refused is asked for again, as SDKs do.
const TRIES: usize = 3;

/// Reads a record of 10 MiB that was asked for already; how often it had to be asked for again, if it came at last.
async fn read_large(
    mut connection: Connection,
    request: Vec<u8>,
    wanted: u64,
    payload: Rc<Payload>,
) -> Result<Option<usize>, BenchError> {
    for again in 0..=TRIES {
        let answer = connection.receive().await?;
        if crate::answers::is_refusal(answer.status, answer.body) {
            connection.write(&[&request]).await?;
            continue;
        }
        let page = crate::answers::page(Codec::Json, &payload, answer.status, answer.body, |number| {
            (number == wanted).then_some(()).ok_or_else(|| BenchError::ReadBack(format!("{number} for {wanted}")))
        })?;
        if page.records != 1 {
            return Err(BenchError::ReadBack("a read of 10 MiB came back empty".to_owned()));
        }
        return Ok(Some(again));
    }
    Ok(None)
}

/// Readers that all ask for 10 MiB and read nothing until all have asked. They ask for different records, of which there are
/// more than the server can hold.
async fn reads(context: &Context, scenario: &mut Scenario, count: usize) -> Result<(), BenchError> {
    let running = context.start_for(context.subject()?, 1, LARGE.counted_bytes()).await?;
    let (payload, ledger) = (Payload::new(LARGE), Ledger::default());
    let mut kinesis = Kinesis::open(&running.endpoint).await?;
    let clients = Client::open(&running.endpoint, Protocol::Http1, 1).await?;
    let mut requests = Vec::with_capacity(LARGE_RECORDS);
    for mut putter in Putter::new(clients, LARGE_PUT, STREAM, &payload, &ledger)? {
        for _ in 0..LARGE_RECORDS {
            let answer = putter.sample_answer().await?;
            let answer: serde_json::Value =
                serde_json::from_slice(&answer).map_err(|_| BenchError::answer(200, &answer))?;
            let input = json!({
                "StreamName": STREAM,
                "ShardId": answer["ShardId"],
                "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                "StartingSequenceNumber": answer["SequenceNumber"],
            });
            let iterator = kinesis.call("GetShardIterator", &input).await?;
            let body = get_records_body(Codec::Json, iterator["ShardIterator"].as_str().unwrap_or_default());
            requests.push(running.endpoint.request("GetRecords", &body));
        }
    }
    scenario.notes.push(format!("{count} readers of {LARGE_RECORDS} different records of 10 MiB."));
    let mut waiting = Vec::with_capacity(count);
    for request in requests.iter().cycle().take(count) {
        let mut connection = Connection::open(running.endpoint.address).await?;
        connection.write(&[request]).await?;
        waiting.push(connection);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut readers = Vec::with_capacity(count);
    for (index, connection) in waiting.into_iter().enumerate() {
        let which = index % LARGE_RECORDS;
        let reader = read_large(connection, requests[which].clone(), which as u64, payload.clone());
        readers.push(tokio::task::spawn_local(reader));
    }
    let (mut answered, mut again) = (0, 0);
    for reader in readers {
        let tried = reader.await.map_err(|_| BenchError::ReadBack("a reader broke off".to_owned()))??;
        answered += u64::from(tried.is_some());
        again += tried.unwrap_or(TRIES);
    }
    figure(scenario, "reads asked for again, the server being busy", "", again as f64);
    let goal = served(scenario, "reads", answered, count as u64 - answered);
    scenario.goals.push(goal);
    peak(scenario, &running, 300.0 * MB)?;
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
    let goal = served(scenario, "puts", tally.requests, tally.refused);
    scenario.goals.push(goal);
    peak(scenario, &running, 300.0 * MB)?;
    let mut sample = tally.sample(1);
    sample.records_verified = crate::callers::read_back(&running.endpoint, STREAM, &payload, &ledger).await?;
    measured.samples.push(sample);
    scenario.measured.push(measured);
    running.end()
}

/// A put of a MiB, of which some is sent at once and then a KB every second.
struct Upload {
    connection: Connection,
    body: Rc<Vec<u8>>,
    /// What is sent at once.
    first: usize,
    sent: usize,
    /// Whether the server has not taken what was sent at once in [`TAKEN_LIMIT`]: it holds nothing of it then.
    held: bool,
}

impl Caller for Upload {
    async fn call(&mut self, _: Instant) -> Result<Called, BenchError> {
        let until = if self.sent < self.first { self.first } else { self.sent + 1024 };
        // The last bytes are never sent: an upload that is done is none.
        let Some(piece) = self.body.get(self.sent..until).filter(|_| until < self.body.len() && !self.held) else {
            return Ok(Called::Over);
        };
        match tokio::time::timeout(TAKEN_LIMIT, self.connection.write(&[piece])).await {
            Ok(written) => written?,
            Err(_) => {
                self.held = true;
                return Ok(Called::Over);
            }
        }
        self.sent = until;
        Ok(Called::Good { records: 0, bytes: piece.len() as u64 })
    }
}

/// Uploads of which the first has sent nothing and the last nearly all: a server that keeps what has come is caught by those.
async fn uploads(context: &Context, scenario: &mut Scenario, count: usize) -> Result<(), BenchError> {
    let running = context.start_with(context.subject()?, 4).await?;
    let data = crate::requests::base64(&vec![7; MIB - 64]);
    let body = Rc::new(json!({ "StreamName": STREAM, "PartitionKey": "k", "Data": data }).to_string().into_bytes());
    let head = running.endpoint.head("PutRecord", Codec::Json.content_type(), body.len());
    let seconds = context.set.pick(4, 15, 60);
    // What trickles in must not make it whole.
    let most = body.len() - (seconds as usize + 2) * 1024;
    let mut uploads = Vec::with_capacity(count);
    for index in 0..count {
        let mut connection = Connection::open(running.endpoint.address).await?;
        connection.write(&[head.as_bytes()]).await?;
        let first = most * index / count;
        uploads.push(Upload { connection, body: Rc::clone(&body), first, sent: 0, held: false });
    }
    let until = Until::Time { warm_up: Duration::ZERO, time: Duration::from_secs(seconds) };
    let pace = Pace::Open { per_second: count as f64 };
    // A server may end uploads that are too slow for it; that is counted, and not wrong.
    let (tally, mut uploads) = run(Load { pace, until, tolerant: true }, uploads, Some(running.process())).await?;
    let held = uploads.iter().filter(|upload| upload.held).count();
    let mut refused = 0;
    for upload in &mut uploads {
        let answer = tokio::time::timeout(Duration::from_millis(1), upload.connection.receive()).await;
        refused += u64::from(matches!(answer, Ok(Ok(answer)) if answer.status != 200));
    }
    scenario.notes.push(format!(
        "{count} PutRecord bodies of a MiB, of which the first sends nothing at once and the last nearly all; then 1 KB/s each, \
         for {seconds} s."
    ));
    figure(scenario, "uploads refused because the server was busy", "", refused as f64);
    figure(scenario, "uploads whose first bytes the server did not take", "", held as f64);
    figure(scenario, "pieces for which the server had closed the connection", "", tally.errors as f64);
    let mut measured = row(SUBJECT, "", "requests");
    measured.samples.push(tally.sample(1));
    scenario.measured.push(measured);
    peak(scenario, &running, 300.0 * MB)?;
    // While they hang on, others are to be served.
    let mut kinesis = Kinesis::open(&running.endpoint).await?;
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..OTHERS {
        let put = json!({ "StreamName": STREAM, "PartitionKey": "k", "Data": "AA==" });
        match kinesis.call("PutRecord", &put).await {
            Ok(_) => answered += 1,
            Err(CallError::Service { .. }) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let goal = served(scenario, "other clients' puts", answered, refused);
    scenario.goals.push(goal);
    running.end()
}
