//! Logs that go, with a crash on the way or while they are read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use millstream_env::Disk;
use millstream_env::sim::{Crash, SimEnv};
use millstream_log::segment::{SegmentConfig, SegmentEngine};
use millstream_log::{Batch, Log, LogId, ReadError, RecordKeys};

fn id() -> LogId {
    LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation: 7 }
}

fn config() -> SegmentConfig {
    SegmentConfig {
        segment_min: 4 << 10,
        segment_max: 16 << 10,
        tail_cache: 0,
        index_cache: 0,
        min_free: 0,
        reserve: 0,
        ..SegmentConfig::new("/data/log")
    }
}

fn open(sim: &SimEnv) -> Arc<SegmentEngine> {
    sim.disk.create_dir_all(Path::new("/data")).unwrap();
    sim.disk.sync_dir(Path::new("/")).unwrap();
    SegmentEngine::open(sim.env(), config()).unwrap()
}

fn fill(sim: &SimEnv, engine: &Arc<SegmentEngine>) {
    let log = sim.block_on(engine.create(&id(), Bytes::new())).unwrap().unwrap();
    for n in 0..30_u8 {
        sim.clock.advance(1_000);
        let mut batch = Batch::new();
        batch.push(0, RecordKeys::default(), &[n; 900]);
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
    }
    sim.settle();
}

#[test]
fn a_log_that_was_found_gone_does_not_come_back() {
    for seed in 0..200 {
        let sim = SimEnv::new(seed);
        let engine = open(&sim);
        fill(&sim, &engine);
        sim.disk.crash_at(Some(sim.disk.operations() + seed % 6));
        drop(sim.block_on(engine.delete(&id())));
        drop(engine);
        // What was renamed and not synced is still seen after a kill, and the deletion goes on from there.
        let sim = sim.restart(Crash::Kill);
        let engine = open(&sim);
        sim.block_on(engine.delete(&id())).unwrap().unwrap();
        drop(engine);
        let sim = sim.restart(Crash::PowerLoss);
        assert_eq!(open(&sim).list(), Vec::new(), "seed {seed}");
    }
}

#[test]
fn a_time_that_is_sought_while_the_log_goes_ends_in_deleted() {
    let mut deleted = 0;
    for seed in 0..50 {
        let sim = SimEnv::new(seed);
        let engine = open(&sim);
        fill(&sim, &engine);
        let log = engine.open(&id()).unwrap();
        let mut sought = log.seek_time(0, sim.env().clock.now() - 20_000);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(sought.as_mut().poll(context).is_pending());
        sim.block_on(engine.delete(&id())).unwrap().unwrap();
        sim.settle();
        match sought.as_mut().poll(context) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(ReadError::Deleted)) => deleted += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(deleted > 0, "the deletion came first at least once");
}
