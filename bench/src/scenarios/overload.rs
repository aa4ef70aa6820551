//! Overload: ten times as many requests as the server can take; and readers and writers beside each other.

use std::rc::Rc;
use std::time::Duration;

use millstream_harness::Kinesis;

use crate::callers::{Noting, Putter, Reader, Way, read_back};
use crate::client::{Client, Protocol};
use crate::context::{Context, Running, SHARDS, STREAM};
use crate::engine::{Load, Tally, Until, run};
use crate::error::BenchError;
use crate::goals::{SUBJECT, at_least, at_most, bytes, cpu, few_rounds, middle, over, p99, rate, reduced, row};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::{Payload, Shape};
use crate::requests::{Codec, Operation};
use crate::results::{Figure, Sample, Scenario, median};
use crate::scenarios::catch_up::{FILL, SHAPE as READ_SHAPE, fill};
use crate::scenarios::empty;
use crate::scenarios::put::say;

const WAY: Way = Way { operation: Operation::PutRecord, codec: Codec::Json, protocol: Protocol::Http1 };
const SINGLE: Shape = Shape::single(1024);
/// Connections at which throughput is at its best.
const BEST: usize = 64;
/// Connections of the flood.
const FLOOD: usize = 2000;
/// What the reader of the mixed load reads.
const READ_BYTES: u64 = 1 << 30;
/// The loads of readers and writers.
const PARTS: [&str; 4] = ["writes alone", "reads alone", "writes beside reads", "reads beside writes"];

/// Ten times what the server takes at its best.
///
/// # Errors
/// None: rounds that fail are failures in their rows.
pub async fn flood(context: &Context, id: &str, name: &str) -> Result<Scenario, BenchError> {
    let mut scenario = empty(id, "overload", name);
    scenario.notes.push(format!(
        "First PutRecord of 1 KB at its best, a closed loop over {BEST} connections; then ten times that rate, an open loop over \
         {FLOOD} connections. A request for which no connection is free is not sent, and counted as that. Latency of the flood \
         counts from the intended moment, which is at most 2 ms before the sending."
    ));
    let who = context.subject()?;
    scenario.reduced = reduced([few_rounds(context.rounds)]);
    let (mut best, mut flood) = (row(SUBJECT, "at its best", "requests"), row(SUBJECT, "flood", "requests"));
    for round in 1..=context.rounds {
        let work = async {
            let running = context.start_with(who, SHARDS).await?;
            let sample = puts(context, &running, BEST, Pace::Closed, round).await?;
            running.end()?;
            let running = context.start_with(who, SHARDS).await?;
            let pace = Pace::Flood { per_second: sample.rate * 10.0 };
            let flooded = puts(context, &running, FLOOD, pace, round).await?;
            running.end()?;
            Ok((sample, flooded))
        };
        let Some((sample, flooded)) = context.attempt(name, &mut flood, round, work).await else { continue };
        say(&format!("{name}, at its best"), round, SUBJECT, &sample);
        say(&format!("{name}, flood"), round, SUBJECT, &flooded);
        println!("   {} refused, {} not sent, {} errors", flooded.refused, flooded.unsent, flooded.errors);
        best.samples.push(sample);
        flood.samples.push(flooded);
    }
    let seconds = context.time.as_secs_f64();
    let pairs = || best.samples.iter().zip(&flood.samples);
    let sent = pairs().map(|(best, flood)| sent_per_second(flood, seconds) / best.rate).collect::<Vec<f64>>();
    let per_refusal = pairs().filter_map(|(best, flood)| cpu_per_refusal(best, flood)).collect::<Vec<f64>>();
    let offered = median(&sent);
    for (name, unit, samples) in
        [("requests sent ÷ best rate", "", sent), ("processor time per refusal", "µs", per_refusal)]
    {
        if !samples.is_empty() {
            let (name, unit) = (name.to_owned(), unit.to_owned());
            scenario.figures.push(Figure { who: SUBJECT.to_owned(), name, unit, samples });
        }
    }
    scenario.measured = vec![best, flood];
    let of = |part: &str, of: fn(&Sample) -> Option<f64>| middle(&scenario, SUBJECT, part, of);
    let useful = at_least("useful throughput ÷ best", over(of("flood", rate), of("at its best", rate)), 0.8);
    let note = match offered.is_finite() {
        true => format!("{offered:.1} × the best rate was sent; for the rest no connection was free"),
        false => "nothing was sent".to_owned(),
    };
    let useful = useful.of(&scenario, &[(SUBJECT, "flood"), (SUBJECT, "at its best")]).noted(&note);
    let slowest = at_most("p99 of accepted requests, ms", of("flood", p99), 1000.0);
    let errors = of("flood", |sample| Some(sample.errors as f64));
    let errors = at_most("answers that are neither good nor the API's refusals", errors, 0.0);
    scenario.goals =
        vec![useful, slowest.of(&scenario, &[(SUBJECT, "flood")]), errors.of(&scenario, &[(SUBJECT, "flood")])];
    Ok(scenario)
}

/// Requests of a flood that went out, whatever the answer.
fn sent_per_second(flood: &Sample, seconds: f64) -> f64 {
    flood.rate + (flood.refused + flood.errors) as f64 / seconds
}

/// Microseconds of the server per refusal: what is left of its time when each good request took what it takes at the best.
fn cpu_per_refusal(best: &Sample, flood: &Sample) -> Option<f64> {
    let spent = flood.cpu.as_ref().map(|cpu| cpu.user + cpu.system)?;
    let all = cpu(flood)?;
    // One request is one record.
    let good = spent / all * 1e6;
    (flood.refused > 0)
        .then(|| (spent - good * cpu(best).unwrap_or_default() / 1e6).max(0.0) / flood.refused as f64 * 1e6)
}

