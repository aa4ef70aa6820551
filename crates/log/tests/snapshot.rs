//! What every log has at one moment, copied while they go on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::Disk;
use millstream_env::sim::{Crash, SimEnv};
use millstream_log::segment::{Durability, SegmentConfig, SegmentEngine, check, set_base};
use millstream_log::{Batch, Log, LogCut, LogId, Read, RecordKeys, StreamLog};

fn id(incarnation: u64) -> LogId {
    LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation }
}

fn config(dir: &str) -> SegmentConfig {
    SegmentConfig {
        segment_min: 4 << 10,
        segment_max: 4 << 10,
        tail_cache: 0,
        min_free: 0,
        reserve: 0,
        ..SegmentConfig::new(dir)
    }
}

struct World {
    sim: SimEnv,
    engine: Arc<SegmentEngine>,
}

impl World {
    fn new(config: SegmentConfig) -> World {
        let sim = SimEnv::new(1);
        sim.disk.create_dir_all(Path::new("/data")).unwrap();
        sim.disk.sync_dir(Path::new("/")).unwrap();
        let engine = SegmentEngine::open(sim.env(), config).unwrap();
        World { sim, engine }
    }

    fn create(&self, incarnation: u64) -> Arc<dyn StreamLog> {
        self.sim.block_on(self.engine.create(&id(incarnation), Bytes::new())).unwrap().unwrap()
    }

    fn put(&self, log: &Arc<dyn StreamLog>, count: usize) {
        for _ in 0..count {
            let mut batch = Batch::new();
            for shard in 0..2 {
                batch.push(shard, RecordKeys::default(), &[7; 200]);
            }
            self.sim.block_on(log.append(batch, self.engine.epoch())).unwrap().unwrap();
        }
    }

    fn cut(&self) -> Arc<dyn LogCut> {
        self.sim.block_on(self.engine.prepare_cut()).unwrap().unwrap();
        self.engine.cut().unwrap()
    }

    /// Copies what is held to `/copy`. Gives how many files are shared, and how many there are.
    fn copy(&self, cut: &Arc<dyn LogCut>) -> (usize, usize) {
        let to = Path::new("/copy");
        let mut files = Vec::new();
        for at in 0..cut.logs() {
            files.extend(cut.copy(at, to).unwrap());
        }
        files.extend(cut.copy_own(to).unwrap());
        (files.iter().filter(|file| file.shared).count(), files.len())
    }

    fn files(&self, dir: &str) -> Vec<String> {
        let entries = self.sim.disk.list(Path::new(dir)).unwrap_or_default();
        entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".seg")).collect()
    }
}

/// How many records of each shard an engine over the directory finds.
fn count(sim: &SimEnv, dir: &str, incarnation: u64) -> Option<Vec<usize>> {
    let engine = SegmentEngine::open(sim.env(), config(dir)).unwrap();
    let log = engine.open(&id(incarnation))?;
    let read = |shard| {
        let (mut records, mut from) = (0, 0);
        loop {
            let read = Read { shard, from, not_before: 0, max_bytes: 10_000, max_records: 1000 };
            let page = sim.block_on(log.read(read)).unwrap().unwrap();
            records += page.records.len();
            from = page.next;
            if page.records.is_empty() {
                return records;
            }
        }
    };
    Some((0..2).map(read).collect())
}

fn dir_of(root: &str, incarnation: u64) -> String {
    format!("{root}/streams/000000000000/us-east-1/{incarnation:016x}")
}

