//! Snapshots of a service that goes on, and services restored from them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, Waker};

use millstream_api::Blob;
use millstream_env::Disk;

use super::*;
use crate::snapshot::{MANIFEST, Places, RestoreError, Snapshot, SnapshotError, SnapshotTaken};

pub(super) const SNAPSHOTS: &str = "/snapshots";

/// A record as its reader sees it: number, key, data.
pub(super) type Seen = (String, String, Vec<u8>);

/// Every record, by stream and shard.
pub(super) type Records = BTreeMap<(String, String), Vec<Seen>>;

pub(super) fn small(dir: &str) -> SegmentConfig {
    SegmentConfig {
        segment_min: 4 << 10,
        segment_max: 4 << 10,
        tail_cache: 16 << 10,
        min_free: 0,
        reserve: 0,
        ..SegmentConfig::new(PathBuf::from(dir).join("log"))
    }
}

pub(super) fn unlimited(dir: &str) -> KinesisConfig {
    KinesisConfig { limits: Limits::none(), token_keys: PathBuf::from(dir).join("tokens"), ..at_once() }
}

/// A service in the directory `dir` of a machine.
pub(super) fn open(machine: SimEnv, dir: &str) -> Result<World, SimEnv> {
    World::on_segments(machine, unlimited(dir), small(dir))
}

pub(super) fn places(dir: &str) -> Places {
    let dir = PathBuf::from(dir);
    Places { log: dir.join("log"), catalog: dir.join("catalog"), keys: dir.join("tokens") }
}

/// Restores the snapshot `name` into `dir`.
pub(super) fn restore(machine: &SimEnv, name: &str, dir: &str) -> Result<(), RestoreError> {
    let snapshot = Snapshot::open(&machine.env(), &Path::new(SNAPSHOTS).join(name))?;
    snapshot.verify()?;
    // Whoever restores makes the directory.
    let path = Path::new(dir);
    machine
        .disk
        .create_dir_all(path)
        .and_then(|()| machine.disk.sync_dir(Path::new("/")))
        .map_err(|error| RestoreError::Disk { path: path.to_path_buf(), error })?;
    snapshot.restore(&places(dir)).map(drop)
}

impl World {
    pub(super) fn new_small(seed: u64) -> World {
        open(machine(seed), "/data").map_err(drop).expect("starts")
    }

    pub(super) fn put_to(&self, stream: &str, key: &str, data: &[u8]) -> Option<(String, String)> {
        let input = PutRecordInput {
            stream_name: Some(stream.into()),
            data: Blob::from_bytes(data),
            partition_key: Some(key.into()),
            ..Default::default()
        };
        match self.try_call(Input::PutRecord(input)) {
            Some(Ok(Output::PutRecord(output))) => Some((output.shard_id, output.sequence_number)),
            _ => None,
        }
    }

