//! When a commit is handed to the writer, and what jobs the engine makes of its work: on a pool whose every kind of job is
//! run by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use millstream_env::sim::SimEnv;
use millstream_env::{Disk, Env, Job, Pool};
use millstream_log::segment::{SegmentConfig, SegmentEngine};
use millstream_log::{Batch, BoxFuture, Log, LogId, RecordKeys, StreamLog};

/// As many batches make a commit due by themselves.
const LARGE_BATCHES: u64 = 32;

/// Hands jobs that somebody waits for to the simulation, and keeps the others.
struct ByHand {
    pool: Arc<dyn Pool>,
    turn_ends: Mutex<Vec<Job>>,
    upkeep: Mutex<Vec<Job>>,
}

impl Pool for ByHand {
    fn spawn(&self, job: Job) {
        self.pool.spawn(job);
    }

    fn spawn_background(&self, job: Job) {
        self.upkeep.lock().unwrap().push(job);
    }

    fn has_waiting(&self) -> bool {
        true
    }

    fn at_turn_end(&self, work: Job) {
        self.turn_ends.lock().unwrap().push(work);
    }
}

impl ByHand {
    fn upkeep(&self) -> usize {
        self.upkeep.lock().unwrap().len()
    }

    fn run(jobs: &Mutex<Vec<Job>>) {
        let job = jobs.lock().unwrap().pop().expect("a job waits");
        job();
    }
}

struct World {
    sim: SimEnv,
    pool: Arc<ByHand>,
    engine: Arc<SegmentEngine>,
}

impl World {
    fn new() -> World {
        let sim = SimEnv::new(1);
        sim.disk.create_dir_all(Path::new("/data")).unwrap();
        let config = SegmentConfig { min_free: 0, reserve: 0, ..SegmentConfig::new("/data/log") };
        let pool = Arc::new(ByHand { pool: sim.env().pool, turn_ends: Mutex::default(), upkeep: Mutex::default() });
        let env = Env { pool: Arc::clone(&pool) as _, ..sim.env() };
        let engine = SegmentEngine::open(env, config).unwrap();
        World { sim, pool, engine }
    }

    fn wait<T>(&self, future: BoxFuture<'static, T>) -> T {
        self.sim.block_on(future).expect("the call ends")
    }

    fn create(&self, incarnation: u64) -> Arc<dyn StreamLog> {
        self.wait(self.engine.create(&id(incarnation), Bytes::new())).unwrap()
    }

    fn put(&self, log: &Arc<dyn StreamLog>) {
        let mut batch = Batch::new();
        batch.push(0, RecordKeys::default(), b"data");
        drop(log.append(batch, self.engine.epoch()));
    }

    /// How many records are durable when all jobs that somebody waits for are done.
    fn durable(&self, log: &Arc<dyn StreamLog>) -> u64 {
        self.sim.settle();
        self.wait(log.position(0)).unwrap().end
    }
}

fn id(incarnation: u64) -> LogId {
    LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation }
}

#[test]
fn a_commit_waits_for_the_end_of_the_turn_in_which_it_began() {
    let world = World::new();
    let log = world.create(1);
    world.put(&log);
    world.put(&log);
    assert_eq!(world.durable(&log), 0);
    ByHand::run(&world.pool.turn_ends);
    assert_eq!(world.durable(&log), 2);
    assert!(world.pool.turn_ends.lock().unwrap().is_empty(), "one for the commit, not one for each batch");
}

#[test]
fn a_commit_of_many_batches_waits_for_no_turn_to_end() {
    let world = World::new();
    let log = world.create(1);
    for _ in 1..LARGE_BATCHES {
        world.put(&log);
    }
    assert_eq!(world.durable(&log), 0);
    world.put(&log);
    assert_eq!(world.durable(&log), LARGE_BATCHES);
}

#[test]
fn a_commit_whose_turn_never_ends_is_written_all_the_same() {
    let world = World::new();
    let log = world.create(1);
    world.put(&log);
    assert_eq!(world.durable(&log), 0);
    world.engine.tick();
    assert_eq!(world.durable(&log), 1);
}

#[test]
fn one_upkeep_job_at_a_time_empties_the_trash_log_by_log() {
    let world = World::new();
    while world.pool.upkeep() > 0 {
        ByHand::run(&world.pool.upkeep);
    }
    let trash = || world.sim.disk.list(Path::new("/data/log/trash")).unwrap().len();
    for incarnation in [1, 2, 3] {
        world.create(incarnation);
    }
    for incarnation in [2, 3] {
        world.wait(world.engine.delete(&id(incarnation))).unwrap();
    }
    assert_eq!((trash(), world.pool.upkeep()), (2, 1));
    ByHand::run(&world.pool.upkeep);
    assert_eq!((trash(), world.pool.upkeep()), (1, 1));
    // One that comes before those that are left is not forgotten.
    world.wait(world.engine.delete(&id(1))).unwrap();
    assert_eq!((trash(), world.pool.upkeep()), (2, 1));
    for _ in 0..5 {
        if world.pool.upkeep() > 0 {
            ByHand::run(&world.pool.upkeep);
        }
    }
    assert_eq!((trash(), world.pool.upkeep()), (0, 0));
}
