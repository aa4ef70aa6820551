//! The log's files: single structures, and whole directories after bytes of them were changed.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use millstream_env::sim::{Crash, DiskImage, SimEnv};
use millstream_env::{Clock, Disk, OpenMode};
use millstream_log::segment::{Durability, Problem, SegmentConfig, SegmentEngine, check, fuzzing};
use millstream_log::{AppendError, Batch, Log, LogId, Read, ReadError, RecordKeys, Records, StreamLog};

use super::Input;
use super::edits::{self, Edit};

/// Headers, commits, footers, trims and records, as they are and with their checksums made right.
pub(super) fn structures(input: &[u8]) {
    let mut mended = input.to_vec();
    fuzzing::mend(&mut mended);
    for bytes in [input, &mended[..]] {
        for comes_back in [fuzzing::header(bytes), fuzzing::commit(bytes), fuzzing::footer(bytes)] {
            assert_ne!(comes_back, Some(false), "what is read is what is written of it");
        }
        assert!(fuzzing::floors(bytes));
    }
    let mut taken = 0;
    for record in Records::new(0, Bytes::copy_from_slice(input)) {
        taken += record.weight();
        let view = record.view();
        assert_eq!(view.map(|view| view.data.len()).unwrap_or(record.data().len()), record.data().len());
    }
    assert!(taken <= input.len(), "no byte is given twice");
}

const SHARDS: u32 = 3;

/// A log at rest, and what it holds.
struct Base {
    image: DiskImage,
    /// When it was left, ms.
    wall: u64,
    durability: Durability,
    records: BTreeMap<(u32, u64), Vec<u8>>,
}

/// Logs of several segments and of one, stopped and killed, synced and relaxed, with shards closed and a floor.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    vec![
        base(Durability::Fsync, 12, true, true),
        base(Durability::Fsync, 10, false, false),
        base(Durability::Relaxed(Duration::from_millis(100)), 9, true, false),
        base(Durability::Fsync, 2, false, true),
    ]
});

fn id() -> LogId {
    LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation: 7 }
}

fn config(durability: Durability) -> SegmentConfig {
    SegmentConfig {
        durability,
        segment_min: 2 << 10,
        segment_max: 4 << 10,
        tail_cache: 0,
        index_cache: 0,
        min_free: 0,
        reserve: 0,
        ..SegmentConfig::new("/data/log")
    }
}

fn base(durability: Durability, rounds: u32, is_closed: bool, is_stopped: bool) -> Base {
    let machine = SimEnv::new(u64::from(rounds));
    machine.disk.create_dir_all(Path::new("/data")).expect("a directory");
    machine.disk.sync_dir(Path::new("/")).expect("a sync");
    let engine = SegmentEngine::open(machine.env(), config(durability)).expect("opens");
    let log = machine.block_on(engine.create(&id(), Bytes::from_static(b"first"))).expect("ends").expect("is made");
    let mut records = BTreeMap::new();
    for round in 0..rounds {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            let data = vec![round as u8 ^ (shard as u8) << 6; 90 + 7 * round as usize];
            let keys = RecordKeys { partition_key: Some("key"), ..RecordKeys::default() };
            batch.push(shard, keys, &data);
            records.insert((shard, u64::from(round)), data);
        }
        machine.block_on(log.append(batch, engine.epoch())).expect("ends").expect("is appended");
        machine.settle();
        machine.clock.advance(1000);
        engine.tick();
        machine.settle();
    }
    if is_closed {
        let closing = log.close_shards(vec![(2, 5)], Bytes::from_static(b"second"), engine.epoch());
        machine.block_on(closing).expect("ends").expect("closes");
        let floor = machine.env().clock.now() - 1000 * u64::from(rounds) + 1500;
        machine.block_on(log.trim(floor, engine.epoch())).expect("ends").expect("trims");
        machine.settle();
    }
    if is_stopped {
        machine.block_on(engine.close()).expect("stops");
        machine.settle();
    }
    Base { image: machine.disk.image(), wall: machine.clock.wall(), durability, records }
}

/// A log of ours, changed as the input says, is checked, served, repaired and served again.
pub(super) fn segments(bytes: &[u8]) {
    let mut input = Input(bytes);
    let base = &BASES[usize::from(input.byte()) % BASES.len()];
    // With checksums made right the changes are taken for what was written; without, they must be noticed.
    let is_mended = input.byte() % 2 == 1;
    let machine = SimEnv::on_image(&base.image, Crash::Kill, 1, base.wall);
    let files = log_files(&machine);
    let mut is_end_whole = true;
    while let Some(edit) = Edit::read(&mut input) {
        let file = usize::from(edit.file) % files.len();
        is_end_whole &= file + 1 < files.len();
        change(&machine, &files[file], &edit, is_mended);
    }
    let expected = if is_mended { None } else { Some(&base.records) };
    let expected = expected.map(|records| Expected { records, is_end_whole });

    let dir = Path::new("/data/log");
    let found = check(&machine.env(), dir, false);
    let was_read = serve(&machine, base.durability, expected);
    if let (Ok(found), false, true) = (&found, was_read, expected.is_some()) {
        assert!(!found.problems.is_empty(), "check finds what readers meet");
    }
    let machine = machine.restart(Crash::Kill);
    let Ok(repaired) = check(&machine.env(), dir, true) else { return };
    let is_hopeless = |problem: &Problem| problem.repair.contains("a repair cannot");
    if expected.is_some() && !repaired.problems.iter().any(is_hopeless) {
        let again = check(&machine.env(), dir, false).expect("it was checked before");
        assert!(again.problems.is_empty(), "{:?} after {:?}", again.problems, repaired.repairs);
    }
    serve(&machine, base.durability, expected);
}

