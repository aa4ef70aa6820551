//! The rounds: load, kill, restart, verify.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millstream_harness::{CallError, Random, Server, ServerCommand, StartError};
use thiserror::Error;

use crate::report::{End, Report};
use crate::world::World;

/// The longest that a start, with its recovery, may take.
pub const START_LIMIT: Duration = Duration::from_secs(20);
/// The longest that a clean stop may take; the server's own drain is 10 s.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Rounds that a stream lives.
const STREAM_ROUNDS: u64 = 10;

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

impl Settings {
    /// Where the server keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// How the server is started.
    #[must_use]
    pub fn command(&self) -> ServerCommand {
        let more = ["--limits", "none", "--transition-delay", "10ms", "--log-level", "warn", "--test-controls"];
        ServerCommand::millstream(&self.server, &self.data(), &self.dir.join("server.log"), &more)
    }
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

/// Runs all rounds.
///
/// # Errors
/// The first round that fails; see [`Failure`].
pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let command = settings.command();
    let mut report = Report::default();
    let mut server = start(&command, &mut report)?;
    let mut world = World::create(settings.seed, settings.writers, &server, Duration::ZERO).await?;
    for round in 1..=settings.rounds {
        let mut random = Random::part(settings.seed, round);
        let end = disturb(server, &mut world, &mut random).await?;
        server = restart(&command, &mut random, &mut report)?;
        let counts = world.verify(&server, round, &mut report).await?;
        println!("round {round}: ok, {end}, {counts}");
        report.round(end);
        if round % STREAM_ROUNDS == 0 || round == settings.rounds {
            println!("{}", world.renew(&server, round, &mut report).await?);
        }
    }
    stopped(server)?;
    print!("{}", report.summary(&world.tally.lock(), &settings.data()));
    Ok(())
}

/// Loads the server and ends it at a random moment, or just after a change of something was asked for.
async fn disturb(server: Server, world: &mut World, random: &mut Random) -> Result<End, Failure> {
    let load = world.load(&server, random).await?;
    let aimed = random.chance(35);
    // The random moment. It is no wait for anything.
    tokio::time::sleep(Duration::from_millis(random.range(20, if aimed { 400 } else { 1200 }))).await;
    if aimed {
        let sent = load.shared.sent.notified();
        // Nothing may be sent for a while; then any moment is as good.
        if tokio::time::timeout(Duration::from_secs(1), sent).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(random.range(0, 4))).await;
        }
    }
    load.expect_the_end();
    let end = if random.chance(15) {
        terminate(server).await?;
        End::Stopped
    } else {
        server.kill()?;
        if aimed { End::KilledAtChange } else { End::Killed }
    };
    load.finish().await?;
    Ok(end)
}

/// Stops the server cleanly; the load goes on while it drains.
///
/// # Errors
/// When the stop is not clean.
pub async fn terminate(server: Server) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || stopped(server)).await.map_err(std::io::Error::other)?
}

/// The same, on this thread.
///
/// # Errors
/// When the stop is not clean.
pub fn stopped(server: Server) -> Result<(), Failure> {
    match server.stop(STOP_LIMIT)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failure::Stop(format!("the server ended with {status}"))),
        None => Err(Failure::Stop(format!("the server was still there after {STOP_LIMIT:?}"))),
    }
}

/// Starts the server, and notes how long that took.
///
/// # Errors
/// When it does not start in time.
pub fn start(command: &ServerCommand, report: &mut Report) -> Result<Server, Failure> {
    let begun = std::time::Instant::now();
    let server = Server::start(command, START_LIMIT)?;
    report.started_after(begun.elapsed());
    Ok(server)
}

/// Starts the server again; sometimes it is killed in the middle of that first.
fn restart(command: &ServerCommand, random: &mut Random, report: &mut Report) -> Result<Server, Failure> {
    while random.chance(25) {
        let server = Server::spawn(command)?;
        std::thread::sleep(Duration::from_millis(random.range(0, 60)));
        server.kill()?;
        report.killed_while_starting();
    }
    start(command, report)
}

/// A problem, if there is one.
pub fn broken(round: u64, problems: Vec<String>) -> Result<(), Failure> {
    if problems.is_empty() { Ok(()) } else { Err(Failure::Broken { round, problems }) }
}

/// For `join` handles: what a task that panicked becomes.
pub fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> Result<T, Failure> {
    ended.map_err(|error| Failure::Io(std::io::Error::other(error)))
}

/// Shared by what runs the load.
pub type Tasks = Vec<tokio::task::JoinHandle<()>>;

/// The load of one round.
#[derive(Debug)]
pub struct Load {
    /// What its parts share.
    pub shared: crate::shared::Shared,
    /// Its parts.
    pub tasks: Tasks,
}

impl Load {
    /// From here on the server may go away.
    pub fn expect_the_end(&self) {
        self.shared.ending.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Waits for all parts, once the server is gone.
    ///
    /// # Errors
    /// When one of them panicked.
    pub async fn finish(self) -> Result<(), Failure> {
        for task in self.tasks {
            joined(task.await)?;
        }
        Ok(())
    }
}

/// The streams of a run.
pub type Streams = Arc<Vec<Arc<crate::stream::Stream>>>;
