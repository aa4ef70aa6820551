//! Damage at rest: a read that meets it fails and says so, other shards and later positions go on, and `check` with repair
//! makes the log readable with holes, never using an offset twice. A full disk, or one that does not keep up, refuses puts
//! and lets reads go on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::sim::{Crash, Fault, ReadFault, SimEnv};
use millstream_env::{Disk, RandomExt};
use millstream_log::segment::{Durability, SegmentConfig, SegmentEngine, check};
use millstream_log::{AppendError, Batch, Log, LogId, NotWritten, Read, ReadError, RecordKeys, StreamLog};

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

fn open(sim: &SimEnv, config: SegmentConfig) -> (Arc<SegmentEngine>, Arc<dyn StreamLog>) {
    sim.disk.create_dir_all(Path::new("/data")).unwrap();
    sim.disk.sync_dir(Path::new("/")).unwrap();
    let engine = SegmentEngine::open(sim.env(), config).unwrap();
    let log = sim.block_on(engine.create(&id(), Bytes::new())).unwrap().unwrap();
    (engine, log)
}

fn fill(sim: &SimEnv, engine: &SegmentEngine, log: &Arc<dyn StreamLog>, rounds: u64) {
    for n in 0..rounds {
        let mut batch = Batch::new();
        for shard in 0..3 {
            batch.push(shard, RecordKeys::default(), &[n as u8; 300]);
        }
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
        sim.settle();
    }
}

