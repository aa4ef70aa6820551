//! What every scenario is given: who takes part, where, for how long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_harness::{Endpoint, Kinesis, Server};
use serde_json::json;

use crate::ceilings::disk::Disk;
use crate::contestants::{Contestant, endpoint};
use crate::error::BenchError;
use crate::process::Process;

/// The stream that most scenarios put into.
pub const STREAM: &str = "bench";
/// Its shards, where the scenario is not about them.
pub const SHARDS: u32 = 4;
/// The largest record of a stream that is not told otherwise.
const RECORD_BYTES: usize = 1 << 20;
/// The largest data and key that a stream can be told to take together.
const LARGEST_RECORD: usize = 10 << 20;
const START_LIMIT: Duration = Duration::from_secs(120);

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Set {
    /// About two minutes.
    Quick,
    /// At most half an hour.
    Default,
    /// Everything, in its largest sizes.
    Full,
}

impl Set {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Default => "default",
            Self::Full => "full",
        }
    }

    /// One of three values, by the set.
    #[must_use]
    pub fn pick<T>(self, quick: T, default: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Default => default,
            Self::Full => full,
        }
    }
}

/// What every scenario is given.
#[derive(Debug)]
pub struct Context {
    /// How much is measured.
    pub set: Set,
    /// Interleaved rounds.
    pub rounds: usize,
    /// Not counted, at the start of each load.
    pub warm_up: Duration,
    /// Counted.
    pub time: Duration,
    /// Millstream first.
    pub contestants: Vec<Contestant>,
    /// Where data is written.
    pub dir: PathBuf,
    /// The raw disk there.
    pub disk: Disk,
}

/// A started server with its files.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub server: Server,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its directory.
    pub dir: PathBuf,
}

impl Context {
    /// Millstream.
    ///
    /// # Errors
    /// When it takes no part.
    pub fn subject(&self) -> Result<&Contestant, BenchError> {
        let subject = self.contestants.iter().find(|contestant| contestant.is_subject());
        subject.ok_or_else(|| BenchError::Arguments("Millstream takes no part".to_owned()))
    }

    /// An empty directory for one measurement.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn fresh(&self) -> Result<PathBuf, BenchError> {
        let fresh = self.dir.join("run");
        if fresh.exists() {
            std::fs::remove_dir_all(&fresh)?;
        }
        std::fs::create_dir_all(&fresh)?;
        Ok(fresh)
    }

    /// A contestant on an empty directory, without streams.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self, who: &Contestant) -> Result<Running, BenchError> {
        let dir = self.fresh()?;
        let (server, endpoint) = who.start(&dir)?;
        Ok(Running { server, endpoint, dir })
    }

    /// A contestant on an empty directory, with a stream of so many shards.
    ///
    /// # Errors
    /// When it does not start or the stream cannot be made.
    pub async fn start_with(&self, who: &Contestant, shards: u32) -> Result<Running, BenchError> {
        self.start_for(who, shards, 0).await
    }

    /// As [`Context::start_with`], for records of so many bytes: streams take 1 MiB at the most unless they are told
    /// otherwise.
    ///
    /// # Errors
    /// As there.
    pub async fn start_for(&self, who: &Contestant, shards: u32, record_bytes: usize) -> Result<Running, BenchError> {
        let running = self.start(who)?;
        let mut kinesis = Kinesis::open(&running.endpoint).await?;
        let mut input = json!({ "StreamName": STREAM, "ShardCount": shards });
        if record_bytes > RECORD_BYTES {
            input["MaxRecordSizeInKiB"] = json!(LARGEST_RECORD >> 10);
        }
        kinesis.call("CreateStream", &input).await?;
        kinesis.wait_active(STREAM).await?;
        Ok(running)
    }

    /// A contestant on what another process of it has left.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self, who: &Contestant, dir: &Path) -> Result<Running, BenchError> {
        let server = Server::start(&who.command(dir)?, START_LIMIT)?;
        let endpoint = endpoint(&server)?;
        Ok(Running { server, endpoint, dir: dir.to_owned() })
    }
}

impl Running {
    /// What the system knows of the process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::new(self.server.id())
    }

    /// Ends the process and removes its files.
    ///
    /// # Errors
    /// When that fails.
    pub fn end(self) -> Result<(), BenchError> {
        self.server.kill()?;
        std::fs::remove_dir_all(&self.dir)?;
        Ok(())
    }

    /// Ends the process cleanly and keeps its files.
    ///
    /// # Errors
    /// When it does not end cleanly.
    pub fn stop(self) -> Result<PathBuf, BenchError> {
        match self.server.stop(START_LIMIT)? {
            Some(status) if status.success() => Ok(self.dir),
            other => Err(BenchError::Conditions(format!("a clean stop ended with {other:?}"))),
        }
    }
}
