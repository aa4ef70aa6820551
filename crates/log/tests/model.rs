//! The segment engine on a simulated disk against a plain model: random operations, crashes at any I/O operation (a
//! killed process or a power loss that keeps any subset of what was not synced), failed writes and syncs, restarts. What was
//! acknowledged is there, at its offset, with its bytes; what was not is there at most once; what was read stays.
//!
//! `SEEDS=n` runs n seeds, `SEED=s` one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use millstream_env::Disk;
use millstream_env::sim::{Crash, Fault, SimEnv};
use millstream_log::segment::{Durability, SegmentConfig, SegmentEngine};
use millstream_log::{
    AppendError, Appended, Batch, BoxFuture, Log, LogId, NotWritten, Read, ReadError, RecordKeys, StreamLog,
};

const SHARDS: u64 = 4;
const RELAXED: Durability = Durability::Relaxed(Duration::from_millis(700));

type Position = (u32, u64);

/// What the client knows.
#[derive(Default)]
struct Model {
    /// Which record every position that was acknowledged or read names; never changes.
    names: HashMap<Position, u64>,
    acknowledged: BTreeMap<Position, u64>,
    /// Sent, not acknowledged, not yet known to be absent.
    uncertain: HashSet<u64>,
    /// Known to be absent: must never appear.
    dead: HashSet<u64>,
    closed: BTreeMap<u32, u64>,
    /// Closings without an answer.
    maybe_closed: BTreeMap<u32, u64>,
    floor_time: u64,
    next_id: u64,
    /// Every run is in fsync mode.
    strict: bool,
}

type Pending<T> = (Pin<Box<dyn Future<Output = Result<T, AppendError>> + Send>>, Vec<(u32, u64)>);

struct World {
    sim: SimEnv,
    engine: Arc<SegmentEngine>,
    log: Arc<dyn StreamLog>,
    model: Model,
    pending: Vec<Pending<Appended>>,
    durability: Durability,
}

fn id() -> LogId {
    LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation: 7 }
}

fn config(durability: Durability) -> SegmentConfig {
    SegmentConfig {
        durability,
        segment_min: 4 << 10,
        segment_max: 32 << 10,
        tail_cache: 6 << 10,
        index_cache: 1 << 10,
        open_files: 3,
        min_free: 0,
        reserve: 0,
        seal_age: Duration::from_secs(60),
        ..SegmentConfig::new("/data/log")
    }
}

fn body(id: u64, size: usize) -> Vec<u8> {
    let mut body = id.to_le_bytes().to_vec();
    body.extend((0..size).map(|n| (id as usize * 31 + n) as u8));
    body
}

fn check_body(data: &[u8]) -> u64 {
    let id = u64::from_le_bytes(data[..8].try_into().unwrap());
    assert_eq!(data, body(id, data.len() - 8), "record {id} has its bytes");
    id
}

fn start(seed: u64) -> World {
    let sim = SimEnv::new(seed);
    let strict = seed % 5 != 4;
    let durability = if strict { Durability::Fsync } else { RELAXED };
    sim.disk.create_dir_all(Path::new("/data")).unwrap();
    sim.disk.sync_dir(Path::new("/")).unwrap();
    let engine = SegmentEngine::open(sim.env(), config(durability)).unwrap();
    let log = sim.block_on(engine.create(&id(), Bytes::from_static(b"d0"))).unwrap().unwrap();
    World { sim, engine, log, model: Model { next_id: 1, strict, ..Model::default() }, pending: Vec::new(), durability }
}

impl World {
    fn below(&self, n: u64) -> u64 {
        self.sim.below(n)
    }

    fn append(&mut self) {
        let mut batch = Batch::new();
        let mut sent = Vec::new();
        for _ in 0..=self.below(4) {
            let shard = self.below(SHARDS) as u32;
            if self.model.closed.contains_key(&shard) || self.model.maybe_closed.contains_key(&shard) {
                continue;
            }
            let record = self.model.next_id;
            self.model.next_id += 1;
            let size = match self.below(10) {
                0 => self.below(20_000),
                1..4 => self.below(3_000),
                _ => self.below(80),
            };
            let key = format!("key-{record}");
            batch.push(
                shard,
                RecordKeys { partition_key: Some(&key), ..RecordKeys::default() },
                &body(record, size as usize),
            );
            sent.push((shard, record));
            self.model.uncertain.insert(record);
        }
        if !batch.is_empty() {
            let append = self.log.append(batch, self.engine.epoch());
            self.pending.push((append, sent));
            self.poll();
        }
    }