/// Reads a shard to its end; stops at damage.
fn read_all(sim: &SimEnv, log: &Arc<dyn StreamLog>, shard: u32, mut from: u64) -> (Vec<u64>, Option<ReadError>) {
    let mut offsets = Vec::new();
    loop {
        let read = Read { shard, from, not_before: 0, max_bytes: 1000, max_records: 100 };
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

fn segments(sim: &SimEnv) -> Vec<PathBuf> {
    let dir = PathBuf::from("/data/log/streams/000000000000/us-east-1/0000000000000007");
    let entries = sim.disk.list(&dir).unwrap();
    entries.iter().filter(|e| e.name.ends_with(".seg")).map(|e| dir.join(&e.name)).collect()
}

#[test]
fn a_flipped_bit_is_reported_read_around_and_repaired() {
    for seed in 0..150 {
        let sim = SimEnv::new(seed);
        let (engine, log) = open(&sim, config());
        fill(&sim, &engine, &log, 40);
        sim.block_on(engine.close()).unwrap();
        sim.settle();
        drop((engine, log));
        let segments = segments(&sim);
        let hit = &segments[(sim.random.u64() % segments.len() as u64) as usize];
        let length = sim.disk.read_file(hit).unwrap().len() as u64;
        sim.disk.flip(hit, (sim.random.u64() % length) as usize);
        let sim = sim.restart(Crash::Kill);

        // Served or refused, never wrong and never silently skipped.
        let engine = SegmentEngine::open(sim.env(), config()).unwrap();
        let log = engine.open(&id()).unwrap();
        let mut whole = 0;
        let mut ends = Vec::new();
        for shard in 0..3 {
            let (offsets, error) = read_all(&sim, &log, shard, 0);
            assert!(offsets.windows(2).all(|w| w[1] == w[0] + 1), "seed {seed}: {offsets:?}");
            match error {
                None => {
                    assert!(offsets.len() >= 40, "seed {seed}: shard {shard} ended at {}", offsets.len());
                    whole += 1;
                }
                Some(ReadError::Corrupt(_)) => assert!(!engine.problems().is_empty(), "seed {seed}: health tells"),
                Some(ReadError::Unavailable(_)) => {}
                Some(e) => panic!("seed {seed}: {e}"),
            }
            ends.push(offsets.len() as u64);
        }
        drop((engine, log));
        let sim = sim.restart(Crash::Kill);

        let found = check(&sim.env(), Path::new("/data/log"), false).unwrap();
        assert!(whole == 3 || !found.problems.is_empty(), "seed {seed}: check finds what readers met");
        let repaired = check(&sim.env(), Path::new("/data/log"), true).unwrap();
        assert_eq!(repaired.problems, found.problems, "seed {seed}");
        let again = check(&sim.env(), Path::new("/data/log"), false).unwrap();
        assert!(again.problems.is_empty(), "seed {seed}: {:?} after {:?}", again.problems, repaired.repairs);

        let engine = SegmentEngine::open(sim.env(), config()).unwrap();
        let log = engine.open(&id()).unwrap();
        for shard in 0..3 {
            let (offsets, error) = read_all(&sim, &log, shard, 0);
            assert_eq!(error, None, "seed {seed}");
            assert!(offsets.windows(2).all(|w| w[0] < w[1]));
            let mut batch = Batch::new();
            batch.push(shard, RecordKeys::default(), b"new");
            let appended = sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
            assert!(appended.shards[0].first >= 40, "seed {seed}: offset {} used twice", appended.shards[0].first);
        }
    }
}

#[test]
fn what_waits_to_be_written_is_bounded_even_if_nobody_waits_for_it() {
    let sim = SimEnv::new(1);
    let (engine, log) = open(&sim, SegmentConfig { in_flight_max: 8 << 10, ..config() });
    let append = || {
        let mut batch = Batch::new();
        batch.push(0, RecordKeys::default(), &[1; 900]);
        log.append(batch, engine.epoch())
    };
    // Callers that go away: what has joined is written all the same.
    for _ in 0..20 {
        drop(append());
    }
    let refused = sim.block_on(append()).unwrap();
    assert_eq!(refused, Err(AppendError::NotWritten(NotWritten::Busy)));
    sim.settle();
    let first = sim.block_on(append()).unwrap().unwrap().shards[0].first;
    assert!((8..=10).contains(&first), "{first} records had joined");
}

#[test]
fn a_full_disk_refuses_puts_and_lets_go_on_when_there_is_space() {
    let sim = SimEnv::new(1);
    let space = SegmentConfig { min_free: 8 << 10, reserve: 16 << 10, ..config() };
    let (engine, log) = open(&sim, space);
    fill(&sim, &engine, &log, 10);
    engine.tick();
    sim.disk.set_capacity(100 << 10);
    let put = || {
        let mut batch = Batch::new();
        batch.push(0, RecordKeys::default(), &[1; 900]);
        let put = sim.block_on(log.append(batch, engine.epoch())).unwrap();
        sim.settle();
        engine.tick();
        put.map(|a| a.shards[0].first)
    };
    let mut last = put().unwrap();
    let refused = loop {
        match put() {
            Ok(offset) => {
                assert_eq!(offset, last + 1);
                last = offset;
            }
            Err(e) => break e,
        }
        assert!(last < 1000, "the disk never got full");
    };
    assert_eq!(refused, AppendError::NotWritten(NotWritten::DiskFull));
    assert!(!engine.problems().is_empty());
    assert_eq!(read_all(&sim, &log, 0, 0).0.len() as u64, last + 1, "reads go on");
    let closing = sim.block_on(log.close_shards(vec![(2, 1)], Bytes::new(), engine.epoch())).unwrap();
    assert_eq!(closing, Ok(()), "what is small goes on");

    sim.disk.set_capacity(u64::MAX);
    engine.tick();
    assert!(engine.problems().is_empty());
    assert_eq!(put(), Ok(last + 1));
}

#[test]
fn a_failed_sync_poisons_the_log_until_the_restart() {
    let sim = SimEnv::new(5);
    let (engine, log) = open(&sim, config());
    fill(&sim, &engine, &log, 3);
    // The next operations are the write and the sync of one commit.
    sim.disk.inject(sim.disk.operations() + 1, Fault::Fail);
    let mut batch = Batch::new();
    batch.push(0, RecordKeys::default(), b"x");
    let failed = sim.block_on(log.append(batch, engine.epoch())).unwrap();
    assert!(matches!(failed, Err(AppendError::Unknown(_))), "{failed:?}");
    let mut batch = Batch::new();
    batch.push(1, RecordKeys::default(), b"y");
    let refused = sim.block_on(log.append(batch, engine.epoch())).unwrap();
    assert!(matches!(refused, Err(AppendError::NotWritten(NotWritten::Poisoned(_)))), "{refused:?}");
    assert_eq!(read_all(&sim, &log, 0, 0).0.len(), 3, "reads go on to the durable end");
    assert!(!engine.problems().is_empty());
    drop((engine, log));

    let sim = sim.restart(Crash::Kill);
    let engine = SegmentEngine::open(sim.env(), config()).unwrap();
    let log = engine.open(&id()).unwrap();
    // The page cache shows the record; it is believed only because recovery writes it anew.
    assert_eq!(read_all(&sim, &log, 0, 0).0.len(), 4);
    drop((engine, log));
    let sim = sim.restart(Crash::PowerLoss);
    let engine = SegmentEngine::open(sim.env(), config()).unwrap();
    let log = engine.open(&id()).unwrap();
    assert_eq!(read_all(&sim, &log, 0, 0).0.len(), 4, "what was read once stays");
}

#[test]
fn segments_of_many_shards_are_regrouped_and_read_the_same() {
    const SHARDS: u32 = 40;
    let sim = SimEnv::new(9);
    let (engine, log) = open(&sim, SegmentConfig { segment_max: 64 << 10, ..config() });
    for n in 0..60u8 {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            batch.push(shard, RecordKeys::default(), &[n; 50]);
        }
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
        engine.tick();
        sim.settle();
    }
    for shard in 0..SHARDS {
        let (offsets, error) = read_all(&sim, &log, shard, 0);
        assert_eq!((offsets, error), ((0..60).collect(), None));
    }
    drop((engine, log));
    let sim = sim.restart(Crash::PowerLoss);
    let found = check(&sim.env(), Path::new("/data/log"), false).unwrap();
    assert_eq!(found.problems, []);
    assert!(found.records >= u64::from(SHARDS) * 60);
    // One block per run instead of one per commit: the second segment has far fewer blocks than records.
    let blocks = blocks_of(&sim, 2);
    assert!(blocks <= 2 * SHARDS, "{blocks} blocks");
}

/// How many blocks the commits of a segment have.
fn blocks_of(sim: &SimEnv, segment: usize) -> u32 {
    let bytes = sim.disk.read_file(&segments(sim)[segment]).unwrap();
    let heads = bytes.chunks(64).filter(|c| c.starts_with(b"CCOM"));
    heads.map(|c| u32::from_le_bytes(c[52..56].try_into().unwrap())).sum()
}

/// Whether a sealed segment's footer says that sorting it would gain nothing: nobody reads it to find out.
fn needs_no_sorting(sim: &SimEnv, segment: usize) -> bool {
    let bytes = sim.disk.read_file(&segments(sim)[segment]).unwrap();
    let trailer = bytes.last_chunk::<64>().unwrap();
    assert!(trailer.starts_with(b"MILLFOOT"));
    u32::from_le_bytes(trailer[44..48].try_into().unwrap()) == 1
}

#[test]
fn a_segment_that_sorting_would_not_help_says_so_from_the_beginning() {
    let sim = SimEnv::new(9);
    let (engine, log) = open(&sim, SegmentConfig { segment_max: 64 << 10, ..config() });
    for _ in 0..60 {
        let mut batch = Batch::new();
        for shard in 0..4 {
            batch.push(shard, RecordKeys::default(), &[7; 500]);
        }
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
        sim.settle();
    }
    assert!(needs_no_sorting(&sim, 0));
}

#[test]
fn regrouping_keeps_shards_apart_whose_offsets_meet() {
    const SHARDS: u32 = 40;
    let sim = SimEnv::new(9);
    let (engine, log) = open(&sim, SegmentConfig { segment_max: 64 << 10, ..config() });
    // Each shard begins one record further ahead of its neighbour than the one before: whatever number of records each has in
    // a segment, one shard's end there is the next one's beginning.
    let ahead = |shard: u32| u64::from(shard * (shard + 1) / 2);
    for shard in 0..SHARDS {
        let mut batch = Batch::new();
        for _ in 0..ahead(shard) {
            batch.push(shard, RecordKeys::default(), &[shard as u8; 4]);
        }
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
    }
    for _ in 0..60 {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            batch.push(shard, RecordKeys::default(), &[shard as u8; 50]);
        }
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
        engine.tick();
        sim.settle();
    }
    drop((engine, log));
    let sim = sim.restart(Crash::Kill);
    let (_engine, log) = open(&sim, SegmentConfig { segment_max: 64 << 10, ..config() });
    for shard in 0..SHARDS {
        let read = read_all(&sim, &log, shard, 0);
        assert_eq!(read, ((0..ahead(shard) + 60).collect(), None), "shard {shard}");
        let read = Read { shard, from: 0, not_before: 0, max_bytes: 1 << 20, max_records: 10_000 };
        let read = sim.block_on(log.read(read)).unwrap().unwrap();
        assert!(read.records.iter().all(|r| r.data().iter().all(|byte| u32::from(*byte) == shard)), "shard {shard}");
    }
}

