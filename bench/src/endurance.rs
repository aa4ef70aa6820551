//! Memory after many records, and the time from start to first answer on a full data directory.

use std::path::Path;
use std::time::{Duration, Instant};

use millstream_harness::{Kinesis, Server, ServerCommand};
use serde::Serialize;
use serde_json::json;

use crate::contestant::{Contestant, STREAM, endpoint};
use crate::error::BenchError;
use crate::load::{self, Until};
use crate::requests::Kind;
use crate::throughput::fresh;

const KIND: Kind = Kind::PutRecords(500);
const CONNECTIONS: usize = 4;
/// Starts of each sort.
const STARTS: usize = 5;
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Endurance {
    /// Records that were put.
    pub records: u64,
    /// Bytes under the data directory afterwards.
    pub stored: u64,
    /// The most memory that the process ever had resident, in bytes, when all were put.
    pub peak_memory: Option<u64>,
    /// Milliseconds from the start of the process to its first answer, after a clean stop.
    pub after_stop_ms: Vec<f64>,
    /// The same after SIGKILL under load.
    pub after_kill_ms: Vec<f64>,
    /// Milliseconds from the start of the process to the first record read, after SIGKILL.
    pub first_record_ms: Vec<f64>,
}

/// Fills a data directory with `records` records and starts the server on it, again and again.
///
/// # Errors
/// The first thing that fails.
pub async fn run(who: &Contestant, dir: &Path, records: u64) -> Result<Endurance, BenchError> {
    let dir = fresh(dir)?;
    let (mut server, at) = who.start(&dir).await?;
    load::run(&at, KIND, CONNECTIONS, Until::Records(records)).await?;
    let mut found = Endurance {
        records,
        stored: size(&dir.join("data"))?,
        peak_memory: server.peak_memory(),
        after_stop_ms: Vec::new(),
        after_kill_ms: Vec::new(),
        first_record_ms: Vec::new(),
    };
    println!("{records} records put, VmHWM {:?} bytes", found.peak_memory);
    let command = who.command(&dir)?;
    for _ in 0..STARTS {
        match server.stop(STOP_LIMIT)? {
            Some(status) if status.success() => {}
            other => return Err(BenchError::Report(format!("a clean stop ended with {other:?}"))),
        }
        let started = start(&command).await?;
        found.after_stop_ms.push(started.first_answer_ms);
        server = started.server;
    }
    for _ in 0..STARTS {
        kill_under_load(server).await?;
        let started = start(&command).await?;
        found.after_kill_ms.push(started.first_answer_ms);
        found.first_record_ms.push(started.first_record_ms);
        server = started.server;
    }
    server.kill()?;
    std::fs::remove_dir_all(&dir)?;
    println!("first answer after a stop {:?} ms, after a kill {:?} ms", found.after_stop_ms, found.after_kill_ms);
    Ok(found)
}

/// Kills a server in the middle of puts, so that there is something to recover.
async fn kill_under_load(server: Server) -> Result<(), BenchError> {
    let at = endpoint(&server)?;
    let forever = Until::Records(u64::MAX);
    let load = load::run(&at, KIND, CONNECTIONS, forever);
    match tokio::time::timeout(Duration::from_millis(500), load).await {
        // The load never ends by itself: the time was over, as meant.
        Err(_) => Ok(server.kill()?),
        Ok(ended) => ended.map(|_| ()),
    }
}

struct Started {
    server: Server,
    first_answer_ms: f64,
    first_record_ms: f64,
}

/// Starts a server and asks as soon as it says that it listens.
async fn start(command: &ServerCommand) -> Result<Started, BenchError> {
    let started = Instant::now();
    let server = Server::start(command, START_LIMIT)?;
    let mut kinesis = Kinesis::open(&endpoint(&server)?).await?;
    kinesis.call("DescribeStreamSummary", &json!({ "StreamName": STREAM })).await?;
    let first_answer_ms = started.elapsed().as_secs_f64() * 1000.0;
    let iterator = kinesis.iterator(STREAM, "shardId-000000000000", None).await?;
    let page = kinesis.call("GetRecords", &json!({ "ShardIterator": iterator, "Limit": 1 })).await?;
    if page["Records"].as_array().is_none_or(Vec::is_empty) {
        return Err(BenchError::ReadBack("the oldest record is not there after a start".to_owned()));
    }
    let first_record_ms = started.elapsed().as_secs_f64() * 1000.0;
    Ok(Started { server, first_answer_ms, first_record_ms })
}

fn size(dir: &Path) -> Result<u64, BenchError> {
    let mut total = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(total)
}
