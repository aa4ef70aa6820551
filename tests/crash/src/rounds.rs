//! The rounds: load, kill, restart, verify.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_harness::{CallError, Endpoint, Kinesis, Random, Server, ServerCommand, StartError};
use parking_lot::Mutex;
use serde_json::json;
use thiserror::Error;

use crate::ledger::{Counts, Ledger};
use crate::load::{self, Shared};
use crate::verify::{self, Position};

/// The longest that a start, with its recovery, may take.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The longest that a clean stop may take; the server's own drain is 10 s.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Rounds that a stream lives.
const STREAM_ROUNDS: u64 = 10;
const ACCOUNT: &str = "111122223333";

/// How the rounds are run.
#[derive(Debug)]
pub struct Settings {
    /// The server's binary.
    pub server: PathBuf,
    /// Where the data directory is made.
    pub dir: PathBuf,
    /// How many.
    pub rounds: u64,
    /// Connections that write.
    pub writers: u64,
    /// What the choices follow from.
    pub seed: u64,
}

/// Why the run ended early.
#[derive(Debug, Error)]
pub enum Failure {
    /// A promise was broken.
    #[error("round {round}:\n  {}", problems.join("\n  "))]
    Broken {
        /// In which round it was found.
        round: u64,
        /// What was found.
        problems: Vec<String>,
    },
    /// The server does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A call failed where nothing may fail: after the restart.
    #[error("after the restart: {0}")]
    Call(#[from] CallError),
    /// A process, file or connection of this program.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A clean stop was not clean.
    #[error("SIGTERM: {0}")]
    Stop(String),
}

/// One stream over its rounds.
struct Stream {
    name: String,
    ledger: Arc<Mutex<Ledger>>,
    positions: HashMap<String, Position>,
}

/// Runs all rounds.
///
/// # Errors
/// The first round that fails; see [`Failure`].
pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let data = settings.dir.join("data");
    let output = settings.dir.join("server.log");
    let more = ["--limits", "none", "--transition-delay", "10ms", "--log-level", "warn"];
    let command = ServerCommand::millstream(&settings.server, &data, &output, &more);
    let mut server = Server::start(&command, START_LIMIT)?;
    let mut stream: Option<Stream> = None;
    for round in 1..=settings.rounds {
        let mut random = Random::part(settings.seed, round);
        let mut kinesis = Kinesis::open(&endpoint(&server)?).await?;
        let current = match &mut stream {
            Some(stream) => stream,
            None => stream.insert(create(&mut kinesis, settings, round).await?),
        };
        let (how, reshards) = disturb(server, settings, current, &mut random).await?;
        server = restart(&command, &mut random)?;
        let counts = verify(&server, current, round).await?;
        println!(
            "round {round}: ok, {how}, {} acknowledged, {} unknown of which {} written, {} refused, {} followed, \
             {} shards, {reshards} reshards",
            counts.acknowledged,
            counts.unknown,
            counts.unknown_found,
            counts.refused,
            counts.seen,
            current.positions.len(),
        );
        if round % STREAM_ROUNDS == 0 || round == settings.rounds {
            retire(&server, current, round).await?;
            stream = None;
        }
    }
    stopped(server)
}

fn endpoint(server: &Server) -> Result<Endpoint, Failure> {
    let address = server.address().ok_or_else(|| Failure::Stop("the server has no address".to_owned()))?;
    Ok(Endpoint::new(address, ACCOUNT))
}

async fn create(kinesis: &mut Kinesis, settings: &Settings, round: u64) -> Result<Stream, Failure> {
    let name = format!("crash-{round}");
    kinesis.create_stream(&name, 2).await?;
    let ledger = Ledger::new(settings.seed ^ round, settings.writers);
    Ok(Stream { name, ledger: Arc::new(Mutex::new(ledger)), positions: HashMap::new() })
}

/// Loads the server and ends it at a random moment. Gives how it was ended and how many reshards were taken.
async fn disturb(
    server: Server,
    settings: &Settings,
    stream: &Stream,
    random: &mut Random,
) -> Result<(&'static str, u64), Failure> {
    let shared = Shared {
        endpoint: endpoint(&server)?,
        stream: stream.name.clone(),
        ledger: Arc::clone(&stream.ledger),
        ending: Arc::new(AtomicBool::new(false)),
    };
    let writers: Vec<_> = (0..settings.writers)
        .map(|writer| tokio::spawn(load::write(shared.clone(), writer, Random::new(random.u64()))))
        .collect();
    let follower = tokio::spawn(load::follow(shared.clone(), stream.positions.clone()));
    let resharder = tokio::spawn(load::reshard(shared.clone(), Random::new(random.u64())));
    // The random moment. It is no wait for anything.
    tokio::time::sleep(Duration::from_millis(random.range(20, 1200))).await;
    let how = if random.chance(85) {
        shared.ending.store(true, Ordering::Relaxed);
        server.kill()?;
        "killed"
    } else {
        // The load goes on while the server drains, from another thread's point of view: the writers must be polled.
        shared.ending.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || stopped(server)).await.map_err(std::io::Error::other)??;
        "stopped"
    };
    for writer in writers {
        writer.await.map_err(std::io::Error::other)?;
    }
    follower.await.map_err(std::io::Error::other)?;
    let reshards = resharder.await.map_err(std::io::Error::other)?;
    Ok((how, reshards))
}

fn stopped(server: Server) -> Result<(), Failure> {
    match server.stop(STOP_LIMIT)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failure::Stop(format!("the server ended with {status}"))),
        None => Err(Failure::Stop(format!("the server was still there after {STOP_LIMIT:?}"))),
    }
}

/// Starts the server again; sometimes it is killed in the middle of that first.
fn restart(command: &ServerCommand, random: &mut Random) -> Result<Server, Failure> {
    while random.chance(25) {
        let server = Server::spawn(command)?;
        std::thread::sleep(Duration::from_millis(random.range(0, 60)));
        server.kill()?;
    }
    Ok(Server::start(command, START_LIMIT)?)
}

/// Reads what came since the last verification and judges the ledger.
async fn verify(server: &Server, stream: &mut Stream, round: u64) -> Result<Counts, Failure> {
    let mut kinesis = Kinesis::open(&endpoint(server)?).await?;
    // A plan that the kill met goes on to its end.
    kinesis.wait_active(&stream.name).await?;
    let ledger = Arc::clone(&stream.ledger);
    verify::pass(&mut kinesis, &stream.name, &mut stream.positions, &mut |read| ledger.lock().found(read)).await?;
    let mut ledger = stream.ledger.lock();
    let counts = ledger.judge();
    match ledger.problems() {
        [] => Ok(counts),
        problems => Err(Failure::Broken { round, problems: problems.to_vec() }),
    }
}

/// Reads all of a stream once more, from its beginning, and deletes it.
async fn retire(server: &Server, stream: &mut Stream, round: u64) -> Result<(), Failure> {
    stream.ledger.lock().read_again();
    stream.positions.clear();
    let counts = verify(server, stream, round).await?;
    println!("{}: read from its beginning, {} acknowledged records are there", stream.name, counts.acknowledged);
    let mut kinesis = Kinesis::open(&endpoint(server)?).await?;
    kinesis.call("DeleteStream", &json!({ "StreamName": stream.name })).await?;
    Ok(())
}