#[test]
fn what_is_held_is_copied_as_it_was_whatever_the_logs_do_then() {
    let world = World::new(config("/data/log"));
    let (one, two) = (world.create(1), world.create(2));
    world.put(&one, 40);
    world.put(&two, 5);
    world.sim.settle();
    let cut = world.cut();
    // More records, a trim of all that is old, a log that is deleted, and one that is made.
    world.put(&one, 30);
    world.sim.clock.advance(5);
    let now = world.sim.env().clock.now();
    world.sim.block_on(one.trim(now, world.engine.epoch())).unwrap().unwrap();
    world.put(&one, 30);
    world.sim.block_on(world.engine.delete(&id(2))).unwrap().unwrap();
    world.put(&world.create(3), 1);
    world.sim.settle();
    let (shared, all) = world.copy(&cut);
    assert!(shared > 3 && shared < all, "{shared} of {all}");
    assert_eq!(world.files(&dir_of("/data/log/trash", 0)).len(), 0);
    assert!(world.sim.disk.exists(Path::new("/data/log/trash/0000000000000002")), "held");
    let held = world.files(&dir_of("/data/log", 1)).len();
    drop(cut);
    world.sim.settle();
    assert!(!world.sim.disk.exists(Path::new("/data/log/trash/0000000000000002")), "not held any more");
    // The next trim takes what the last one has left, and no file that the copy shares is used again.
    world.sim.clock.advance(5);
    let now = world.sim.env().clock.now();
    world.sim.block_on(one.trim(now, world.engine.epoch())).unwrap().unwrap();
    assert!(world.files(&dir_of("/data/log", 1)).len() < held);
    world.put(&one, 60);
    world.sim.settle();
    let report = check(&world.sim.env(), Path::new("/copy"), false).unwrap();
    assert_eq!((report.problems, report.logs), (Vec::new(), 2));
    assert_eq!(count(&world.sim, "/copy", 1), Some(vec![40, 40]));
    assert_eq!(count(&world.sim, "/copy", 2), Some(vec![5, 5]));
    assert_eq!(count(&world.sim, "/copy", 3), None);
}

