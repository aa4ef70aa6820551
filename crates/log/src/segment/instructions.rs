//! What `make bench-instructions` counts of the log. As tests they check that the pieces do their work.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::sim::SimEnv;
use millstream_env::{Disk as _, counted};

use super::commit::{OpenCommit, join};
use super::format::CommitHead;
use super::{SegmentConfig, SegmentEngine};
use crate::{Batch, Log, LogId, Read, RecordKeys, ShardIndex, StreamLog};

/// Records of a batch.
const RECORDS: usize = 500;
/// Shards that they are spread over.
const SHARDS: u32 = 4;
const DATA: [u8; 1024] = [0xa5; 1024];
const KEY: &str = "partition-key-00042";

fn keys() -> RecordKeys<'static> {
    RecordKeys { partition_key: Some(KEY), ..RecordKeys::default() }
}

fn batch_of(records: usize) -> Batch {
    let mut batch = Batch::new();
    for record in 0..records {
        batch.push(record as u32 % SHARDS, keys(), &DATA);
    }
    batch
}

/// What the writer does with a batch before it writes.
fn commit(batch: Batch) -> (Vec<u8>, usize) {
    let mut open = OpenCommit::default();
    join(&mut open, batch, |_| (7, 1_750_000_000_000));
    let sealed = open.seal();
    let bodies = sealed.bodies().map(Bytes::len).sum();
    let head = CommitHead { number: 1, salt: 2, epoch: 3, mark: 0, time: 4, flags: 0, blocks: sealed.entries };
    (head.encode(), bodies)
}

#[test]
fn batch_500_records() {
    assert!(batch_of(RECORDS).encoded_len() > RECORDS * DATA.len());
    counted(|| batch_of(RECORDS));
}

#[test]
fn encode_commit_of_500_records() {
    let (head, bodies) = commit(batch_of(RECORDS));
    assert_eq!(head.len(), CommitHead::length_for(SHARDS as usize));
    assert!(bodies > RECORDS * DATA.len());
    let batch = batch_of(RECORDS);
    counted(|| commit(batch));
}

#[test]
fn encode_commit_of_64_puts() {
    let puts = || -> Vec<Batch> { (0..64).map(|_| batch_of(1)).collect() };
    let fill = |puts: Vec<Batch>| {
        let mut open = OpenCommit::default();
        for (offset, batch) in puts.into_iter().enumerate() {
            join(&mut open, batch, |_| (offset as u64, 1_750_000_000_000));
        }
        open.seal()
    };
    assert_eq!(fill(puts()).entries.len(), 1);
    let puts = puts();
    counted(|| fill(puts));
}

/// A log of the shipped engine on a simulated disk.
struct World {
    sim: SimEnv,
    engine: Arc<SegmentEngine>,
    log: Arc<dyn StreamLog>,
}

impl World {
    fn new(tail_cache: usize) -> World {
        let sim = SimEnv::new(1);
        sim.disk.create_dir_all(Path::new("/data")).unwrap();
        let config = SegmentConfig { tail_cache, min_free: 0, reserve: 0, ..SegmentConfig::new("/data/log") };
        let engine = SegmentEngine::open(sim.env(), config).unwrap();
        let id = LogId { account: "111122223333".into(), region: "eu-west-1".into(), incarnation: 1 };
        let log = sim.block_on(engine.create(&id, Bytes::from_static(b"descriptor"))).unwrap().unwrap();
        World { sim, engine, log }
    }

    fn append(&self, batch: Batch) {
        let appended = self.sim.block_on(self.log.append(batch, self.engine.epoch())).unwrap();
        assert!(!appended.unwrap().shards.is_empty());
    }

    /// The records of a shard, which was given one batch.
    fn read(&self, shard: ShardIndex) -> usize {
        let read =
            Read { shard, from: 0, not_before: 0, max_bytes: usize::MAX, max_records: RECORDS / SHARDS as usize };
        self.sim.block_on(self.log.read(read)).unwrap().unwrap().records.len()
    }
}

#[test]
fn append_500_records() {
    let world = World::new(64 << 20);
    world.append(batch_of(RECORDS));
    let batch = batch_of(RECORDS);
    counted(|| world.append(batch));
}

#[test]
fn append_one_record() {
    let world = World::new(64 << 20);
    world.append(batch_of(1));
    let batch = batch_of(1);
    counted(|| world.append(batch));
}

/// Reads a shard's part of two batches once to check it and once to be counted.
fn read_125_records(tail_cache: usize) {
    let world = World::new(tail_cache);
    world.append(batch_of(RECORDS));
    world.append(batch_of(RECORDS));
    assert_eq!(world.read(0), RECORDS / SHARDS as usize);
    counted(|| world.read(0));
}

#[test]
fn read_125_records_from_memory() {
    read_125_records(64 << 20);
}

#[test]
fn read_125_records_from_a_file() {
    read_125_records(0);
}
