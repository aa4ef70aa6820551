//! Data directories that earlier versions have written: those in `tests/fixtures`, with what they hold beside each.
//!
//! A fixture is never changed. Each released version adds one: `cargo test -p millstream-kinesis -- --ignored
//! write_the_fixture`.
#![allow(clippy::disallowed_methods)] // files of the repository

use std::collections::BTreeMap;

use millstream_catalog::verify;
use millstream_env::Disk;
use millstream_log::segment::{Durability, check};
use serde_json::{Value, json};

use super::snapshot::{small, unlimited};
use super::*;
use crate::rebuild::compare;
use crate::snapshot::DATA_FORMAT;

const EXPECTED: &str = "expected.json";

/// Where the fixtures are.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// The directory for that of this version.
fn new_fixture() -> PathBuf {
    let first_of_format = fixtures().join(format!("format-{DATA_FORMAT}"));
    if first_of_format.exists() {
        fixtures().join(format!("format-{DATA_FORMAT}-{}", env!("CARGO_PKG_VERSION")))
    } else {
        first_of_format
    }
}

/// The names that files of a data directory have in these tests, and in a fixture.
const NAMES: [(&str, &str); 2] = [("/data/catalog", "catalog.redb"), ("/data/tokens", "keys")];

fn serve(machine: SimEnv, segments: SegmentConfig, delay: Duration) -> World {
    let config = KinesisConfig { transition_delay: delay, ..unlimited("/data") };
    World::on_segments(machine, config, segments).map_err(drop).expect("starts")
}

/// What a reader and an operator see of everything.
fn seen(world: &World) -> Value {
    let mut streams = serde_json::Map::new();
    for stream in Arc::clone(&world.kinesis.streams()).all() {
        let name = stream.address.name.to_string();
        streams.insert(name.clone(), stream_seen(world, &name));
    }
    json!({ "streams": streams })
}

fn stream_seen(world: &World, name: &str) -> Value {
    let summary = world.summary(name);
    let mut shards = serde_json::Map::new();
    for shard in world.describe(name).shards {
        let iterator =
            world.iterator(name, &shard.shard_id, ShardIteratorType::TrimHorizon, None).expect("an iterator");
        let (mut records, mut next) = (Vec::new(), Some(iterator));
        while let Some(iterator) = next {
            let page = world.get(&iterator).expect("a page");
            next = page.next_shard_iterator.filter(|_| !page.records.is_empty());
            records.extend(page.records.into_iter().map(|record| {
                let time = record.approximate_arrival_timestamp.expect("a time").0;
                let data = String::from_utf8(record.data.to_vec()).expect("text");
                json!([record.sequence_number, time, record.partition_key, data])
            }));
        }
        let seen = json!({
            "hashKeys": [shard.hash_key_range.starting_hash_key, shard.hash_key_range.ending_hash_key],
            "numbers": [
                shard.sequence_number_range.starting_sequence_number,
                shard.sequence_number_range.ending_sequence_number,
            ],
            "parents": [shard.parent_shard_id, shard.adjacent_parent_shard_id],
            "records": records,
        });
        shards.insert(shard.shard_id, seen);
    }
    json!({
        "status": summary.stream_status.as_str(),
        "mode": summary.stream_mode_details.expect("a mode").stream_mode.as_str(),
        "created": summary.stream_creation_timestamp.0,
        "retentionHours": summary.retention_period_hours,
        "openShards": summary.open_shard_count,
        "maxRecordKib": summary.max_record_size_in_kib,
        "tags": tags(world, name),
        "consumers": consumers(world, name),
        "policy": policy(world, name),
        "shards": shards,
    })
}

