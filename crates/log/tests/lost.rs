//! Files that are gone or cut: what is lost is noticed, by `check` and when the log is opened, and a repair lets the log go on
//! without using an offset twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::sim::{Crash, SimEnv};
use millstream_env::{Disk, OpenMode};
use millstream_log::segment::{SegmentConfig, SegmentEngine, check};
use millstream_log::{Batch, Log, LogId, Read, ReadError, RecordKeys, StreamLog};

const DIR: &str = "/data/log";
const RECORDS: u64 = 40;

fn id() -> LogId {
    LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation: 7 }
}

fn config() -> SegmentConfig {
    SegmentConfig {
        segment_min: 4 << 10,
        segment_max: 4 << 10,
        tail_cache: 0,
        index_cache: 0,
        min_free: 0,
        reserve: 0,
        ..SegmentConfig::new(DIR)
    }
}

/// A machine with a log of several segments, stopped in order.
fn machine() -> SimEnv {
    let sim = SimEnv::new(1);
    sim.disk.create_dir_all(Path::new("/data")).unwrap();
    sim.disk.sync_dir(Path::new("/")).unwrap();
    let engine = SegmentEngine::open(sim.env(), config()).unwrap();
    let log = sim.block_on(engine.create(&id(), Bytes::new())).unwrap().unwrap();
    for n in 0..RECORDS {
        put(&sim, &engine, &log, &[n as u8; 300]);
    }
    sim.block_on(engine.close()).unwrap();
    sim.settle();
    drop((engine, log));
    sim.restart(Crash::Kill)
}

fn put(sim: &SimEnv, engine: &SegmentEngine, log: &Arc<dyn StreamLog>, data: &[u8]) -> u64 {
    let mut batch = Batch::new();
    batch.push(0, RecordKeys::default(), data);
    let appended = sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
    sim.settle();
    appended.shards[0].first
}

fn segments(sim: &SimEnv) -> Vec<PathBuf> {
    let dir = Path::new(DIR).join("streams/000000000000/us-east-1/0000000000000007");
    let names = sim.disk.list(&dir).unwrap().into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(".seg")).map(|name| dir.join(name)).collect()
}

fn read(sim: &SimEnv, log: &Arc<dyn StreamLog>, mut from: u64) -> (Vec<u64>, Option<ReadError>) {
    let mut offsets = Vec::new();
    loop {
        let read = Read { shard: 0, from, not_before: 0, max_bytes: 1 << 20, max_records: 100 };
        match sim.block_on(log.read(read)).unwrap() {
            Err(e) => return (offsets, Some(e)),
            Ok(result) => {
                offsets.extend(result.records.iter().map(|r| r.offset));
                if result.next >= result.position.end {
                    return (offsets, None);
                }
                from = result.next;
            }
        }
    }
}

/// The one problem of the directory, after which a repair makes it sound, and the first offset given out then.
fn repaired(sim: SimEnv, says: &str) -> (SimEnv, Vec<u64>) {
    let found = check(&sim.env(), Path::new(DIR), false).unwrap();
    assert!(found.problems.iter().any(|problem| problem.to_string().contains(says)), "{:?}", found.problems);
    let repaired = check(&sim.env(), Path::new(DIR), true).unwrap();
    assert!(!repaired.repairs.is_empty());
    assert_eq!(check(&sim.env(), Path::new(DIR), false).unwrap().problems, [], "{:?}", repaired.repairs);
    let engine = SegmentEngine::open(sim.env(), config()).unwrap();
    let log = engine.open(&id()).unwrap();
    let (offsets, error) = read(&sim, &log, 0);
    assert_eq!((error, engine.problems()), (None, Vec::new()));
    assert!(put(&sim, &engine, &log, b"new") >= RECORDS);
    drop((engine, log));
    (sim, offsets)
}

#[test]
fn a_newest_segment_that_is_gone_is_missed() {
    let sim = machine();
    let newest = segments(&sim).pop().unwrap();
    sim.disk.remove_file(&newest).unwrap();
    let engine = SegmentEngine::open(sim.env(), config()).unwrap();
    let log = engine.open(&id()).unwrap();
    let (offsets, error) = read(&sim, &log, 0);
    let Some(ReadError::Unavailable(why)) = error else { panic!("{offsets:?} {error:?}") };
    assert!(why.contains("is missing"), "{why}");
    assert_eq!(engine.problems().len(), 1);
    drop((engine, log));
    let sim = sim.restart(Crash::Kill);
    let (_, offsets) = repaired(sim, "is missing: segment");
    assert!(!offsets.is_empty() && (offsets.len() as u64) < RECORDS);
}