#[test]
fn a_reader_has_the_segment_that_is_written_to_sealed_and_sorted_if_it_is_large_enough() {
    const SHARDS: u32 = 20;
    const SEGMENT: u64 = 32 << 20;
    let sim = SimEnv::new(9);
    let (engine, log) =
        open(&sim, SegmentConfig { segment_min: SEGMENT, segment_max: SEGMENT, tail_cache: 0, ..config() });
    let put = || {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            batch.push(shard, RecordKeys::default(), &[7; 1000]);
        }
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
    };
    let read = |count: u64| {
        assert_eq!(read_all(&sim, &log, 3, 0), ((0..count).collect(), None));
        sim.settle();
    };
    (0..20).for_each(|_| put());
    read(20);
    assert_eq!(segments(&sim).len(), 1, "too small to be worth a segment");
    (20..80).for_each(|_| put());
    assert_eq!(segments(&sim).len(), 1, "nobody needs it sorted");
    read(80);
    assert_eq!(segments(&sim).len(), 2);
    assert!(blocks_of(&sim, 0) <= 2 * SHARDS, "{} blocks", blocks_of(&sim, 0));
    (80..90).for_each(|_| put());
    read(90);
    drop((engine, log));
    let sim = sim.restart(Crash::PowerLoss);
    let found = check(&sim.env(), Path::new("/data/log"), false).unwrap();
    assert_eq!(found.problems, []);
    let (_engine, log) = open(&sim, SegmentConfig { segment_min: SEGMENT, segment_max: SEGMENT, ..config() });
    assert_eq!(read_all(&sim, &log, 3, 0), ((0..90).collect(), None));
}

