//! All streams of a run, and what is known of the server: loaded, verified, renewed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_harness::{CallError, Endpoint, Kinesis, Random, Server};
use parking_lot::Mutex;
use serde_json::json;

use crate::control;
use crate::ledger::Counts;
use crate::load;
use crate::report::Report;
use crate::rounds::{Failure, Load, Streams, broken};
use crate::shared::{Shared, Tally};
use crate::stream::{Existence, Role, Stream};
use crate::time::{self, Time};
use crate::verify::{self, Positions};

const ACCOUNT: &str = "111122223333";
/// Connections that read what they wrote, beside the writers.
const OWN_READERS: u64 = 2;
/// What there is of each role.
const ROLES: [Role; 3] = [Role::Steady, Role::Aging, Role::Reborn];

/// The streams of a run.
#[derive(Debug)]
pub struct World {
    seed: u64,
    writers: u64,
    pace: Duration,
    streams: Streams,
    positions: HashMap<String, Positions>,
    time: Arc<Time>,
    started: Instant,
    generation: u64,
    /// What was done, in all rounds.
    pub tally: Arc<Mutex<Tally>>,
}

/// What a verification counted, over all streams.
#[derive(Debug, Default)]
pub struct Verified {
    counts: Counts,
    shards: usize,
    puts: u64,
    pages: u64,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { acknowledged, unknown, unknown_found, refused, expired, .. } = self.counts;
        write!(
            f,
            "{acknowledged} acknowledged of which {expired} expired, {unknown} unknown of which {unknown_found} written, \
             {refused} refused, {} shards; judged {} puts and {} pages",
            self.shards, self.puts, self.pages
        )
    }
}

/// Where the server is.
///
/// # Errors
/// When it does not say so.
pub fn endpoint(server: &Server) -> Result<Endpoint, Failure> {
    let address = server.address().ok_or_else(|| Failure::Stop("the server has no address".to_owned()))?;
    Ok(Endpoint::new(address, ACCOUNT))
}

impl World {
    /// Makes the streams. Writers rest for `pace` after each put.
    ///
    /// # Errors
    /// The first call that fails.
    pub async fn create(seed: u64, writers: u64, server: &Server, pace: Duration) -> Result<Self, Failure> {
        let mut world = Self {
            seed,
            writers,
            pace,
            streams: Arc::default(),
            positions: HashMap::new(),
            time: Arc::default(),
            started: Instant::now(),
            generation: 0,
            tally: Arc::default(),
        };
        world.create_streams(&mut Kinesis::open(&endpoint(server)?).await?).await?;
        Ok(world)
    }

    async fn create_streams(&mut self, kinesis: &mut Kinesis) -> Result<(), CallError> {
        self.generation += 1;
        self.positions.clear();
        let mut streams = Vec::new();
        for (number, role) in (0..).zip(ROLES) {
            let name = format!("{role:?}-{}", self.generation).to_lowercase();
            let seed = self.seed ^ (self.generation << 32) ^ number;
            let writers = self.writers + OWN_READERS;
            streams.push(Arc::new(Stream::create(kinesis, (name, role), (seed, writers), &self.time).await?));
        }
        self.streams = Arc::new(streams);
        Ok(())
    }