    /// Takes the answers that are there.
    fn poll(&mut self) {
        for (mut append, sent) in std::mem::take(&mut self.pending) {
            match append.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => self.pending.push((append, sent)),
                Poll::Ready(Ok(appended)) => self.acknowledge(&appended, &sent),
                Poll::Ready(Err(AppendError::NotWritten(why))) => {
                    assert!(!matches!(why, NotWritten::Deleted), "{why}");
                    for (_, record) in sent {
                        self.model.uncertain.remove(&record);
                        self.model.dead.insert(record);
                    }
                }
                Poll::Ready(Err(AppendError::Unknown(_))) => {}
                Poll::Ready(Err(AppendError::Fenced)) => panic!("nobody else owns the log"),
            }
        }
    }

    fn acknowledge(&mut self, appended: &Appended, sent: &[(u32, u64)]) {
        let mut next: HashMap<u32, u64> = appended.shards.iter().map(|s| (s.shard, s.first)).collect();
        for (shard, record) in sent {
            let offset = next.get_mut(shard).unwrap();
            let position = (*shard, *offset);
            *offset += 1;
            self.model.uncertain.remove(record);
            let named = self.model.names.insert(position, *record);
            assert!(named.is_none_or(|n| n == *record), "position {position:?} named two records");
            self.model.acknowledged.insert(position, *record);
        }
    }

    fn answer<T: Send>(&mut self, future: BoxFuture<'static, T>) -> Option<T> {
        let answer = self.sim.block_on(future);
        self.poll();
        answer
    }

    fn close_shard(&mut self) {
        let shard = self.below(SHARDS) as u32;
        if self.model.closed.contains_key(&shard) || self.model.maybe_closed.contains_key(&shard) {
            return;
        }
        let note = self.below(1_000_000);
        let closing = self.log.close_shards(vec![(shard, note)], Bytes::from(format!("d{note}")), self.engine.epoch());
        match self.answer(closing) {
            Some(Ok(())) => {
                self.model.closed.insert(shard, note);
            }
            Some(Err(AppendError::NotWritten(_))) => {}
            _ => {
                self.model.maybe_closed.insert(shard, note);
            }
        }
    }

    fn trim(&mut self) {
        let back = self.below(120_000);
        let before = self.sim.env().clock.now().saturating_sub(back);
        self.model.floor_time = self.model.floor_time.max(before);
        let trim = self.log.trim(before, self.engine.epoch());
        drop(self.answer(trim));
    }

    /// Reads a shard from `from` on, in pages; what is read is remembered for good.
    fn read(&mut self, shard: u32, mut from: u64) -> Result<Vec<(u64, u64, u64)>, ReadError> {
        let mut out = Vec::new();
        loop {
            let max_bytes = 1 + self.below(30_000) as usize;
            let read = Read { shard, from, not_before: 0, max_bytes, max_records: 1 + self.below(20) as usize };
            let Some(result) = self.answer(self.log.read(read)) else {
                return Err(ReadError::Unavailable("crashed".into()));
            };
            let result = result?;
            for record in &result.records {
                assert!(record.offset >= from && record.offset < result.next);
                let record_id = check_body(&record.data());
                assert!(!self.model.dead.contains(&record_id), "record {record_id} was absent before");
                let named = self.model.names.insert((shard, record.offset), record_id);
                assert!(named.is_none_or(|n| n == record_id), "({shard}, {}) named two records", record.offset);
                out.push((record.offset, record_id, record.time));
            }
            if result.next >= result.position.end {
                return Ok(out);
            }
            assert!(result.next > from || !result.records.is_empty(), "a read makes progress");
            from = result.next;
        }
    }

    /// Reads everything and compares.
    fn verify(&mut self, after_restart: bool) {
        let mut present = HashSet::new();
        for shard in 0..SHARDS as u32 {
            let read = self.read(shard, 0).expect("a whole log can be read");
            let floor = read.first().map_or(u64::MAX, |r| r.0);
            assert!(read.windows(2).all(|w| w[0].0 < w[1].0 && w[0].2 <= w[1].2), "order of offset and time");
            let mut ids = HashSet::new();
            for (_, record, _) in &read {
                assert!(ids.insert(*record), "record {record} is there twice");
            }
            let at: HashMap<u64, u64> = read.iter().map(|(offset, record, _)| (*offset, *record)).collect();
            let wanted = self.model.acknowledged.range((shard, floor)..=(shard, u64::MAX));
            for ((_, offset), record) in wanted {
                assert_eq!(at.get(offset), Some(record), "acknowledged record {record} at ({shard}, {offset})");
            }
            if self.model.floor_time == 0 {
                let lost = self.model.acknowledged.range((shard, 0)..(shard, floor)).next();
                assert_eq!(lost, None, "nothing was trimmed");
            }
            present.extend(ids);
            let position = self.answer(self.log.position(shard)).unwrap().unwrap();
            if let Some(note) = self.model.closed.get(&shard) {
                assert_eq!(position.closed, Some(*note), "shard {shard} stays closed");
            } else if let (Some(note), Some(maybe)) = (position.closed, self.model.maybe_closed.get(&shard)) {
                assert_eq!(note, *maybe);
                self.model.closed.insert(shard, note);
            } else {
                assert_eq!(position.closed, None);
            }
        }
        if after_restart {
            let uncertain = std::mem::take(&mut self.model.uncertain);
            self.model.dead.extend(uncertain.into_iter().filter(|record| !present.contains(record)));
            self.model.maybe_closed.clear();
        }
        let newest = self.model.names.len();
        assert!(newest < 1_000_000);
    }

    /// Everything that was read or acknowledged, was durable, and is not below the floor must be found again; in relaxed mode
    /// acknowledged records may be lost with the power.
    fn restart(mut self, crash: Option<Crash>) -> World {
        match crash {
            None => {
                self.sim.block_on(self.engine.close());
                self.poll();
            }
            Some(_) => self.poll(),
        }
        let World { sim, engine, log, mut model, pending, durability } = self;
        drop((engine, log, pending));
        let sim = sim.restart(crash.unwrap_or(Crash::Kill));
        if durability != Durability::Fsync && crash.is_some() {
            // Relaxed: what was acknowledged and not yet readable may be gone, and its position is not used again.
            model.uncertain.extend(model.acknowledged.values());
            model.acknowledged.clear();
        }
        // Some operators change the mode between runs.
        let durability = match durability {
            Durability::Fsync if model.strict => Durability::Fsync,
            _ if sim.below(2) == 0 => Durability::Fsync,
            _ => RELAXED,
        };
        let engine = SegmentEngine::open(sim.env(), config(durability)).unwrap();
        assert_eq!(engine.list(), vec![id()]);
        let log = engine.open(&id()).unwrap();
        World { sim, engine, log, model, pending: Vec::new(), durability }
    }
}

