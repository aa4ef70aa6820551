//! What reads cost: bytes read from the disk, which must follow what is asked for and not what is stored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::Disk;
use millstream_env::sim::SimEnv;
use millstream_log::segment::{SegmentConfig, SegmentEngine};
use millstream_log::{Batch, Log, LogId, Read, RecordKeys, StreamLog};

const SHARDS: u32 = 4;
const RECORD: usize = 1000;

/// A log whose records are on disk only.
struct World {
    sim: SimEnv,
    engine: Arc<SegmentEngine>,
    log: Arc<dyn StreamLog>,
}

impl World {
    fn new() -> World {
        let sim = SimEnv::new(1);
        sim.disk.create_dir_all(Path::new("/data")).unwrap();
        let config = SegmentConfig {
            segment_max: 1 << 20,
            tail_cache: 0,
            min_free: 0,
            reserve: 0,
            ..SegmentConfig::new("/data/log")
        };
        let engine = SegmentEngine::open(sim.env(), config).unwrap();
        let id = LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation: 7 };
        let log = sim.block_on(engine.create(&id, Bytes::new())).unwrap().unwrap();
        World { sim, engine, log }
    }

    /// Appends `commits` of `records` in each shard, a second apart.
    fn fill(&self, commits: usize, records: usize) {
        for _ in 0..commits {
            let mut batch = Batch::new();
            for shard in 0..SHARDS {
                for _ in 0..records {
                    batch.push(shard, RecordKeys::default(), &[7; RECORD]);
                }
            }
            self.sim.block_on(self.log.append(batch, self.engine.epoch())).unwrap().unwrap();
            self.sim.settle();
            self.sim.clock.advance(1000);
        }
    }

    /// What `work` gives, and the bytes that it reads.
    fn cost<T>(&self, work: impl Fn() -> T) -> (T, u64) {
        // Once before, so that indexes are loaded.
        work();
        let before = self.sim.disk.bytes_read();
        let result = work();
        (result, self.sim.disk.bytes_read() - before)
    }

    fn read(&self, from: u64, max_bytes: usize) -> usize {
        let read = Read { shard: 2, from, not_before: 0, max_bytes, max_records: 10_000 };
        self.sim.block_on(self.log.read(read)).unwrap().unwrap().records.len()
    }
}

#[test]
fn one_shard_of_several_reads_about_its_own_bytes() {
    let world = World::new();
    world.fill(40, 64);
    let (records, read) = world.cost(|| world.read(0, 1 << 20));
    assert_eq!(records, (1 << 20) / RECORD);
    let own = (records * RECORD) as u64;
    assert!(read < own + own / 4, "{read} bytes were read for {own}");
}

#[test]
fn finding_a_time_or_an_offset_does_not_grow_with_the_log() {
    let world = World::new();
    let start = world.sim.env().clock.now();
    let mut costs = Vec::new();
    for _ in 0..2 {
        world.fill(200, 16);
        let (offset, read) = world.cost(|| {
            let sought = world.log.seek_time(2, start + 150_500);
            world.sim.block_on(sought).unwrap().unwrap()
        });
        assert_eq!(offset, 151 * 16);
        let (records, page) = world.cost(|| world.read(150 * 16, 20 * RECORD));
        assert_eq!(records, 20);
        costs.push((read, page));
        world.fill(600, 16);
    }
    for (read, page) in costs {
        assert!(read < 512 << 10, "{read} bytes were read to find a time");
        assert!(page < 512 << 10, "{page} bytes were read to find an offset");
    }
}