#[test]
fn a_first_segment_that_is_gone_is_missed() {
    let sim = machine();
    sim.disk.remove_file(&segments(&sim)[0]).unwrap();
    let engine = SegmentEngine::open(sim.env(), config()).unwrap();
    let log = engine.open(&id()).unwrap();
    assert!(matches!(read(&sim, &log, 0), (offsets, Some(ReadError::Corrupt(_))) if offsets.is_empty()));
    assert_eq!(engine.problems().len(), 1);
    drop((engine, log));
    let sim = sim.restart(Crash::Kill);
    let (_, offsets) = repaired(sim, "does not begin where the log does");
    assert!(offsets[0] > 0 && *offsets.last().unwrap() == RECORDS - 1, "{offsets:?}");
}

#[test]
fn a_newest_segment_that_was_cut_is_noticed_wherever_it_was() {
    let length = {
        let sim = machine();
        sim.disk.read_file(&segments(&sim).pop().unwrap()).unwrap().len()
    };
    for length in (600..length).step_by(131) {
        let sim = machine();
        let newest = segments(&sim).pop().unwrap();
        sim.disk.open(&newest, OpenMode::Write).unwrap().set_len(length as u64).unwrap();
        let engine = SegmentEngine::open(sim.env(), config()).unwrap();
        let log = engine.open(&id()).unwrap();
        let (offsets, error) = read(&sim, &log, 0);
        assert!(error.is_some() && !engine.problems().is_empty(), "{length}: {offsets:?}");
        assert!(put(&sim, &engine, &log, b"new") >= RECORDS, "{length}");
        drop((engine, log));
        // The damage is still reported by the next process that meets it, and can be repaired then.
        let sim = sim.restart(Crash::Kill);
        let (_, after) = repaired(sim, "missing");
        assert!(after.starts_with(&offsets), "{length}");
    }
}

#[test]
fn a_lost_epoch_is_not_begun_anew() {
    let sim = machine();
    let epoch = Path::new(DIR).join("epoch");
    let old = sim.disk.read_file(&epoch).unwrap();
    sim.disk.remove_file(&epoch).unwrap();
    let refused = SegmentEngine::open(sim.env(), config()).err().expect("refused").to_string();
    assert!(refused.contains("/data/log/epoch is missing"), "{refused}");
    let (sim, offsets) = repaired(sim, "it is missing");
    assert_eq!(offsets.len() as u64, RECORDS);
    // An old copy of it is noticed log by log.
    let sim = sim.restart(Crash::Kill);
    sim.disk.write_file(&epoch, &[0; 12]).unwrap();
    let mut oldest = [0; 12];
    oldest[8..].copy_from_slice(&0x8c28_b28au32.to_le_bytes());
    sim.disk.write_file(&epoch, &oldest).unwrap();
    assert_ne!(old, oldest);
    let engine = SegmentEngine::open(sim.env(), config()).unwrap();
    let log = engine.open(&id()).unwrap();
    assert!(matches!(read(&sim, &log, 0).1, Some(ReadError::Unavailable(why)) if why.contains("epoch")));
    drop((engine, log));
    let sim = sim.restart(Crash::Kill);
    repaired(sim, "there are commits of epoch");
}

#[test]
fn a_repair_does_not_claim_to_know_what_a_lost_commit_held() {
    let sim = machine();
    let newest = segments(&sim).pop().unwrap();
    let bytes = sim.disk.read_file(&newest).unwrap();
    // The commit of the last record, before the stop marker, which proves that it was durable.
    let ours = |chunk: &[u8]| chunk.starts_with(b"CCOM") && chunk[16..24] == bytes[16..24];
    let commits: Vec<usize> = (0..bytes.len() / 64).filter(|at| ours(&bytes[at * 64..][..64])).collect();
    let last = commits[commits.len() - 2];
    sim.disk.flip(&newest, last * 64 + 50);
    let repaired = check(&sim.env(), Path::new(DIR), true).unwrap();
    assert!(repaired.given_up.more, "{:?}", repaired.repairs);
    let said = repaired.repairs[0].to_string();
    assert!(said.contains("given up: what was there, how many records is not known"), "{said}");
    assert_eq!(check(&sim.env(), Path::new(DIR), false).unwrap().problems, []);
    let engine = SegmentEngine::open(sim.env(), config()).unwrap();
    let log = engine.open(&id()).unwrap();
    assert_eq!(read(&sim, &log, 0), ((0..RECORDS - 1).collect(), None));
    assert!(put(&sim, &engine, &log, b"new") >= RECORDS);
}
