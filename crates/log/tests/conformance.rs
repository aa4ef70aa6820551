//! What every [`Log`] engine must do, run over each of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::Disk;
use millstream_env::sim::SimEnv;
use millstream_log::memory::{Fault, MemoryLog};
use millstream_log::segment::{SegmentConfig, SegmentEngine};
use millstream_log::{
    AppendError, AppendedShard, Batch, Epoch, Log, LogId, NotWritten, Read, ReadError, ReadResult, RecordKeys,
    ShardIndex, StreamLog,
};

struct Bench {
    sim: SimEnv,
    log: Arc<dyn Log>,
}

fn id(incarnation: u64) -> LogId {
    LogId { account: "111122223333".into(), region: "eu-west-1".into(), incarnation }
}

fn engines() -> Vec<(&'static str, Bench)> {
    let segment = SimEnv::new(1);
    segment.disk.create_dir_all(Path::new("/data")).unwrap();
    let small = SegmentConfig {
        segment_min: 4 << 10,
        segment_max: 16 << 10,
        tail_cache: 4 << 10,
        min_free: 0,
        reserve: 0,
        seal_age: Duration::from_secs(3600),
        ..SegmentConfig::new("/data/log")
    };
    let engine: Arc<dyn Log> = SegmentEngine::open(segment.env(), small).unwrap();
    let memory = SimEnv::new(2);
    let memory_log: Arc<dyn Log> = MemoryLog::new(memory.env());
    vec![("segment", Bench { sim: segment, log: engine }), ("memory", Bench { sim: memory, log: memory_log })]
}

/// Runs one test over every engine.
fn over_all(test: impl Fn(&Bench)) {
    for (name, bench) in engines() {
        eprintln!("engine: {name}");
        test(&bench);
    }
}

impl Bench {
    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.sim.block_on(future).expect("the call ends")
    }

    fn create(&self, incarnation: u64) -> Arc<dyn StreamLog> {
        self.wait(self.log.create(&id(incarnation), Bytes::from_static(b"descriptor"))).unwrap()
    }

    fn put(&self, log: &Arc<dyn StreamLog>, shard: ShardIndex, data: &[u8]) -> AppendedShard {
        self.wait(log.append(batch(&[(shard, data)]), self.log.epoch())).unwrap().shards[0]
    }

    fn read(&self, log: &Arc<dyn StreamLog>, shard: ShardIndex, from: u64) -> ReadResult {
        self.wait(log.read(all(shard, from))).unwrap()
    }
}

fn all(shard: ShardIndex, from: u64) -> Read {
    Read { shard, from, not_before: 0, max_bytes: usize::MAX, max_records: usize::MAX }
}

fn batch(records: &[(ShardIndex, &[u8])]) -> Batch {
    let mut batch = Batch::new();
    for (shard, data) in records {
        batch.push(*shard, RecordKeys { partition_key: Some("key"), ..RecordKeys::default() }, data);
    }
    batch
}

fn data_of(result: &ReadResult) -> Vec<Vec<u8>> {
    result.records.iter().map(|r| r.data().to_vec()).collect()
}

