//! What is done ahead of need, on a disk that has room for it and on one that has not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::Disk;
use millstream_env::sim::SimEnv;
use millstream_log::segment::{Durability, SegmentConfig, SegmentEngine};
use millstream_log::{Batch, Log, LogId, Read, RecordKeys, StreamLog};

const SEGMENT: u64 = 4 << 20;
const RECORD: usize = 100_000;
/// So many records after which the next segment is prepared in part,
const PARTLY: usize = 13;
/// and wholly.
const READY: usize = 36;
/// More than a segment holds.
const ROTATED: usize = 45;

struct World {
    sim: SimEnv,
    engine: Arc<SegmentEngine>,
    log: Arc<dyn StreamLog>,
}

impl World {
    fn new(config: SegmentConfig) -> World {
        let sim = SimEnv::new(1);
        sim.disk.create_dir_all(Path::new("/data")).unwrap();
        let engine = SegmentEngine::open(sim.env(), config).unwrap();
        let id = LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation: 7 };
        let log = sim.block_on(engine.create(&id, Bytes::new())).unwrap().unwrap();
        World { sim, engine, log }
    }

    fn put(&self, records: usize) {
        for _ in 0..records {
            let mut batch = Batch::new();
            batch.push(0, RecordKeys::default(), &[7; RECORD]);
            self.sim.block_on(self.log.append(batch, self.engine.epoch())).unwrap().unwrap();
        }
    }

    fn tick(&self) {
        self.engine.tick();
        self.sim.settle();
    }

    fn files(&self) -> Vec<String> {
        let dir = PathBuf::from("/data/log/streams/000000000000/us-east-1/0000000000000007");
        self.sim.disk.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    /// Leaves so much of the disk free.
    fn leave(&self, bytes: u64) {
        self.sim.disk.set_capacity(self.sim.disk.used() + bytes);
    }
}

fn config() -> SegmentConfig {
    SegmentConfig { segment_min: SEGMENT, segment_max: SEGMENT, reserve: 0, ..SegmentConfig::new("/data/log") }
}

const FIRST: &str = "0000000000000001.seg";
const SECOND: &str = "0000000000000002.seg";

#[test]
fn a_segment_that_is_prepared_in_part_is_used_where_there_is_room_for_no_other() {
    let world = World::new(SegmentConfig { min_free: 0, ..config() });
    world.put(PARTLY);
    world.tick();
    assert_eq!(world.files(), [FIRST, "spare.tmp"]);
    world.leave(0);
    world.put(ROTATED - PARTLY);
    assert_eq!(world.files(), [FIRST, SECOND]);
}

#[test]
fn on_a_full_disk_what_is_prepared_is_given_up_until_there_is_room_for_it() {
    for (records, name) in [(PARTLY, "spare.tmp"), (READY, "spare")] {
        let world = World::new(SegmentConfig { min_free: 1 << 20, ..config() });
        world.put(records);
        world.tick();
        assert_eq!(world.files(), [FIRST, name]);
        world.leave(1000);
        world.tick();
        assert_eq!(world.files(), [FIRST]);
        // Puts go on with the space that it took, and it does not take that again.
        for _ in 0..3 {
            world.tick();
            world.put(1);
        }
        assert_eq!(world.files(), [FIRST]);
        world.sim.disk.set_capacity(u64::MAX);
        world.tick();
        assert_eq!(world.files(), [FIRST, name]);
    }
}

/// Shards of a segment that is worth a copy.
const SHARDS: u32 = 16;

/// A log with one sealed segment that is worth a copy, which has not been made.
fn scattered(config: SegmentConfig) -> World {
    let commits = config.segment_max / (u64::from(SHARDS) * 5000) + 1;
    let world = World::new(SegmentConfig { tail_cache: 0, ..config });
    for _ in 0..commits {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            batch.push(shard, RecordKeys::default(), &[7; 5000]);
        }
        world.sim.block_on(world.log.append(batch, world.engine.epoch())).unwrap().unwrap();
    }
    world.sim.settle();
    world
}