#[test]
fn what_relaxed_mode_has_acknowledged_is_there() {
    let relaxed = Durability::Relaxed(Duration::from_secs(3600));
    for durability in [relaxed, Durability::None] {
        let world = World::new(SegmentConfig { durability, ..config("/data/log") });
        let log = world.create(1);
        for round in 1..4 {
            world.put(&log, 7);
            let cut = world.cut();
            world.copy(&cut);
            assert_eq!(count(&world.sim, "/copy", 1), Some(vec![7 * round, 7 * round]), "{durability:?}");
            world.sim.disk.remove_dir_all(Path::new("/copy")).unwrap();
        }
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_copied_as_it_is() {
    let world = World::new(config("/data/log"));
    let log = world.create(1);
    world.put(&log, 30);
    world.put(&world.create(2), 1);
    world.sim.block_on(world.engine.close()).unwrap();
    world.sim.settle();
    let files = world.files(&dir_of("/data/log", 1));
    let last = PathBuf::from(dir_of("/data/log", 1)).join(files.last().unwrap());
    world.sim.disk.flip(&last, 20);
    let sim = world.sim.restart(Crash::Kill);
    let engine = SegmentEngine::open(sim.env(), config("/data/log")).unwrap();
    let world = World { sim, engine };
    let cut = world.cut();
    assert!(cut.problems().len() == 1 && cut.problems()[0].contains("0000000000000001"), "{:?}", cut.problems());
    world.copy(&cut);
    for file in files {
        let read = |root: &str| world.sim.disk.read_file(&PathBuf::from(dir_of(root, 1)).join(&file)).unwrap();
        assert!(read("/data/log") == read("/copy"), "{file}");
    }
    assert_eq!(count(&world.sim, "/copy", 2), Some(vec![1, 1]));
}

#[test]
fn below_the_base_no_offset_is_given_out() {
    const BASE: u64 = 1 << 60;
    let world = World::new(config("/data/log"));
    let log = world.create(1);
    world.put(&log, 3);
    let closing = log.close_shards(vec![(1, 9)], Bytes::new(), world.engine.epoch());
    world.sim.block_on(closing).unwrap().unwrap();
    world.sim.block_on(world.engine.close()).unwrap();
    let sim = world.sim.restart(Crash::Kill);
    set_base(&sim.env(), Path::new("/data/log"), BASE).unwrap();
    let mut sim = sim;
    for round in 0..3 {
        sim = sim.restart(Crash::PowerLoss);
        let engine = SegmentEngine::open(sim.env(), config("/data/log")).unwrap();
        let world = World { sim, engine };
        let new = world.create(2);
        for (log, shards) in [(world.engine.open(&id(1)).unwrap(), [0, 2]), (new, [0, 1])] {
            for shard in shards {
                let mut batch = Batch::new();
                batch.push(shard, RecordKeys::default(), b"a record");
                let appended = world.sim.block_on(log.append(batch, world.engine.epoch())).unwrap().unwrap();
                assert_eq!(appended.shards[0].first, BASE + round, "{} shard {shard}", log.id());
            }
            world.sim.settle();
        }
        let log = world.engine.open(&id(1)).unwrap();
        let closed = world.sim.block_on(log.position(1)).unwrap().unwrap();
        assert_eq!((closed.end, closed.closed), (3, Some(9)), "what is closed stays as it was");
        let read = Read { shard: 0, from: 1, not_before: 0, max_bytes: 10_000, max_records: 1000 };
        let page = world.sim.block_on(log.read(read)).unwrap().unwrap();
        let offsets: Vec<u64> = page.records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets[..3], [1, 2, BASE], "readers step over it");
        world.sim.block_on(world.engine.close()).unwrap();
        sim = world.sim.restart(Crash::Kill);
        let report = check(&sim.env(), Path::new("/data/log"), false).unwrap();
        assert_eq!(report.problems, Vec::new());
    }
}

#[test]
fn a_shard_that_begins_behind_a_fence_is_sound_also_once_it_is_sorted() {
    let relaxed = SegmentConfig { durability: Durability::Relaxed(Duration::from_secs(3600)), ..config("/data/log") };
    let world = World::new(relaxed.clone());
    world.create(1);
    world.put(&world.engine.open(&id(1)).unwrap(), 1);
    let sim = world.sim.restart(Crash::PowerLoss);
    let engine = SegmentEngine::open(sim.env(), SegmentConfig { segment_max: 64 << 10, ..relaxed }).unwrap();
    let world = World { sim, engine };
    let log = world.engine.open(&id(1)).unwrap();
    for _ in 0..400 {
        let mut batch = Batch::new();
        for shard in 100..108 {
            batch.push(shard, RecordKeys::default(), &[7; 100]);
        }
        world.sim.block_on(log.append(batch, world.engine.epoch())).unwrap().unwrap();
    }
    for _ in 0..20 {
        world.sim.clock.advance(300);
        world.engine.tick();
        world.sim.settle();
    }
    world.sim.block_on(world.engine.close()).unwrap();
    world.sim.settle();
    let sim = world.sim.restart(Crash::Kill);
    let report = check(&sim.env(), Path::new("/data/log"), false).unwrap();
    assert_eq!(report.problems, Vec::new());
    assert!(report.segments > 3 && report.records > 3000, "{report:?}");
    let report = check(&sim.env(), Path::new("/data/log"), true).unwrap();
    assert_eq!(report.repairs, Vec::new());
}

#[test]
fn a_segment_is_not_sorted_while_it_is_held() {
    const SEGMENT: u64 = 4 << 20;
    const SHARDS: u32 = 16;
    let large = SegmentConfig { segment_min: SEGMENT, segment_max: SEGMENT, ..config("/data/log") };
    let world = World::new(large);
    let log = world.create(1);
    let put = |commits: u64| {
        for _ in 0..commits {
            let mut batch = Batch::new();
            for shard in 0..SHARDS {
                batch.push(shard, RecordKeys::default(), &[7; 5000]);
            }
            world.sim.block_on(log.append(batch, world.engine.epoch())).unwrap().unwrap();
        }
    };
    let path = PathBuf::from(dir_of("/data/log", 1)).join("0000000000000001.seg");
    let blocks = || {
        let bytes = world.sim.disk.read_file(&path).unwrap();
        let heads = bytes.chunks(64).filter(|c| c.starts_with(b"CCOM"));
        heads.map(|c| u32::from_le_bytes(c[52..56].try_into().unwrap())).sum::<u32>()
    };
    // A reader who meets the first segment would have it sorted.
    let meet = || {
        let read = Read { shard: 3, from: 0, not_before: 0, max_bytes: 1, max_records: 1 };
        assert_eq!(world.sim.block_on(log.read(read)).unwrap().unwrap().records.len(), 1);
        world.engine.tick();
        world.sim.settle();
    };
    put(20);
    let cut = world.cut();
    put(SEGMENT / (u64::from(SHARDS) * 5000) + 1);
    world.sim.settle();
    let before = blocks();
    meet();
    assert_eq!(blocks(), before);
    world.copy(&cut);
    assert_eq!(count(&world.sim, "/copy", 1), Some(vec![20, 20]));
    drop(cut);
    meet();
    assert!(blocks() < before);
}