#[test]
fn a_batch_gets_dense_offsets_per_shard_and_one_time() {
    over_all(|b| {
        let log = b.create(1);
        let appended = b.wait(log.append(batch(&[(5, b"a"), (3, b"b"), (5, b"c")]), b.log.epoch())).unwrap();
        assert_eq!(appended.shards.iter().map(|s| (s.shard, s.first)).collect::<Vec<_>>(), [(5, 0), (3, 0)]);
        assert_eq!(appended.shards[0].time, appended.shards[1].time);
        assert_eq!(b.put(&log, 5, b"d").first, 2);
        let read = b.read(&log, 5, 0);
        assert_eq!(data_of(&read), [b"a", b"c", b"d"]);
        assert_eq!(read.records.iter().map(|r| r.offset).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((read.next, read.position.end), (3, 3));
        let view = read.records[0].view().unwrap();
        assert_eq!((view.partition_key, view.explicit_hash, view.headers), (Some("key"), None, None));
    });
}

#[test]
fn a_batch_may_name_many_shards() {
    over_all(|b| {
        let log = b.create(1);
        let records: Vec<(ShardIndex, Vec<u8>)> = (0..400u32).map(|n| (n * 7 % 50, n.to_le_bytes().to_vec())).collect();
        let records: Vec<(ShardIndex, &[u8])> = records.iter().map(|(shard, data)| (*shard, &data[..])).collect();
        let appended = b.wait(log.append(batch(&records), b.log.epoch())).unwrap();
        assert_eq!(appended.shards.len(), 50);
        for shard in 0..50 {
            let sent: Vec<&[u8]> = records.iter().filter(|(s, _)| *s == shard).map(|(_, d)| *d).collect();
            assert_eq!(data_of(&b.read(&log, shard, 0)), sent);
        }
    });
}

#[test]
fn every_field_of_a_record_comes_back() {
    over_all(|b| {
        let log = b.create(1);
        let keys = RecordKeys { partition_key: None, explicit_hash: Some("12"), headers: Some(b"h") };
        let mut batch = Batch::new();
        batch.push(0, keys, b"");
        b.wait(log.append(batch, b.log.epoch())).unwrap();
        let read = b.read(&log, 0, 0);
        let view = read.records[0].view().unwrap();
        assert_eq!((view.partition_key, view.explicit_hash, view.headers), (None, Some("12"), Some(&b"h"[..])));
        assert!(view.data.is_empty());
    });
}

#[test]
fn reads_page_by_bytes_and_records_and_always_give_one() {
    over_all(|b| {
        let log = b.create(1);
        for n in 0..10u8 {
            b.put(&log, 0, &[n; 100]);
        }
        let page = |from, max_bytes, max_records| {
            let read = Read { max_bytes, max_records, ..all(0, from) };
            b.wait(log.read(read)).unwrap()
        };
        assert_eq!(page(0, 1, 100).records.len(), 1);
        assert_eq!(page(0, 206, 100).records.len(), 2, "two records of 103 bytes with their keys");
        assert_eq!(page(4, usize::MAX, 3).next, 7);
        assert_eq!(page(7, usize::MAX, 100).records.len(), 3);
        assert_eq!(page(10, usize::MAX, 100).records.len(), 0);
    });
}

#[test]
fn a_closed_shard_refuses_appends_and_keeps_its_first_note() {
    over_all(|b| {
        let log = b.create(1);
        b.put(&log, 0, b"x");
        b.wait(log.close_shards(vec![(0, 77)], Bytes::from_static(b"new"), b.log.epoch())).unwrap();
        b.wait(log.close_shards(vec![(0, 78)], Bytes::from_static(b"newer"), b.log.epoch())).unwrap();
        let refused = b.wait(log.append(batch(&[(1, b"y"), (0, b"z")]), b.log.epoch()));
        assert_eq!(refused, Err(AppendError::NotWritten(NotWritten::Closed(0))));
        assert_eq!(b.read(&log, 1, 0).records.len(), 0, "all of the batch or nothing");
        let position = b.wait(log.position(0)).unwrap();
        assert_eq!((position.closed, position.end), (Some(77), 1));
        assert_eq!(b.wait(log.descriptor()).unwrap(), "newer");
    });
}

#[test]
fn time_finds_the_first_record_at_or_after_it() {
    over_all(|b| {
        let log = b.create(1);
        let mut times = Vec::new();
        for _ in 0..20 {
            times.push(b.put(&log, 0, &[1; 2000]).time);
            b.sim.clock.advance(1000);
        }
        for (offset, time) in times.iter().enumerate() {
            assert_eq!(b.wait(log.seek_time(0, *time)).unwrap(), offset as u64);
            assert_eq!(b.wait(log.seek_time(0, time + 1)).unwrap(), offset as u64 + 1);
        }
        assert_eq!(b.wait(log.seek_time(0, 0)).unwrap(), 0);
        assert_eq!(b.wait(log.seek_time(9, 0)).unwrap(), 0);
    });
}

#[test]
fn a_trim_hides_what_arrived_before_it_for_good() {
    over_all(|b| {
        let log = b.create(1);
        let mut times = Vec::new();
        for n in 0..30u8 {
            times.push(b.put(&log, 0, &[n; 1500]).time);
            b.sim.clock.advance(1000);
        }
        b.wait(log.trim(times[20], b.log.epoch())).unwrap();
        b.wait(log.trim(times[3], b.log.epoch())).unwrap();
        let read = b.read(&log, 0, 0);
        assert_eq!(read.records.first().map(|r| r.offset), Some(20));
        assert_eq!(read.next, 30);
        let late = Read { not_before: times[25], ..all(0, 0) };
        assert_eq!(b.wait(log.read(late)).unwrap().records.len(), 5);
    });
}

#[test]
fn an_older_epoch_is_fenced() {
    over_all(|b| {
        let log = b.create(1);
        let old = Epoch(b.log.epoch().0 - 1);
        assert_eq!(b.wait(log.append(batch(&[(0, b"x")]), old)), Err(AppendError::Fenced));
        assert_eq!(b.wait(log.close_shards(vec![(0, 1)], Bytes::new(), old)), Err(AppendError::Fenced));
        assert_eq!(b.read(&log, 0, 0).records.len(), 0);
    });
}

#[test]
fn a_deleted_log_is_gone_and_creating_it_again_is_another() {
    over_all(|b| {
        let log = b.create(1);
        b.put(&log, 0, b"x");
        let watch = log.durable_watch(0);
        b.wait(b.log.delete(&id(1))).unwrap();
        assert!(watch.has_changed(), "waiting readers are woken");
        assert_eq!(b.wait(log.read(all(0, 0))).err(), Some(ReadError::Deleted));
        let refused = b.wait(log.append(batch(&[(0, b"x")]), b.log.epoch()));
        assert_eq!(refused, Err(AppendError::NotWritten(NotWritten::Deleted)));
        assert!(b.log.open(&id(1)).is_none() && b.log.list().is_empty());
        b.wait(b.log.delete(&id(1))).unwrap();
        let new = b.create(2);
        assert_eq!(b.read(&new, 0, 0).position.end, 0);
    });
}

#[test]
fn creating_twice_keeps_what_is_there() {
    over_all(|b| {
        let log = b.create(1);
        b.put(&log, 0, b"x");
        let again = b.create(1);
        assert_eq!(b.read(&again, 0, 0).records.len(), 1);
    });
}

#[test]
fn readers_are_woken_when_records_become_durable() {
    over_all(|b| {
        let log = b.create(1);
        let mut watch = log.durable_watch(0);
        let other = log.durable_watch(1);
        b.put(&log, 0, b"x");
        assert!(watch.has_changed());
        watch.mark_unchanged();
        b.wait(log.close_shards(vec![(0, 1)], Bytes::new(), b.log.epoch())).unwrap();
        assert!(watch.has_changed());
        assert!(!other.has_changed(), "nothing happened on its shard");
    });
}

#[test]
fn a_dropped_append_is_written_all_the_same() {
    over_all(|b| {
        let log = b.create(1);
        drop(log.append(batch(&[(0, b"x")]), b.log.epoch()));
        b.sim.settle();
        assert_eq!(b.read(&log, 0, 0).records.len(), 1);
    });
}

#[test]
fn the_memory_log_can_be_unpleasant() {
    let sim = SimEnv::new(3);
    let memory = MemoryLog::new(sim.env());
    let log = sim.block_on(memory.create(&id(1), Bytes::new())).unwrap().unwrap();
    let put = || sim.block_on(log.append(batch(&[(0, b"x")]), Epoch(1))).unwrap();
    let count = || sim.block_on(log.position(0)).unwrap().unwrap().end;
    memory.inject(Fault::UnknownWritten);
    assert!(matches!(put(), Err(AppendError::Unknown(_))));
    assert_eq!(count(), 1);
    memory.inject(Fault::UnknownLost);
    assert!(matches!(put(), Err(AppendError::Unknown(_))));
    assert_eq!(count(), 1);
    memory.inject(Fault::DiskFull);
    assert_eq!(put(), Err(AppendError::NotWritten(NotWritten::DiskFull)));
    memory.inject(Fault::LoseOwnership);
    assert_eq!(put(), Err(AppendError::Fenced));
    assert_eq!(put(), Err(AppendError::Fenced), "until the new epoch is taken up");
    assert_eq!(memory.epoch(), Epoch(2));
}