fn run(seed: u64) {
    let mut world = start(seed);
    for _round in 0..6 {
        match world.below(6) {
            0..3 => {
                let at = world.sim.disk.operations() + world.below(60);
                world.sim.disk.crash_at(Some(at));
            }
            3 => {
                let at = world.sim.disk.operations() + world.below(60);
                world.sim.disk.inject(at, Fault::Fail);
            }
            _ => {}
        }
        for _ in 0..world.below(60) {
            if world.sim.disk.has_crashed() {
                break;
            }
            match world.below(20) {
                0..9 => world.append(),
                9..13 => {
                    for _ in 0..world.below(8) {
                        world.sim.step();
                    }
                    world.poll();
                }
                13..15 => {
                    world.sim.clock.advance(world.below(2_000));
                    world.engine.tick();
                }
                15 => world.sim.clock.advance(world.below(30_000)),
                16 if world.below(4) == 0 => world.close_shard(),
                17 if world.below(3) == 0 => world.trim(),
                _ => {
                    let (shard, from) = (world.below(SHARDS) as u32, world.below(20));
                    match world.read(shard, from) {
                        Ok(_) | Err(ReadError::Unavailable(_)) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
            }
        }
        let crash = match world.below(3) {
            0 if !world.sim.disk.has_crashed() => None,
            1 => Some(Crash::Kill),
            _ => Some(Crash::PowerLoss),
        };
        world = world.restart(crash);
        world.verify(true);
    }
    world.sim.settle();
    assert!(world.engine.problems().is_empty(), "{:?}", world.engine.problems());
}

#[test]
fn agrees_with_the_model() {
    if let Ok(seed) = std::env::var("SEED") {
        return run(seed.parse().expect("SEED is a number"));
    }
    let seeds = std::env::var("SEEDS").ok().map_or(400, |s| s.parse().expect("SEEDS is a number"));
    for seed in 0..seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("failing seed: SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
