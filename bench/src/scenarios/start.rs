//! Start: from the start of the process to its first answer, on much data and on many streams.

use std::path::Path;
use std::time::{Duration, Instant};

use millstream_harness::{Endpoint, Kinesis};
use serde_json::json;

use crate::callers::{Noting, Putter, Reader};
use crate::ceilings::disk;
use crate::client::{Client, Protocol};
use crate::context::{Context, Running};
use crate::engine::{Called, Caller, Load, Until, run};
use crate::error::BenchError;
use crate::goals::{PEAK, SUBJECT, at_most, less};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::Payload;
use crate::requests::Codec;
use crate::results::{Figure, Scenario, median};
use crate::scenarios::catch_up::{FILL, SHAPE};
use crate::scenarios::empty;

/// Starts of each sort.
const STARTS: usize = 5;
/// Bytes of data in each stream: enough for segments of 256 KiB, 1, 4, 16 and 64 MiB.
const STREAM_BYTES: u64 = 51 << 20;
const SEGMENT_SUFFIX: &str = ".seg";

/// What the server is started on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// 10 GB of records in 1,000 segments.
    Data,
    /// 10,000 streams with 100,000 shards.
    Streams,
}

impl On {
    /// The id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Data => "start-data",
            Self::Streams => "start-streams",
        }
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "Start on much data",
            Self::Streams => "Start with many streams",
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// When something is answered wrongly.
    pub async fn run(self, context: &Context) -> Result<Scenario, BenchError> {
        let mut scenario = empty(self.id(), "start", self.name());
        let running = context.start(context.subject()?)?;
        let began = Instant::now();
        let (names, limit) = match self {
            Self::Data => (self.fill(context, &running).await?, 100.0),
            Self::Streams => (self.create(context, &running).await?, 1000.0),
        };
        scenario.figures.push(Figure {
            who: SUBJECT.to_owned(),
            name: format!("{PEAK} while it was filled"),
            unit: "bytes".to_owned(),
            samples: vec![running.process().peak()? as f64],
        });
        let data = running.dir.join("data");
        let (gigabytes, streams) = (disk::size(&data)? as f64 / 1e9, names.len() as f64);
        scenario.reduced = match self {
            Self::Data => less(gigabytes, 10.0, "GB"),
            Self::Streams => less(streams, 10_000.0, "streams"),
        };
        scenario.notes.push(format!(
            "{} streams, {:.2} GB in {} segments, made in {:.0} s. The first answer is that of a DescribeStreamSummary sent as \
             soon as the server says that it listens; the page cache is warm unless said.",
            names.len(),
            gigabytes,
            segments(&data)?,
            began.elapsed().as_secs_f64(),
        ));
        println!("{}: {}", scenario.name, scenario.notes[0]);
        self.starts(context, running, &names, &mut scenario, limit).await?;
        Ok(scenario)
    }

    /// Starts it again and again, after each sort of end.
    async fn starts(
        self,
        context: &Context,
        mut running: Running,
        names: &[String],
        scenario: &mut Scenario,
        limit: f64,
    ) -> Result<(), BenchError> {
        let first = names.first().ok_or_else(|| BenchError::Conditions("no streams".to_owned()))?;
        for end in [End::Stop, End::StopCold, End::Kill] {
            let (mut answers, mut records) = (Vec::new(), Vec::new());
            let (mut resident, mut peaks) = (Vec::new(), Vec::new());
            for _ in 0..context.set.pick(3, STARTS, STARTS) {
                let dir = match end {
                    End::Kill => kill_under_load(running, first).await?,
                    End::Stop | End::StopCold => running.stop()?,
                };
                if end == End::StopCold {
                    disk::cool(&dir.join("data"))?;
                }
                let started = Instant::now();
                running = context.restart(context.subject()?, &dir)?;
                let mut kinesis = Kinesis::open(&running.endpoint).await?;
                kinesis.call("DescribeStreamSummary", &json!({ "StreamName": first })).await?;
                answers.push(started.elapsed().as_secs_f64() * 1000.0);
                if self == Self::Data {
                    first_record(&running.endpoint, first).await?;
                    records.push(started.elapsed().as_secs_f64() * 1000.0);
                }
                resident.push(running.process().resident() as f64);
                peaks.push(running.process().peak()? as f64);
            }
            let after = end.name();
            let value = median(&answers);
            println!("{}: first answer {after} {answers:.1?} ms, first record {records:.1?} ms", scenario.name);
            scenario.goals.push(at_most(&format!("first answer {after}, ms"), value, limit));
            for (name, unit, samples) in [
                (PEAK, "bytes", peaks),
                ("first answer", "ms", answers),
                ("first record read", "ms", records),
                ("resident memory at that moment", "bytes", resident),
            ] {
                if !samples.is_empty() {
                    let name = format!("{name} {after}");
                    scenario.figures.push(Figure { who: SUBJECT.to_owned(), name, unit: unit.to_owned(), samples });
                }
            }
        }
        running.end()
    }

    /// Fills streams one after the other.
    async fn fill(self, context: &Context, running: &Running) -> Result<Vec<String>, BenchError> {
        let streams = context.set.pick(4, 40, 200);
        let payload = Payload::new(SHAPE);
        let mut kinesis = Kinesis::open(&running.endpoint).await?;
        let mut names = Vec::with_capacity(streams);
        for index in 0..streams {
            let name = format!("stream-{index}");
            kinesis.create_stream(&name, 4).await?;
            let clients = Client::open(&running.endpoint, Protocol::Http1, 4).await?;
            let putters = Putter::new(clients, FILL, &name, &payload, &Ledger::default())?;
            let until = Until::Records(STREAM_BYTES / SHAPE.record_bytes as u64);
            run(Load { pace: Pace::Closed, until, tolerant: false }, putters, None).await?;
            names.push(name);
        }
        Ok(names)
    }

    /// Creates streams of ten shards each, some at a time.
    async fn create(self, context: &Context, running: &Running) -> Result<Vec<String>, BenchError> {
        let streams = context.set.pick(500, 3000, 10_000);
        let next = std::rc::Rc::new(std::cell::Cell::new(0));
        let clients = Client::open(&running.endpoint, Protocol::Http1, 16).await?;
        let creators =
            clients.into_iter().map(|client| Creator { client, next: std::rc::Rc::clone(&next), streams }).collect();
        let load = Load { pace: Pace::Closed, until: Until::Records(u64::MAX), tolerant: false };
        run(load, creators, None).await?;
        let mut kinesis = Kinesis::open(&running.endpoint).await?;
        let names: Vec<String> = (0..streams).map(|index| format!("stream-{index}")).collect();
        if let Some(name) = names.last() {
            kinesis.wait_active(name).await?;
        }
        Ok(names)
    }
}