fn log_files(machine: &SimEnv) -> Vec<PathBuf> {
    let dir = PathBuf::from("/data/log/streams/000000000000/us-east-1/0000000000000007");
    let entries = machine.disk.list(&dir).expect("the log's directory");
    let segments = entries.iter().filter(|entry| entry.name.ends_with(".seg"));
    segments.map(|entry| dir.join(&entry.name)).collect()
}

fn change(machine: &SimEnv, path: &Path, edit: &Edit, is_mended: bool) {
    let Ok(mut bytes) = machine.disk.read_file(path) else { return };
    let starts = fuzzing::commits(&bytes);
    edits::apply(&mut bytes, edit, &starts);
    if is_mended {
        fuzzing::mend(&mut bytes);
    }
    let file = machine.disk.open(path, OpenMode::Write).expect("it is there");
    file.set_len(bytes.len() as u64).expect("memory");
    file.write_all_at(&[IoSlice::new(&bytes)], 0).expect("memory");
    file.sync_data().expect("memory");
}

/// What must be true of what is read, as no checksum was made right.
#[derive(Clone, Copy)]
struct Expected<'a> {
    records: &'a BTreeMap<(u32, u64), Vec<u8>>,
    /// The newest segment was not changed. Damage at its end cannot be told from a write that was cut short.
    is_end_whole: bool,
}

/// Opens the log, reads all of it, and appends. Whether no damage was met.
fn serve(machine: &SimEnv, durability: Durability, expected: Option<Expected<'_>>) -> bool {
    let Ok(engine) = SegmentEngine::open(machine.env(), config(durability)) else { return false };
    let Some(log) = engine.open(&id()) else { return false };
    let mut is_whole = true;
    for shard in 0..SHARDS + 1 {
        is_whole &= read_shard(machine, &log, shard, expected);
        let seek = log.seek_time(shard, machine.env().clock.now() - 3000);
        drop(machine.block_on(seek).expect("no wake-up is lost"));
    }
    drop(machine.block_on(log.positions()).expect("no wake-up is lost"));
    drop(machine.block_on(log.descriptor()).expect("no wake-up is lost"));
    for shard in 0..SHARDS {
        let mut batch = Batch::new();
        batch.push(shard, RecordKeys::default(), b"new");
        match machine.block_on(log.append(batch, engine.epoch())).expect("no wake-up is lost") {
            Ok(appended) => {
                let first = appended.shards[0].first;
                let taken = expected.is_some_and(|e| e.is_end_whole && e.records.contains_key(&(shard, first)));
                assert!(!taken, "offset {first} is used twice");
            }
            Err(AppendError::NotWritten(_)) => {}
            Err(error) => panic!("the disk is healthy: {error}"),
        }
    }
    for _ in 0..3 {
        machine.clock.advance(1000);
        engine.tick();
        machine.settle();
    }
    machine.block_on(engine.close()).expect("no wake-up is lost");
    machine.settle();
    is_whole
}

/// Reads a shard to its end. Whether no damage was met.
fn read_shard(machine: &SimEnv, log: &Arc<dyn StreamLog>, shard: u32, expected: Option<Expected<'_>>) -> bool {
    let mut from = 0;
    for turn in 0.. {
        assert!(turn < 1000, "a reader gets on");
        let read = Read { shard, from, not_before: 0, max_bytes: 1000, max_records: 100 };
        let result = match machine.block_on(log.read(read)).expect("no wake-up is lost") {
            Ok(result) => result,
            Err(ReadError::Corrupt(_) | ReadError::Unavailable(_)) => return false,
            Err(ReadError::Deleted) => panic!("nobody has deleted it"),
        };
        for record in &result.records {
            assert!(record.offset >= from, "records come in order");
            if let Some(Expected { records, .. }) = expected {
                let whole = records.get(&(shard, record.offset)).map(|data| &data[..]);
                let data = record.data();
                assert!(data == "new" || Some(&data[..]) == whole, "shard {shard}: {} has other bytes", record.offset);
            }
        }
        if result.next >= result.position.end || result.next == from {
            return true;
        }
        from = result.next;
    }
    true
}