    /// Begins the load of one round: everybody but subscribers.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn load(&self, server: &Server, random: &mut Random) -> Result<Load, Failure> {
        let shared = Shared {
            endpoint: endpoint(server)?,
            streams: Arc::clone(&self.streams),
            time: Arc::clone(&self.time),
            started: self.started,
            pace: self.pace,
            ending: Arc::default(),
            sent: Arc::default(),
            tally: Arc::clone(&self.tally),
        };
        let mut part = || Random::new(random.u64());
        let mut tasks = Vec::new();
        for writer in 0..self.writers {
            tasks.push(tokio::spawn(load::write(shared.clone(), writer, part())));
        }
        for reader in 0..OWN_READERS {
            tasks.push(tokio::spawn(load::read_own_writes(shared.clone(), self.writers + reader)));
        }
        for stream in self.streams.iter() {
            let (shared, stream) = (shared.clone(), Arc::clone(stream));
            if stream.role == Role::Reborn {
                tasks.push(tokio::spawn(control::delete_and_create(shared, stream, part())));
                continue;
            }
            let positions = self.positions.get(&stream.name).cloned().unwrap_or_default();
            tasks.push(tokio::spawn(load::follow(shared.clone(), Arc::clone(&stream), positions)));
            tasks.push(tokio::spawn(control::operate(shared, stream, part())));
        }
        let rest = self.pace * 100;
        tasks.push(tokio::spawn(control::move_clock(shared.clone(), part(), rest)));
        Ok(Load { shared, tasks })
    }

    /// Adds a subscriber to every stream that stays, to a load.
    ///
    /// # Errors
    /// The first call that fails.
    pub async fn subscribe(&self, load: &mut Load) -> Result<(), Failure> {
        let mut kinesis = Kinesis::open(&load.shared.endpoint).await?;
        for stream in self.streams.iter().filter(|stream| stream.role != Role::Reborn) {
            let consumer = control::register_subscriber(&mut kinesis, ACCOUNT, stream).await?;
            load.tasks.push(tokio::spawn(load::subscribe(load.shared.clone(), Arc::clone(stream), consumer)));
        }
        Ok(())
    }

    /// Reads what came since the last verification and judges everything.
    ///
    /// # Errors
    /// What was broken, or a call that failed.
    pub async fn verify(&mut self, server: &Server, round: u64, report: &mut Report) -> Result<Verified, Failure> {
        let begun = Instant::now();
        let endpoint = endpoint(server)?;
        let mut kinesis = Kinesis::open(&endpoint).await?;
        let ahead = time::reading(endpoint.address).await?;
        if !self.time.is_ahead_by(ahead) {
            broken(round, vec![format!("the clock is {ahead} ms ahead after the restart")])?;
        }
        for stream in self.streams.iter() {
            self.settle(&mut kinesis, stream, round).await?;
        }
        report.recovered_after(begun.elapsed());
        let mut verified = Verified::default();
        for stream in Arc::clone(&self.streams).iter() {
            self.verify_stream(&mut kinesis, stream, round, &mut verified).await?;
        }
        report.verified(&verified.counts, verified.puts, verified.pages);
        Ok(verified)
    }

    /// Brings what the kill met to its end: plans, deletions, creations. Every stream is ACTIVE then, and was read from.
    async fn settle(&self, kinesis: &mut Kinesis, stream: &Stream, round: u64) -> Result<(), Failure> {
        let name = &stream.name;
        let existence = *stream.existence.lock();
        let described = kinesis.call("DescribeStreamSummary", &json!({ "StreamName": name })).await;
        let status = match &described {
            Ok(answer) => answer["StreamDescriptionSummary"]["StreamStatus"].as_str().unwrap_or_default().to_owned(),
            Err(error) if error.code() == "ResourceNotFoundException" => "gone".to_owned(),
            Err(_) => String::new(),
        };
        if status.is_empty() {
            described?;
        }
        let is_gone = match (existence, status.as_str()) {
            (Existence::Live | Existence::Creating(true), "gone" | "DELETING")
            | (Existence::Deleting(true), "ACTIVE" | "UPDATING" | "CREATING")
            | (Existence::Gone, "ACTIVE" | "UPDATING" | "CREATING" | "DELETING") => {
                return broken(round, vec![format!("{name} is {status} after {existence:?}")]);
            }
            (_, "gone" | "DELETING") => true,
            _ => false,
        };
        if is_gone {
            control::wait_gone(kinesis, name).await?;
            stream.is_reborn(&self.time).await;
            kinesis.create_stream(name, 2).await?;
        } else {
            // A plan that the kill met goes on to its end.
            kinesis.wait_active(name).await?;
        }
        *stream.existence.lock() = Existence::Live;
        let shards = kinesis.list_shards(name).await?;
        if let Some(shard) = shards.first() {
            let iterator = kinesis.iterator(name, &shard.id, None).await?;
            kinesis.call("GetRecords", &json!({ "ShardIterator": iterator, "Limit": 1 })).await?;
        }
        Ok(())
    }

    async fn verify_stream(
        &mut self,
        kinesis: &mut Kinesis,
        stream: &Stream,
        round: u64,
        verified: &mut Verified,
    ) -> Result<(), Failure> {
        let life = stream.life.read().await.clone();
        let positions = self.positions.entry(stream.name.clone()).or_default();
        if stream.role == Role::Reborn {
            // It may be another one than the last time: all of it is read.
            positions.clear();
            life.ledger.lock().read_again();
        }
        let settings = stream.settings(kinesis).await?;
        let wrong = stream.facts.lock().compare(&settings);
        {
            let mut ledger = life.ledger.lock();
            wrong.into_iter().for_each(|wrong| ledger.problem(format!("{}: {wrong}", stream.name)));
            stream.note_retention(&mut ledger, &self.time);
        }
        let time = &self.time;
        let mut take = |_, reads| {
            let mut ledger = life.ledger.lock();
            for read in Vec::into_iter(reads) {
                ledger.found(read, time.now());
            }
        };
        verified.shards += verify::pass(kinesis, &stream.name, positions, self.started, &mut take).await?;
        let mut ledger = life.ledger.lock();
        // What expired during the reading was not there at its end.
        stream.note_retention(&mut ledger, &self.time);
        verified.counts.add(ledger.judge());
        let mut history = life.history.lock();
        let (puts, pages) = history.size();
        verified.puts += puts;
        verified.pages += pages;
        let age = self.time.now().latest.saturating_sub(life.born.earliest);
        for problem in history.judge(ledger.truth(), age, stream.expires()) {
            ledger.problem(format!("{}: {problem}", stream.name));
        }
        broken(round, ledger.problems().to_vec())
    }

    /// Reads all streams once more, from their beginning, and replaces them by new ones.
    ///
    /// # Errors
    /// As [`World::verify`].
    pub async fn renew(&mut self, server: &Server, round: u64, report: &mut Report) -> Result<String, Failure> {
        for stream in self.streams.iter() {
            stream.life.read().await.ledger.lock().read_again();
        }
        self.positions.clear();
        let counts = self.verify(server, round, report).await?;
        let mut kinesis = Kinesis::open(&endpoint(server)?).await?;
        for stream in self.streams.iter() {
            let input = json!({ "StreamName": stream.name, "EnforceConsumerDeletion": true });
            kinesis.call("DeleteStream", &input).await?;
        }
        self.create_streams(&mut kinesis).await?;
        Ok(format!("all streams read from their beginning: {counts}"))
    }
}