fn tags(world: &World, name: &str) -> BTreeMap<String, String> {
    let input = ListTagsForStreamInput { stream_name: Some(name.into()), ..Default::default() };
    match world.call(Input::ListTagsForStream(input)) {
        Ok(Output::ListTagsForStream(output)) => {
            output.tags.into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default())).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn consumers(world: &World, name: &str) -> Vec<Value> {
    let input = ListStreamConsumersInput { stream_arn: arn(name).into(), ..Default::default() };
    match world.call(Input::ListStreamConsumers(input)) {
        Ok(Output::ListStreamConsumers(output)) => {
            let seen = |c: Consumer| json!([c.consumer_name, c.consumer_arn, c.consumer_status.as_str()]);
            output.consumers.unwrap_or_default().into_iter().map(seen).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn policy(world: &World, name: &str) -> String {
    let input = GetResourcePolicyInput { resource_arn: arn(name).into(), ..Default::default() };
    match world.call(Input::GetResourcePolicy(input)) {
        Ok(Output::GetResourcePolicy(output)) => output.policy,
        other => panic!("{other:?}"),
    }
}

fn put(world: &World, stream: &str, count: usize, what: &str) {
    for n in 0..count {
        world.machine.clock.advance(7);
        let data = format!("{what} {n} {}", "-".repeat(n * 37 % 300));
        world.put_to(stream, &format!("key {n}"), data.as_bytes()).expect("put");
        world.machine.settle();
    }
}

/// A machine on which a service has lived through something of everything, and was killed.
fn history() -> SimEnv {
    let second = Duration::from_secs(1);
    let world = serve(machine(1), small("/data"), Duration::ZERO);
    world.create("orders", 2);
    world.create("gone", 1);
    put(&world, "orders", 40, "first");
    world.call(split("orders", "shardId-000000000000", "99")).expect("split");
    put(&world, "orders", 40, "split");
    world.call(merge("orders", "shardId-000000000003", "shardId-000000000001")).expect("merged");
    world.call(retain_longer("orders", 48)).expect("kept longer");
    world.call(register("orders", "billing")).expect("registered");
    world.call(register("orders", "search")).expect("registered");
    let tags = BTreeMap::from([("team".into(), "shop".into()), ("empty".into(), "".into())]);
    let input = AddTagsToStreamInput { stream_name: Some("orders".into()), tags, ..Default::default() };
    world.call(Input::AddTagsToStream(input)).expect("tagged");
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"a","Effect":"Allow","Principal":{{"AWS":"111122223333"}},"Action":"kinesis:GetRecords","Resource":"{}"}}]}}"#,
        arn("orders")
    );
    let input =
        PutResourcePolicyInput { resource_arn: arn("orders").into(), policy: policy.into(), ..Default::default() };
    world.call(Input::PutResourcePolicy(input)).expect("a policy");
    let before = world.kinesis.now() - 7 * 60;
    let log = world.kinesis.streams().get("000000000000", "eu-central-1", "orders").expect("a stream").log().cloned();
    world.machine.block_on(log.expect("a log").trim(before, world.log.epoch())).expect("ends").expect("trimmed");
    put(&world, "orders", 10, "merged");
    world.call(create_on_demand("elastic")).expect("made");
    put(&world, "elastic", 12, "elastic");
    world.call(delete("gone")).expect("deleted");
    for _ in 0..4 {
        world.pass(1_000);
    }
    world.machine.block_on(world.kinesis.close()).expect("closes");
    // In relaxed mode, and a change that is under way when the end comes.
    let machine = world.crash(Crash::Kill);
    let relaxed = SegmentConfig { durability: Durability::Relaxed(second), ..small("/data") };
    let world = serve(machine, relaxed, Duration::ZERO);
    put(&world, "orders", 5, "relaxed");
    world.machine.block_on(world.kinesis.close()).expect("closes");
    let machine = world.crash(Crash::Kill);
    let world = serve(machine, small("/data"), second);
    put(&world, "orders", 3, "last");
    world.create("to-be", 1);
    world.call(scale("elastic", 5)).expect_err("on-demand streams scale themselves");
    world.call(split("orders", "shardId-000000000002", "9")).expect("split");
    world.crash(Crash::Kill)
}