async fn puts(
    context: &Context,
    running: &Running,
    connections: usize,
    pace: Pace,
    round: usize,
) -> Result<Sample, BenchError> {
    let (payload, ledger) = (Payload::new(SINGLE), Ledger::default());
    let clients = Client::open(&running.endpoint, WAY.protocol, connections).await?;
    let putters = Putter::new(clients, WAY, STREAM, &payload, &ledger)?;
    let until = Until::Time { warm_up: context.warm_up, time: context.time };
    let tolerant = matches!(pace, Pace::Flood { .. });
    let (tally, _) = run(Load { pace, until, tolerant }, putters, Some(running.process())).await?;
    if let Some(error) = &tally.first_error {
        println!("   the first error: {error}");
    }
    let mut sample = tally.sample(round);
    sample.records_verified = read_back(&running.endpoint, STREAM, &payload, &ledger).await?;
    Ok(sample)
}

/// Readers and writers alone and beside each other.
///
/// # Errors
/// None: rounds that fail are failures in their rows.
pub async fn mixed(context: &Context, id: &str, name: &str) -> Result<Scenario, BenchError> {
    let mut scenario = empty(id, "overload", name);
    scenario.notes.push(
        "Writers: PutRecords 500 × 1 KB over 4 connections into one stream. Readers: catch-up of another stream, again and again, one connection per shard. Each alone, then both at once, for the same time. All share two cores and the \
         generator's thread."
            .to_owned(),
    );
    let rounds = context.fewer_rounds();
    scenario.reduced = reduced([few_rounds(rounds)]);
    let mut rows = PARTS.map(|part| row(SUBJECT, part, "requests"));
    for round in 1..=rounds {
        let work = mixed_round(context);
        let Some(tallies) = context.attempt(name, &mut rows[0], round, work).await else { continue };
        for (measured, tally) in rows.iter_mut().zip(tallies) {
            let mut sample = tally.sample(round);
            if measured.part.contains("beside")
                && let Some(cpu) = &mut sample.cpu
            {
                // The process's time was spent on both loads.
                cpu.per_million_records = None;
            }
            say(&format!("{name}, {}", measured.part), round, SUBJECT, &sample);
            measured.samples.push(sample);
        }
    }
    scenario.measured = rows.to_vec();
    let of = |part: &str| middle(&scenario, SUBJECT, part, bytes);
    let [writes, reads, writes_beside, reads_beside] = PARTS;
    // Two loads that want everything have half each; less than half of that would be starving.
    let goals = [(writes_beside, writes), (reads_beside, reads)].map(|(beside, alone)| {
        let goal = at_least(&format!("{beside} ÷ alone, bytes"), over(of(beside), of(alone)), 0.25);
        goal.of(&scenario, &[(SUBJECT, beside), (SUBJECT, alone)])
    });
    scenario.goals = goals.to_vec();
    Ok(scenario)
}

/// The four loads of a round, in the order of [`PARTS`].
async fn mixed_round(context: &Context) -> Result<[Tally; 4], BenchError> {
    let running = context.start_with(context.subject()?, SHARDS).await?;
    Kinesis::open(&running.endpoint).await?.create_stream("other", SHARDS).await?;
    let payload = Payload::new(READ_SHAPE);
    let records = context.set.pick(READ_BYTES / 4, READ_BYTES / 2, READ_BYTES) / READ_SHAPE.record_bytes as u64;
    fill(&running, STREAM, &payload, &Ledger::default(), records).await?;
    running.settle().await;
    let ledger = Ledger::default();
    let writes = write(context, &running, &payload, &ledger).await?;
    let reads = read(context, &running, &payload).await?;
    // Both futures are driven by this one: neither needs a task of its own.
    let beside = {
        let (running, payload, ledger) = (&running, &payload, &ledger);
        both(write(context, running, payload, ledger), read(context, running, payload)).await
    };
    let tallies = [writes, reads, beside.0?, beside.1?];
    read_back(&running.endpoint, "other", &payload, &ledger).await?;
    running.end()?;
    Ok(tallies)
}

async fn write(
    context: &Context,
    running: &Running,
    payload: &Rc<Payload>,
    ledger: &Ledger,
) -> Result<Tally, BenchError> {
    let clients = Client::open(&running.endpoint, FILL.protocol, 4).await?;
    let putters = Putter::new(clients, FILL, "other", payload, ledger)?;
    let load = Load { pace: Pace::Closed, until: counted(context), tolerant: false };
    Ok(run(load, putters, Some(running.process())).await?.0)
}

async fn read(context: &Context, running: &Running, payload: &Rc<Payload>) -> Result<Tally, BenchError> {
    let iterators = crate::callers::iterators(&running.endpoint, STREAM).await?;
    let clients = Client::open(&running.endpoint, Protocol::Http1, iterators.len()).await?;
    let readers = Reader::new(clients, Codec::Json, payload, Noting::AgainAndAgain, iterators);
    let load = Load { pace: Pace::Closed, until: counted(context), tolerant: false };
    Ok(run(load, readers, Some(running.process())).await?.0)
}

fn counted(context: &Context) -> Until {
    Until::Time { warm_up: Duration::from_millis(500), time: context.time }
}

/// Both results, when both are there.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|context| {
        if first.is_none()
            && let std::task::Poll::Ready(value) = a.as_mut().poll(context)
        {
            first = Some(value);
        }
        if second.is_none()
            && let std::task::Poll::Ready(value) = b.as_mut().poll(context)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => std::task::Poll::Ready((first, second)),
            (left, right) => {
                (first, second) = (left, right);
                std::task::Poll::Pending
            }
        }
    })
    .await
}