/// How the process before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stop,
    StopCold,
    Kill,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Stop => "after a clean stop",
            Self::StopCold => "after a clean stop, page cache cold",
            Self::Kill => "after SIGKILL under load",
        }
    }
}

struct Creator {
    client: Client,
    next: std::rc::Rc<std::cell::Cell<usize>>,
    streams: usize,
}

impl Caller for Creator {
    async fn call(&mut self, _: Instant) -> Result<Called, BenchError> {
        let index = self.next.get();
        if index >= self.streams {
            return Ok(Called::Over);
        }
        self.next.set(index + 1);
        let body = json!({ "StreamName": format!("stream-{index}"), "ShardCount": 10 }).to_string();
        let answer = self.client.call("CreateStream", Codec::Json, body.as_bytes()).await?;
        match answer.status {
            200 => Ok(Called::Good { records: 0, bytes: 0 }),
            status => Err(BenchError::answer(status, answer.body)),
        }
    }
}

/// Kills a server in the middle of puts, so that there is something to recover.
async fn kill_under_load(running: Running, stream: &str) -> Result<std::path::PathBuf, BenchError> {
    let payload = Payload::new(SHAPE);
    let clients = Client::open(&running.endpoint, Protocol::Http1, 4).await?;
    let putters = Putter::new(clients, FILL, stream, &payload, &Ledger::default())?;
    let forever = Load { pace: Pace::Closed, until: Until::Records(u64::MAX), tolerant: false };
    match tokio::time::timeout(Duration::from_millis(300), run(forever, putters, None)).await {
        // The load never ends by itself: the time was over, as meant.
        Err(_) => {}
        Ok(ended) => ended.map(|_| ())?,
    }
    running.server.kill()?;
    Ok(running.dir)
}

async fn first_record(endpoint: &Endpoint, stream: &str) -> Result<(), BenchError> {
    let mut kinesis = Kinesis::open(endpoint).await?;
    let iterator = kinesis.iterator(stream, "shardId-000000000000", None).await?;
    let clients = Client::open(endpoint, Protocol::Http1, 1).await?;
    let payload = Payload::new(SHAPE);
    for mut reader in Reader::new(clients, Codec::Json, &payload, Noting::Nothing, vec![iterator]) {
        reader.sample_answer().await?;
    }
    Ok(())
}

fn segments(dir: &Path) -> Result<usize, BenchError> {
    Ok(disk::files(dir)?.iter().filter(|path| path.to_string_lossy().ends_with(SEGMENT_SUFFIX)).count())
}