#[test]
fn writers_that_are_busy_are_not_held_up_by_regrouping_unless_a_reader_needs_it() {
    const SHARDS: u32 = 20;
    let sim = SimEnv::new(9);
    let (engine, log) = open(&sim, SegmentConfig { segment_max: 1 << 20, tail_cache: 0, ..config() });
    for _ in 0..160u8 {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            batch.push(shard, RecordKeys::default(), &[7; 5000]);
        }
        sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
        sim.clock.advance(2);
        engine.tick();
        sim.settle();
    }
    let last = segments(&sim).len() - 2;
    let scattered = blocks_of(&sim, last);
    assert!(scattered > 4 * SHARDS, "{scattered} blocks");
    assert!(!needs_no_sorting(&sim, last));
    // A reader that comes by has it sorted at once; otherwise it is done when the writers are quiet.
    assert_eq!(read_all(&sim, &log, 3, 150).0, (150..160).collect::<Vec<_>>());
    sim.settle();
    assert!(blocks_of(&sim, last) < scattered);
    assert!(needs_no_sorting(&sim, last));
    assert!(blocks_of(&sim, last - 1) > 4 * SHARDS);
    for _ in 0..2 {
        sim.clock.advance(300);
        engine.tick();
        sim.settle();
    }
    assert!(blocks_of(&sim, last - 1) < scattered);
    let read = read_all(&sim, &log, 3, 0);
    assert_eq!(read, ((0..160).collect(), None));
}