    pub(super) fn iterator(
        &self,
        stream: &str,
        shard: &str,
        kind: ShardIteratorType,
        number: Option<&str>,
    ) -> Result<String, Error> {
        let input = GetShardIteratorInput {
            stream_name: Some(stream.into()),
            shard_id: shard.into(),
            shard_iterator_type: kind,
            starting_sequence_number: number.map(Into::into),
            ..Default::default()
        };
        match self.call(Input::GetShardIterator(input))? {
            Output::GetShardIterator(output) => Ok(output.shard_iterator.expect("an iterator")),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn get(&self, iterator: &str) -> Result<GetRecordsOutput, Error> {
        let input = GetRecordsInput { shard_iterator: iterator.into(), ..Default::default() };
        match self.call(Input::GetRecords(input))? {
            Output::GetRecords(output) => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    /// All records from an iterator on.
    pub(super) fn drain(&self, iterator: String) -> Vec<Seen> {
        let (mut seen, mut next) = (Vec::new(), Some(iterator));
        while let Some(iterator) = next {
            let page = self.get(&iterator).expect("a page");
            let is_empty = page.records.is_empty();
            seen.extend(page.records.into_iter().map(|record| {
                (record.sequence_number, record.partition_key.unwrap_or_default(), record.data.to_vec())
            }));
            next = page.next_shard_iterator.filter(|_| !is_empty);
        }
        seen
    }

    /// All records of all streams that can be read.
    pub(super) fn all_records(&self) -> Records {
        let mut all = Records::new();
        for stream in Arc::clone(&self.kinesis.streams()).all() {
            let name = stream.address.name.to_string();
            for shard in &stream.view_owned().record.shards {
                let shard = crate::shard_id(shard.index);
                let iterator = self.iterator(&name, &shard, ShardIteratorType::TrimHorizon, None).expect("an iterator");
                all.insert((name.clone(), shard), self.drain(iterator));
            }
        }
        all
    }

    pub(super) fn snapshot(&self, name: &str) -> Option<Result<SnapshotTaken, SnapshotError>> {
        self.machine.block_on(self.kinesis.snapshot(Path::new(SNAPSHOTS), name))
    }

    /// Stops the service in order and starts it in another directory.
    pub(super) fn moved_to(self, dir: &str) -> World {
        self.machine.block_on(self.kinesis.close()).expect("closes");
        let World { machine, kinesis, log, .. } = self;
        drop((kinesis, log));
        machine.settle();
        open(machine, dir).map_err(drop).expect("starts")
    }
}

/// The numbers of all records, with their streams': those of two streams may be alike.
fn numbers(records: &Records) -> BTreeSet<(String, String)> {
    let of = |((stream, _), seen): (&(String, String), &Vec<Seen>)| {
        seen.iter().map(|(number, ..)| (stream.clone(), number.clone())).collect::<Vec<_>>()
    };
    records.iter().flat_map(of).collect()
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

/// What a run has put, in order: each was acknowledged before the next began.
#[derive(Default)]
struct Put {
    all: Vec<(String, String, String, Vec<u8>)>,
}

impl Put {
    fn put(&mut self, world: &World, stream: &str) {
        let key = format!("key {}", world.machine.below(50));
        let data = format!("record {} {}", self.all.len(), "x".repeat(world.machine.below(400) as usize)).into_bytes();
        if let Some((shard, number)) = world.put_to(stream, &key, &data) {
            self.all.push((stream.to_owned(), shard, number, data));
        }
    }
}

/// One random step of a client, of an operator, or of time.
fn step(world: &World, put: &mut Put) {
    let name = ["a", "b", "c"][world.machine.below(3) as usize];
    let streams = Arc::clone(&world.kinesis.streams());
    let Some(stream) = streams.get("000000000000", "eu-central-1", name) else {
        return world.create(name, 1 + world.machine.below(3) as i32);
    };
    match world.machine.below(24) {
        0 => {
            let target = 1 + world.machine.below(2 * stream.view().record.open_count().min(3) as u64);
            drop(world.call(scale(name, target as i32)));
        }
        1 if name == "c" => drop(world.call(delete(name))),
        2 => {
            // A trim of what is older than a moment ago, as retention would do it.
            let before = world.kinesis.now().saturating_sub(world.machine.below(20));
            let log = stream.log().expect("a log");
            if name == "b" {
                drop(world.machine.block_on(log.trim(before, world.log.epoch())));
            }
        }
        3 => world.pass(500),
        _ => {
            world.machine.clock.advance(world.machine.below(4));
            put.put(world, name);
        }
    }
}

#[test]
fn a_snapshot_under_load_is_one_moment_that_a_restore_brings_back() {
    for seed in 0..25 {
        let world = World::new_small(8_000 + seed);
        let mut put = Put::default();
        for _ in 0..60 {
            step(&world, &mut put);
        }
        let before = put.all.len();
        let deleted_before = world.kinesis.streams().all().iter().map(|s| s.incarnation).collect::<BTreeSet<_>>();
        let kinesis = Arc::clone(&world.kinesis);
        let taken = {
            let mut snapshot = pin!(kinesis.snapshot(Path::new(SNAPSHOTS), "one"));
            loop {
                if let Poll::Ready(taken) = poll(snapshot.as_mut()) {
                    break taken.expect("a snapshot");
                }
                if world.machine.below(3) > 0 {
                    world.machine.step();
                } else {
                    step(&world, &mut put);
                }
            }
        };
        assert_eq!(taken.problems, Vec::<String>::new());
        let during = put.all.len();
        // The future that will be lost. Segments are dropped and their files used again.
        for _ in 0..80 {
            step(&world, &mut put);
        }
        let lost: BTreeSet<(&str, &str)> = put.all.iter().map(|(s, _, number, _)| (&s[..], &number[..])).collect();
        world.machine.clock.advance(2_000);
        restore(&world.machine, "one", "/restored").expect("a restore");
        let mut world = world.moved_to("/restored");
        for _ in 0..3 {
            world.pass(1_100);
        }
        let what = format!("seed {seed}");
        assert_eq!(world.kinesis.problems(), Vec::<String>::new(), "{what}");
        let found = world.all_records();
        // What is there was put, is a beginning of what was put, and nothing of before the call is missing.
        let kept: BTreeSet<u64> = world.kinesis.streams().all().iter().map(|s| s.incarnation).collect();
        assert!(deleted_before.iter().filter(|i| !kept.contains(i)).count() <= 1, "{what}: only c is deleted");
        let found_numbers = numbers(&found);
        for ((stream, shard), records) in &found {
            for (number, _, data) in records {
                let same =
                    |(s, h, n, d): &&(String, String, String, Vec<u8>)| (s, h, n, d) == (stream, shard, number, data);
                assert!(put.all.iter().any(|one| same(&one)), "{what}: {stream} {shard} {number} was not put");
            }
            assert!(records.windows(2).all(|two| two[0].0 < two[1].0), "{what}");
        }
        // Stream b is trimmed and c deleted; a has all, up to one moment.
        let is_there = |(stream, _, number, _): &(String, String, String, Vec<u8>)| {
            found_numbers.contains(&(stream.clone(), number.clone()))
        };
        let of_a: Vec<bool> = put.all[..during].iter().filter(|one| one.0 == "a").map(is_there).collect();
        let acknowledged = put.all[..before].iter().filter(|(s, ..)| s == "a").count();
        assert!(of_a[..acknowledged].iter().all(|there| *there), "{what}: acknowledged before the snapshot");
        assert!(!of_a.windows(2).any(|two| !two[0] && two[1]), "{what}: a hole");
        // The moment is the same for a and b: nothing of b that was put after something of a that is missing.
        let last_of = |name: &str, there: bool| {
            let mut places = put.all.iter().enumerate().filter(|(_, (s, ..))| s == name);
            if there {
                places.rfind(|(_, one)| is_there(one)).map(|(at, _)| at)
            } else {
                places.find(|(_, one)| !is_there(one)).map(|(at, _)| at)
            }
        };
        if let (Some(of_b), Some(missing)) = (last_of("b", true), last_of("a", false)) {
            assert!(of_b < missing, "{what}: put number {of_b} is there and number {missing} is not");
        }
        // No number is used again, in old shards, new ones and new streams.
        for round in 0..2 {
            for name in ["a", "b", "c", "d"] {
                if world.kinesis.streams().get("000000000000", "eu-central-1", name).is_none() {
                    world.create(name, 2);
                }
                for n in 0..10 {
                    let (_, number) = world.put_to(name, &format!("k{n}"), b"new").expect("put");
                    let is_lost = lost.contains(&(name, &number[..]));
                    assert!(!is_lost, "{what}, round {round}: {number} of {name} names two records");
                }
                drop(world.call(scale(name, 2)));
            }
            world = world.moved_to("/restored");
        }
    }
}

#[test]
fn nothing_that_the_service_does_later_changes_a_snapshot() {
    for seed in 0..10 {
        let mut world = World::new_small(8_100 + seed);
        let mut put = Put::default();
        for round in 0..6 {
            for _ in 0..40 {
                step(&world, &mut put);
            }
            world.snapshot(&format!("s{round}")).expect("ends").expect("a snapshot");
            // Everything old goes, so that files are free to be used again.
            world.machine.clock.advance(10);
            for stream in Arc::clone(&world.kinesis.streams()).all() {
                let log = stream.log().expect("a log");
                let now = world.kinesis.now();
                world.machine.block_on(log.trim(now, world.log.epoch())).expect("ends").expect("trims");
            }
            for _ in 0..60 {
                step(&world, &mut put);
            }
            if round % 2 == 1 {
                let machine = world.crash(if round == 1 { Crash::Kill } else { Crash::PowerLoss });
                world = open(machine, "/data").map_err(drop).expect("starts");
                world.all_records();
            }
            for earlier in 0..=round {
                let path = Path::new(SNAPSHOTS).join(format!("s{earlier}"));
                let snapshot = Snapshot::open(&world.machine.env(), &path).expect("a snapshot");
                snapshot.verify().unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}"));
            }
        }
    }
}

#[test]
fn readers_go_on_after_a_restore_and_skip_nothing() {
    let world = World::new_small(1);
    world.create("a", 1);
    world.call(register("a", "reader")).unwrap();
    let shard = "shardId-000000000000";
    let first = world.put_to("a", "k", b"1").unwrap().1;
    let before = world.iterator("a", shard, ShardIteratorType::TrimHorizon, None).unwrap();
    let input = ListStreamsInput { limit: Some(1), ..Default::default() };
    world.create("b", 1);
    let Ok(Output::ListStreams(page)) = world.call(Input::ListStreams(input)) else { panic!("a page") };
    world.snapshot("one").unwrap().unwrap();
    let lost: Vec<String> = (0..5).map(|_| world.put_to("a", "k", b"lost").unwrap().1).collect();
    let after = world.iterator("a", shard, ShardIteratorType::Latest, None).unwrap();
    world.machine.clock.advance(1_000);
    restore(&world.machine, "one", "/first").unwrap();
    let world = world.moved_to("/first");
    for iterator in [before, after] {
        assert_eq!(world.get(&iterator).unwrap_err().code, ErrorCode::ExpiredIteratorException);
    }
    let input = ListStreamsInput { next_token: page.next_token.map(Into::into), ..Default::default() };
    assert_eq!(world.error(Input::ListStreams(input)).code, ErrorCode::ExpiredNextTokenException);
    // A checkpoint that the restored service has never given out stands before all that it gives out.
    let new = world.put_to("a", "k", b"2").unwrap().1;
    for checkpoint in &lost {
        for kind in [ShardIteratorType::AfterSequenceNumber, ShardIteratorType::AtSequenceNumber] {
            let iterator = world.iterator("a", shard, kind, Some(checkpoint)).unwrap();
            assert_eq!(world.drain(iterator).iter().map(|seen| &seen.0).collect::<Vec<_>>(), [&new]);
        }
    }
    let all = world.iterator("a", shard, ShardIteratorType::TrimHorizon, None).unwrap();
    assert_eq!(world.drain(all.clone()).iter().map(|seen| &seen.0).collect::<Vec<_>>(), [&first, &new]);
    // Restored once more, of which the first restored service knows nothing.
    world.machine.clock.advance(1_000);
    restore(&world.machine, "one", "/second").unwrap();
    let world = world.moved_to("/second");
    assert_eq!(world.get(&all).unwrap_err().code, ErrorCode::ExpiredIteratorException);
    let newest = world.put_to("a", "k", b"3").unwrap().1;
    assert!(newest > new && new > *lost.last().unwrap());
    let iterator = world.iterator("a", shard, ShardIteratorType::AfterSequenceNumber, Some(&new)).unwrap();
    assert_eq!(world.drain(iterator).iter().map(|seen| &seen.0).collect::<Vec<_>>(), [&newest]);
}

#[test]
fn a_snapshot_that_is_not_whole_or_not_the_same_any_more_is_refused() {
    let world = World::new_small(2);
    world.create("a", 2);
    for n in 0..40 {
        world.put_to("a", &format!("k{n}"), &[7; 300]).unwrap();
    }
    let taken = world.snapshot("one").unwrap().unwrap();
    assert!(taken.copied_bytes < taken.bytes, "sealed segments are not copied");
    let (machine, path) = (&world.machine, Path::new(SNAPSHOTS).join("one"));
    let open = |path: &Path| Snapshot::open(&machine.env(), path).map(drop);
    assert!(matches!(open(Path::new("/nowhere")), Err(RestoreError::Missing(_))));
    assert!(matches!(open(Path::new("/data")), Err(RestoreError::Incomplete(_))));
    let mut files = vec![path.clone()];
    while let Some(dir) = files.iter().position(|f| machine.disk.list(f).is_ok()).map(|at| files.swap_remove(at)) {
        files.extend(machine.disk.list(&dir).unwrap().into_iter().map(|entry| dir.join(entry.name)));
    }
    assert_eq!(files.len(), taken.files + 1);
    let manifest = machine.disk.read_file(&path.join(MANIFEST)).unwrap();
    for file in &files {
        let length = machine.disk.read_file(file).unwrap().len();
        for at in [0, length / 2, length - 2] {
            machine.disk.flip(file, at);
            match restore(machine, "one", "/never") {
                Err(RestoreError::Damaged { path, .. }) => assert_eq!(path, *file),
                other => panic!("{}: {other:?}", file.display()),
            }
            machine.disk.flip(file, at);
        }
        assert!(!machine.disk.exists(Path::new("/never")));
    }
    // A file that is gone, and one that has grown.
    let keys = machine.disk.read_file(&path.join("keys")).unwrap();
    machine.disk.remove_file(&path.join("keys")).unwrap();
    assert!(matches!(restore(machine, "one", "/never"), Err(RestoreError::Damaged { .. })));
    machine.disk.write_file(&path.join("keys"), &[&keys[..], b"\n"].concat()).unwrap();
    assert!(matches!(restore(machine, "one", "/never"), Err(RestoreError::Damaged { .. })));
    machine.disk.write_file(&path.join("keys"), &keys).unwrap();
    let newer = String::from_utf8(manifest.clone()).unwrap().replace("\"version\":1", "\"version\":2");
    machine.disk.write_file(&path.join(MANIFEST), newer.as_bytes()).unwrap();
    assert!(matches!(restore(machine, "one", "/never"), Err(RestoreError::Newer { .. })));
    machine.disk.write_file(&path.join(MANIFEST), &manifest).unwrap();
    restore(machine, "one", "/restored").unwrap();
}

#[test]
fn one_snapshot_at_a_time_under_a_name_of_its_own() {
    let world = World::new_small(3);
    world.create("a", 1);
    for name in ["", ".", "..", "a/b", ".hidden", "a b", "x.partial", &"x".repeat(101)] {
        assert!(matches!(world.snapshot(name).unwrap(), Err(SnapshotError::Name(_))), "{name}");
    }
    let kinesis = Arc::clone(&world.kinesis);
    let mut first = pin!(kinesis.snapshot(Path::new(SNAPSHOTS), "one"));
    assert!(poll(first.as_mut()).is_pending());
    assert!(matches!(world.snapshot("two").unwrap(), Err(SnapshotError::Busy)));
    let taken = world.machine.block_on(first).unwrap().unwrap();
    assert_eq!((taken.streams, taken.path), (1, PathBuf::from("/snapshots/one")));
    assert!(matches!(world.snapshot("one").unwrap(), Err(SnapshotError::Exists(_))));
    // A call that nobody waits for any more leaves nothing that the next one does not remove.
    {
        let mut dropped = pin!(kinesis.snapshot(Path::new(SNAPSHOTS), "dropped"));
        for _ in 0..5 {
            assert!(poll(dropped.as_mut()).is_pending());
            world.machine.step();
        }
    }
    world.machine.settle();
    world.snapshot("two").unwrap().unwrap();
    let names: Vec<String> =
        world.machine.disk.list(Path::new(SNAPSHOTS)).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["LOCK", "one", "two"]);
}

#[test]
fn a_snapshot_for_which_there_is_no_room_leaves_nothing() {
    let world = World::new_small(4);
    world.create("a", 2);
    for n in 0..60 {
        world.put_to("a", &format!("k{n}"), &[7; 300]).unwrap();
    }
    world.machine.settle();
    let used = world.machine.disk.used();
    let mut left = 0;
    loop {
        world.machine.disk.set_capacity(world.machine.disk.used() + left);
        match world.snapshot("one").unwrap() {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, SnapshotError::Full), "{error}"),
        }
        assert_eq!(world.machine.disk.used(), used);
        left += 50_000;
    }
    assert!(left > 0);
    world.machine.disk.set_capacity(world.machine.disk.used());
    assert!(matches!(restore(&world.machine, "one", "/full"), Err(RestoreError::Full(_))));
    world.machine.disk.set_capacity(u64::MAX);
    restore(&world.machine, "one", "/restored").unwrap();
}
