//! What every scenario is given: who takes part, where, for how long.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millstream_harness::{Endpoint, Kinesis, Server};
use serde_json::json;

use crate::ceilings::disk::{self, Disk};
use crate::contestants::{Contestant, endpoint};
use crate::error::BenchError;
use crate::goals::SUBJECT;
use crate::process::Process;
use crate::results::{Failure, Measured};

/// The stream that most scenarios put into.
pub const STREAM: &str = "bench";
/// Its shards, where the scenario is not about them.
pub const SHARDS: u32 = 4;
/// The largest record of a stream that is not told otherwise.
const RECORD_BYTES: usize = 1 << 20;
/// The largest data and key that a stream can be told to take together.
const LARGEST_RECORD: usize = 10 << 20;
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a server may go on writing after the last put.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// Rounds of a scenario in which a peer may fail before it is given up.
const FAILURES: usize = 2;
/// Files of this size are not removed without giving the disk the time that it takes.
const MUCH: u64 = 256 << 20;

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
    /// How long one round of one contestant may take.
    pub limit: Duration,
}

/// Who takes part in a load in the smaller sets. In the full set everyone does who can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// All that were given.
    Everyone,
    /// All but those that would take the disk for longer than all others together.
    Fast,
    /// Millstream, beside the machine's limits.
    Alone,
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

    /// Those who take part, and can do what is asked for.
    pub fn field(&self, field: Field, can: impl Fn(&Contestant) -> bool) -> Vec<&Contestant> {
        self.contestants.iter().filter(|who| can(who) && self.takes_part(field, who)).collect()
    }

    /// The ids of those who could take part, and do so in the full set only.
    pub fn left_out(&self, field: Field, can: impl Fn(&Contestant) -> bool) -> Vec<String> {
        let left_out = self.contestants.iter().filter(|who| can(who) && !self.takes_part(field, who));
        left_out.map(|who| who.id().to_owned()).collect()
    }

    fn takes_part(&self, field: Field, who: &Contestant) -> bool {
        let chosen = match field {
            Field::Everyone => true,
            Field::Fast => !who.is_slow(),
            Field::Alone => false,
        };
        chosen || who.is_subject() || self.set == Set::Full
    }

    /// Rounds of what takes long, or is not compared with anyone.
    #[must_use]
    pub fn fewer_rounds(&self) -> usize {
        self.rounds.min(self.set.pick(1, 3, 5))
    }

    /// One round of one contestant, within its time. What goes wrong is noted in its row. Who was late once or failed twice is
    /// not tried again, Millstream excepted: it would cost everyone else's time.
    pub async fn attempt<T>(
        &self,
        scenario: &str,
        row: &mut Measured,
        round: usize,
        work: impl Future<Output = Result<T, BenchError>>,
    ) -> Option<T> {
        let late = BenchError::Late(self.limit.as_secs());
        let late_before = row.failures.iter().any(|failure| failure.reason == late.to_string());
        if row.who != SUBJECT && (late_before || row.failures.len() >= FAILURES) {
            return None;
        }
        match tokio::time::timeout(self.limit, work).await.unwrap_or(Err(late)) {
            Ok(done) => Some(done),
            Err(error) => {
                println!("{scenario}, round {round}: {} failed: {error}", row.who);
                row.failures.push(Failure { round, reason: error.to_string() });
                None
            }
        }
    }

    /// An empty directory for one measurement of this contestant.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn fresh(&self, id: &str) -> Result<PathBuf, BenchError> {
        let fresh = self.runs().join(id);
        remove(&fresh)?;
        std::fs::create_dir_all(&fresh)?;
        Ok(fresh)
    }

    /// Removes what measurements that were broken off have left.
    ///
    /// # Errors
    /// When that fails.
    pub fn clear(&self) -> Result<(), BenchError> {
        remove(&self.runs())
    }

    fn runs(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// A contestant on an empty directory, without streams.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self, who: &Contestant) -> Result<Running, BenchError> {
        let dir = self.fresh(who.id())?;
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
        remove(&self.dir)
    }

    /// Waits until the server writes nothing more: sealed segments may be sorted by shard after the last put.
    pub async fn settle(&self) {
        let started = Instant::now();
        let mut before = self.process().moved().written;
        let mut quiet = 0;
        // A sorting that has yet to read what it will write is quiet, too, but not for two seconds.
        while quiet < 2 && started.elapsed() < SETTLE_LIMIT {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let written = self.process().moved().written;
            // What a second's marks and stamps take is no sorting.
            quiet = if written.saturating_sub(before) < 1 << 20 { quiet + 1 } else { 0 };
            before = written;
        }
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

/// Removes a directory, if it is there. Much that goes, or waits to be written, would be the next measurement's slow disk.
fn remove(dir: &Path) -> Result<(), BenchError> {
    if !dir.exists() {
        return Ok(());
    }
    let much = disk::size(dir)? >= MUCH;
    std::fs::remove_dir_all(dir)?;
    if much {
        rustix::fs::sync();
    }
    Ok(())
}