#[test]
#[ignore = "writes the fixture of this version, once"]
fn write_the_fixture() {
    let to = new_fixture();
    assert!(!to.exists(), "a fixture is never changed");
    let machine = history();
    let mut left = vec![PathBuf::from("/data")];
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, bytes).expect("written");
    };
    while let Some(dir) = left.pop() {
        for entry in machine.disk.list(&dir).expect("a directory") {
            let path = dir.join(entry.name);
            if entry.is_dir {
                left.push(path);
                continue;
            }
            let bytes = machine.disk.read_file(&path).expect("a file");
            let name = NAMES.iter().find(|(here, _)| Path::new(here) == path).map(|(_, there)| PathBuf::from(there));
            let name = name.unwrap_or_else(|| path.strip_prefix("/data").expect("within").to_path_buf());
            write(&to.join("data").join(name), &bytes);
        }
    }
    write(&to.join("data/format"), format!("millstream-data {DATA_FORMAT}\n").as_bytes());
    let world = serve(machine, small("/data"), Duration::ZERO);
    let iterator = world.iterator("orders", "shardId-000000000000", ShardIteratorType::TrimHorizon, None);
    settle(&world);
    let mut expected = seen(&world);
    expected["iterator"] = json!(iterator.expect("an iterator"));
    write(&to.join(EXPECTED), format!("{expected:#}\n").as_bytes());
}

fn settle(world: &World) {
    for _ in 0..4 {
        world.pass(1_100);
    }
}

/// A machine with a fixture's data directory.
fn load(from: &Path) -> SimEnv {
    let machine = machine(2);
    let mut left = vec![from.join("data")];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(from.join("data")).expect("within");
            let here = NAMES.iter().find(|(_, there)| Path::new(there) == name).map(|(here, _)| PathBuf::from(here));
            let here = here.unwrap_or_else(|| Path::new("/data").join(name));
            machine.disk.create_dir_all(here.parent().expect("a directory")).expect("made");
            machine.disk.write_file(&here, &std::fs::read(&path).expect("a file")).expect("written");
        }
    }
    machine
}

#[test]
fn what_earlier_versions_have_written_is_still_read() {
    let all = std::fs::read_dir(fixtures()).expect("fixtures").map(|entry| entry.expect("an entry").path());
    let all: Vec<PathBuf> = all.collect();
    assert!(all.contains(&fixtures().join(format!("format-{DATA_FORMAT}"))), "a fixture of the present format");
    for from in all {
        let format = from.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(from.join(EXPECTED)).expect("what it holds");
        let expected: Value = serde_json::from_str(&text).expect("JSON");
        let machine = load(&from);
        let env = machine.env();
        let report = check(&env, Path::new("/data/log"), false).expect("read");
        assert_eq!((report.problems, report.logs >= 2, report.segments > 8), (Vec::new(), true, true), "{format}");
        verify(&env, Path::new("/data/catalog")).expect("sound");
        let world = serve(machine, small("/data"), Duration::ZERO);
        settle(&world);
        assert_eq!(world.kinesis.problems(), Vec::<String>::new(), "{format}");
        let catalog = Arc::clone(&world.kinesis.catalog);
        assert_eq!(compare(&*world.log, &catalog).expect("read"), Vec::<String>::new());
        let found = seen(&world);
        let streams = expected["streams"].as_object().expect("streams");
        assert_eq!(streams.len(), found["streams"].as_object().expect("streams").len(), "{format}");
        for (name, stream) in streams {
            for (what, value) in stream.as_object().expect("a stream") {
                assert_eq!(&found["streams"][name][what], value, "{format}: {name}: {what}");
            }
        }
        // The keys as well: an old iterator is known as one of ours.
        world.machine.clock.advance(600_000);
        let old = world.get(expected["iterator"].as_str().expect("an iterator")).expect_err("too old");
        assert_eq!(old.code, ErrorCode::ExpiredIteratorException, "{format}");
        // And it goes on.
        for name in streams.keys() {
            world.put_to(name, "key", b"goes on").expect("put");
        }
    }
}