#[test]
fn a_full_disk_lets_trims_free_space_and_leaves_the_pool_in_peace() {
    let sim = SimEnv::new(2);
    let space = SegmentConfig { min_free: 8 << 10, reserve: 16 << 10, segment_max: 64 << 10, ..config() };
    let (engine, log) = open(&sim, space);
    fill(&sim, &engine, &log, 30);
    engine.tick();
    sim.settle();
    sim.disk.set_capacity(200 << 10);
    for n in 0..1000 {
        let mut batch = Batch::new();
        batch.push(0, RecordKeys::default(), &[1; 900]);
        if sim.block_on(log.append(batch, engine.epoch())).unwrap().is_err() {
            break;
        }
        assert!(n < 999, "the disk never got full");
        engine.tick();
        sim.settle();
    }
    // Sealing by age and markers are due, and there is no room for them.
    for _ in 0..5 {
        sim.clock.advance(3_600_000);
        engine.tick();
        let steps = (0..10_000).take_while(|_| sim.step()).count();
        assert!(steps < 10_000, "the log spins");
    }
    let now = sim.env().clock.now();
    sim.block_on(log.trim(now, engine.epoch())).unwrap().unwrap();
    sim.settle();
    engine.tick();
    let mut batch = Batch::new();
    batch.push(0, RecordKeys::default(), &[1; 900]);
    sim.block_on(log.append(batch, engine.epoch())).unwrap().unwrap();
}

#[test]
fn a_failed_sync_in_relaxed_mode_answers_everyone() {
    let sim = SimEnv::new(6);
    let relaxed = Durability::Relaxed(Duration::from_millis(100));
    let (engine, log) = open(&sim, SegmentConfig { durability: relaxed, ..config() });
    fill(&sim, &engine, &log, 3);
    sim.clock.advance(200);
    let put = |data: &[u8]| {
        let mut batch = Batch::new();
        batch.push(0, RecordKeys::default(), data);
        log.append(batch, engine.epoch())
    };
    // The overdue sync comes first, and fails, while this one waits.
    sim.disk.inject(sim.disk.operations(), Fault::Fail);
    let failed = sim.block_on(put(b"x")).expect("an answer");
    assert!(failed.is_err(), "{failed:?}");
    assert!(sim.block_on(put(b"y")).expect("an answer").is_err());
}

#[test]
fn the_server_starts_on_a_full_disk() {
    let sim = SimEnv::new(7);
    let space = SegmentConfig { min_free: 0, reserve: 16 << 10, ..config() };
    let (engine, log) = open(&sim, space.clone());
    fill(&sim, &engine, &log, 3);
    engine.tick();
    drop((engine, log));
    let sim = sim.restart(Crash::Kill);
    let used = sim.disk.used();
    sim.disk.set_capacity(used);
    let engine = SegmentEngine::open(sim.env(), space).unwrap();
    let log = engine.open(&id()).unwrap();
    assert_eq!(read_all(&sim, &log, 0, 0).0.len(), 3, "what is written anew takes the reserve");
    assert!(!engine.problems().is_empty());
    sim.disk.set_capacity(u64::MAX);
    engine.tick();
    assert!(engine.problems().is_empty());
    fill(&sim, &engine, &log, 1);
    assert_eq!(read_all(&sim, &log, 0, 0).0.len(), 4);
}

#[test]
fn a_deletion_does_not_hold_up_the_stop() {
    let sim = SimEnv::new(8);
    let (engine, log) = open(&sim, config());
    fill(&sim, &engine, &log, 3);
    let stop = engine.close();
    sim.block_on(engine.delete(&id())).unwrap().unwrap();
    sim.block_on(stop).expect("the stop ends");
    drop(log);
}

#[test]
fn reads_that_are_short_or_interrupted_go_on() {
    for fault in [ReadFault::Short, ReadFault::Interrupted] {
        let sim = SimEnv::new(1);
        let (engine, log) = open(&sim, config());
        fill(&sim, &engine, &log, 40);
        drop((engine, log));
        let sim = sim.restart(Crash::PowerLoss);
        // Every read of the recovery and of the readers.
        (0..10_000).for_each(|number| sim.disk.inject_read(number, fault));
        let engine = SegmentEngine::open(sim.env(), config()).unwrap();
        let log = engine.open(&id()).unwrap();
        for shard in 0..3 {
            let (offsets, error) = read_all(&sim, &log, shard, 0);
            assert_eq!((offsets.len(), error), (40, None), "{fault:?}");
        }
    }
}
