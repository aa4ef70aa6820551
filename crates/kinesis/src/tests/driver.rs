//! What goes on without requests, and beside them.

use std::future::{Future, poll_fn};
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::*;
use crate::stream::Stream;

const HOUR: u64 = 60 * 60 * 1000;

fn stream(world: &World, name: &str) -> Arc<Stream> {
    Arc::clone(world.kinesis.streams().get("000000000000", "eu-central-1", name).expect("there"))
}

#[test]
fn a_slow_plan_holds_up_nothing_else() {
    let world = World::new(config());
    world.create("slow", 1);
    world.create("quick", 1);
    let slow = stream(&world, "slow");
    let driving = slow.driving.try_lock().expect("free");
    world.pass(500);
    assert_eq!(world.describe("slow").stream_status, StreamStatus::Creating);
    assert_eq!(world.describe("quick").stream_status, StreamStatus::Active);
    drop(driving);
    world.tick();
    assert_eq!(world.describe("slow").stream_status, StreamStatus::Active);
}

#[test]
fn streams_found_at_start_are_trimmed_soon() {
    let world = World::new(at_once());
    for name in ["a", "b", "c"] {
        world.create(name, 1);
        world.call(split(name, "0", HALF)).expect("split");
    }
    world.machine.clock.advance(25 * HOUR);
    let world = world.reopen();
    let now = world.kinesis.now();
    for stream in world.kinesis.streams().all() {
        let due = stream.trim_due.load(Ordering::Relaxed);
        assert!((now + 10_000..now + 70_000).contains(&due), "{due} is not soon after {now}");
    }
    assert_eq!(stream(&world, "a").view().record.shards.len(), 3);
    world.pass(70_000);
    assert_eq!(stream(&world, "a").view().record.shards.len(), 2);
}

#[test]
fn streams_found_at_start_are_trimmed_within_the_interval() {
    let world = World::new(KinesisConfig { retention_interval: Duration::from_secs(5), ..at_once() });
    world.create("s", 1);
    let world = world.reopen();
    assert_eq!(stream(&world, "s").trim_due.load(Ordering::Relaxed), world.kinesis.now() + 5_000);
}

#[test]
fn what_was_wrong_at_start_ends_with_the_stream() {
    let world = World::new(at_once());
    world.create("s", 1);
    let id = stream(&world, "s").log_id();
    world.machine.block_on(world.log.delete(&id)).expect("ends").expect("deleted");
    let world = world.reopen();
    let problems = world.kinesis.problems();
    let line = "stream arn:aws:kinesis:eu-central-1:000000000000:stream/s: its log is missing: ";
    assert!(problems.len() == 1 && problems[0].starts_with(line), "{problems:?}");
    // It is there: who is told that it is not would make another one.
    let put = PutRecordInput {
        stream_name: Some("s".into()),
        data: millstream_api::Blob::from_bytes(b"x"),
        partition_key: Some("k".into()),
        ..Default::default()
    };
    let start = GetShardIteratorInput {
        stream_name: Some("s".into()),
        shard_id: "shardId-000000000000".into(),
        shard_iterator_type: ShardIteratorType::TrimHorizon,
        ..Default::default()
    };
    assert_eq!(world.error(Input::PutRecord(put)).code, ErrorCode::InternalFailureException);
    assert_eq!(world.error(Input::GetShardIterator(start)).code, ErrorCode::InternalFailureException);
    world.call(delete("s")).expect("deleted");
    world.tick();
    assert_eq!(world.kinesis.problems(), Vec::<String>::new());
}

/// Polls the future at most that often and drops it then and there, before what it waits for has happened. Whether it
/// has ended.
fn abandon(world: &World, call: impl Future, polls: usize) -> bool {
    let (mut call, mut left) = (Box::pin(call), polls);
    let outcome = world.machine.block_on(poll_fn(|context| {
        left -= 1;
        match call.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }));
    outcome.expect("ends")
}

#[test]
fn a_client_that_goes_away_leaves_the_seconds_of_the_log_standing() {
    for on_disk in [false, true] {
        for polls in 1.. {
            let world = match on_disk {
                true => World::on_disk(machine(40), at_once()).unwrap_or_else(|_| panic!("starts")),
                false => World::new(at_once()),
            };
            world.create("s", 2);
            let has_ended = abandon(&world, world.kinesis.call(&world.context, scale("s", 3)), polls);
            world.pass(60_000);
            let stream = stream(&world, "s");
            let record = &stream.view_owned().record;
            assert_eq!(record.plan, None);
            let log = stream.log().expect("a log");
            let positions = world.machine.block_on(log.positions()).expect("ends").expect("positions");
            let noted: Vec<(u32, u64)> = positions.iter().filter_map(|(i, p)| Some((*i, p.closed?))).collect();
            let recorded: Vec<(u32, u64)> =
                record.shards.iter().filter_map(|s| Some((s.index, s.closed?.second))).collect();
            assert_eq!(noted, recorded, "after {polls} polls");
            let descriptor = world.machine.block_on(log.descriptor()).expect("ends").expect("a descriptor");
            let kept: serde_json::Value = serde_json::from_slice(&descriptor).expect("JSON");
            let kept: crate::state::StreamRecord = serde_json::from_value(kept["stream"].clone()).expect("a record");
            let kept: Vec<u64> = kept.shards.iter().map(|s| s.create_second).collect();
            let now: Vec<u64> = record.shards.iter().map(|s| s.create_second).collect();
            if !recorded.is_empty() {
                assert_eq!(kept, now, "after {polls} polls");
            }
            if has_ended {
                break;
            }
        }
    }
}