impl World {
    /// Blocks in the first segment's commits.
    fn blocks(&self) -> u32 {
        let path = format!("/data/log/streams/000000000000/us-east-1/0000000000000007/{FIRST}");
        let bytes = self.sim.disk.read_file(Path::new(&path)).unwrap();
        let heads = bytes.chunks(64).filter(|c| c.starts_with(b"CCOM"));
        heads.map(|c| u32::from_le_bytes(c[52..56].try_into().unwrap())).sum()
    }

    /// Has a reader meet the first segment.
    fn meet(&self) {
        let read = Read { shard: 3, from: 0, not_before: 0, max_bytes: 1, max_records: 1 };
        assert_eq!(self.sim.block_on(self.log.read(read)).unwrap().unwrap().records.len(), 1);
        self.sim.settle();
    }
}

#[test]
fn a_segment_is_not_sorted_where_the_copy_would_fill_the_disk() {
    const FREE: u64 = 1 << 20;
    let world = scattered(SegmentConfig { min_free: FREE, ..config() });
    let before = world.blocks();
    for free in [FREE + SEGMENT / 2, FREE / 2] {
        world.leave(free);
        world.tick();
        let operations = world.sim.disk.operations();
        world.meet();
        assert_eq!((world.blocks(), world.sim.disk.operations()), (before, operations), "{free} bytes free");
    }
    world.sim.disk.set_capacity(u64::MAX);
    world.tick();
    world.meet();
    assert!(world.blocks() < before, "it is not taken for one that needs no sorting");
}

#[test]
fn segments_wait_to_be_sorted_while_the_disk_is_full() {
    const FREE: u64 = 1 << 20;
    let world = scattered(SegmentConfig { min_free: FREE, ..config() });
    let before = world.blocks();
    world.leave(FREE / 2);
    world.tick();
    world.tick();
    assert_eq!(world.blocks(), before);
    world.sim.disk.set_capacity(u64::MAX);
    world.tick();
    assert!(world.blocks() < before);
}

#[test]
fn the_disk_takes_on_a_copy_in_parts() {
    const LARGE: u64 = 4 * SEGMENT;
    let world = scattered(SegmentConfig { min_free: 0, segment_min: LARGE, segment_max: LARGE, ..config() });
    world.sim.disk.take_unsynced_most();
    world.meet();
    let most = world.sim.disk.take_unsynced_most();
    assert!((1 << 20..5 << 20).contains(&most), "{most} bytes were unsynced");
}

#[test]
fn a_quiet_log_writes_one_marker_and_then_nothing() {
    let second = Duration::from_secs(1);
    for durability in [Durability::Fsync, Durability::Relaxed(second), Durability::None] {
        let sim = SimEnv::new(1);
        sim.disk.create_dir_all(Path::new("/data")).unwrap();
        let engine =
            SegmentEngine::open(sim.env(), SegmentConfig { durability, ..SegmentConfig::new("/data/log") }).unwrap();
        let id = LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation: 7 };
        let log = sim.block_on(engine.create(&id, Bytes::new())).unwrap().unwrap();
        let mut batch = Batch::new();
        batch.push(0, RecordKeys::default(), b"a record");
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
        sim.clock.advance(3_000);
        engine.tick();
        let _ = (0..100).take_while(|_| sim.step()).count();
        // What relaxed mode has written is synced first.
        sim.clock.advance(3_000);
        engine.tick();
        let _ = (0..100).take_while(|_| sim.step()).count();
        let before = sim.disk.operations();
        sim.clock.advance(3_000);
        engine.tick();
        let jobs = (0..100).take_while(|_| sim.step()).count();
        assert!(jobs < 100, "{durability:?}: jobs without end");
        assert_eq!(sim.disk.operations(), before, "{durability:?}: a quiet log is left alone");
    }
}
