//! Domain time as tests move it: what waits for it, and what a restart makes of it.

use millstream_env::{ClockState, Rate};

use super::*;
use crate::{ClockReading, OpenError};

const HOUR: u64 = 3_600_000;

fn for_tests(config: KinesisConfig) -> KinesisConfig {
    KinesisConfig { virtual_clock: true, ..config }
}

fn advance(world: &World, ms: u64) -> ClockReading {
    world.machine.block_on(world.kinesis.move_clock(ms, None)).expect("an end").expect("a step")
}

fn rate(world: &World, times: u64) -> ClockReading {
    let rate = Rate::from_thousandths(times * 1000);
    world.machine.block_on(world.kinesis.move_clock(0, rate)).expect("an end").expect("a rate")
}

#[test]
fn a_step_ends_transitions_before_it_is_answered() {
    let world = World::new(for_tests(config()));
    world.create("s", 1);
    assert_eq!(world.summary("s").stream_status, StreamStatus::Creating);
    let before = world.kinesis.clock();
    let after = advance(&world, 500);
    assert_eq!((after.now_ms, after.ahead_ms), (before.now_ms + 500, 500));
    assert_eq!(world.summary("s").stream_status, StreamStatus::Active);
}

#[test]
fn a_rate_shortens_the_way_to_what_is_due() {
    let world = World::new(for_tests(config()));
    world.create("s", 1);
    assert_eq!(world.kinesis.until_next_due(), Some(Duration::from_millis(500)));
    rate(&world, 50);
    assert_eq!(world.kinesis.until_next_due(), Some(Duration::from_millis(10)));
    world.pass(10);
    assert_eq!(world.summary("s").stream_status, StreamStatus::Active);
}

#[test]
fn quotas_per_day_are_refilled_by_a_step() {
    let world = World::new(for_tests(at_once()));
    world.create("s", 1);
    for target in [2, 1, 2, 1, 2, 1, 2, 1, 2, 1] {
        world.call(scale("s", target)).expect("within the quota");
    }
    assert_eq!(world.error(scale("s", 2)).code, ErrorCode::LimitExceededException);
    advance(&world, 24 * HOUR);
    world.call(scale("s", 2)).expect("a new day");
}

#[test]
fn a_restart_goes_on_from_a_step_and_trusts_the_clock() {
    for how in [Crash::Kill, Crash::PowerLoss] {
        let world = World::on_disk(machine(1), for_tests(at_once())).unwrap_or_else(|_| panic!("starts"));
        world.create("s", 1);
        let before = advance(&world, 1_000 * HOUR);
        let machine = world.crash(how);
        machine.clock.advance(1_000);
        let world = World::on_disk(machine, for_tests(at_once())).unwrap_or_else(|_| panic!("starts again"));
        let after = world.kinesis.clock();
        assert_eq!((after.now_ms, after.ahead_ms), (before.now_ms + 1_000, before.ahead_ms));
        assert_eq!(world.machine.env().clock.state(), ClockState::Trusted);
    }
}

#[test]
fn time_does_not_go_back_over_a_crash_at_any_rate() {
    for times in [1, 60, 3_600, 86_400] {
        let world = World::on_disk(machine(1), for_tests(at_once())).unwrap_or_else(|_| panic!("starts"));
        rate(&world, times);
        for _ in 0..50 {
            world.pass(250);
        }
        let before = world.kinesis.clock().now_ms;
        let machine = world.crash(Crash::PowerLoss);
        let world = World::on_disk(machine, for_tests(at_once())).unwrap_or_else(|_| panic!("starts again"));
        let after = world.kinesis.clock();
        assert!(after.now_ms >= before, "at {times}: {} ms back", before - after.now_ms);
        assert_eq!(after.rate, Rate::REAL);
    }
}

#[test]
fn a_request_that_is_dropped_leaves_the_rate_as_it_was() {
    let world = World::on_disk(machine(1), for_tests(at_once())).unwrap_or_else(|_| panic!("starts"));
    rate(&world, 60);
    {
        let dropped = std::pin::pin!(world.kinesis.move_clock(HOUR, Some(Rate::REAL)));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::future::Future::poll(dropped, &mut context).is_pending());
    }
    assert_eq!(world.kinesis.clock().rate.thousandths(), 60_000);
    // The stamp of that request, written or not, is followed by one that knows of the rate.
    for _ in 0..2 {
        world.pass(4_000);
    }
    let before = world.kinesis.clock().now_ms;
    let machine = world.crash(Crash::PowerLoss);
    let world = World::on_disk(machine, for_tests(at_once())).unwrap_or_else(|_| panic!("starts again"));
    assert!(world.kinesis.clock().now_ms >= before);
}

#[test]
fn a_clean_stop_keeps_time_exactly() {
    let world = World::on_disk(machine(1), for_tests(at_once())).unwrap_or_else(|_| panic!("starts"));
    rate(&world, 3_600);
    world.pass(1_000);
    let before = world.kinesis.clock();
    world.machine.block_on(world.kinesis.close());
    let machine = world.crash(Crash::Kill);
    let world = World::on_disk(machine, for_tests(at_once())).unwrap_or_else(|_| panic!("starts again"));
    assert_eq!(world.kinesis.clock(), ClockReading { rate: Rate::REAL, ..before });
}

#[test]
fn only_a_server_for_tests_takes_over_a_clock_that_was_moved() {
    let world = World::on_disk(machine(1), for_tests(at_once())).unwrap_or_else(|_| panic!("starts"));
    advance(&world, 25 * HOUR);
    let machine = world.crash(Crash::Kill);
    let log = SegmentEngine::open(machine.env(), SegmentConfig::new("/data/log")).expect("a log");
    let catalog = Catalog::open(&machine.env(), Path::new("/data/catalog")).expect("a catalog");
    let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(NoMeter) };
    let refused = Kinesis::open(machine.env(), log, catalog, at_once(), hooks);
    assert!(matches!(refused.err(), Some(OpenError::VirtualClock { ahead_seconds: 90_000 })));
}

#[test]
fn a_step_wakes_subscriptions_whose_time_is_over() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context as Task, Poll, Wake, Waker};
    #[derive(Default)]
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let world = World::new(for_tests(at_once()));
    world.create("s", 1);
    let Ok(Output::RegisterStreamConsumer(registered)) = world.call(register("s", "c")) else { panic!("registered") };
    let subscribe = Input::SubscribeToShard(SubscribeToShardInput {
        consumer_arn: registered.consumer.consumer_arn.into(),
        shard_id: "0".into(),
        starting_position: StartingPosition { r#type: ShardIteratorType::Latest, ..Default::default() },
        ..Default::default()
    });
    let Ok(Output::SubscribeToShard(mut subscribed)) = world.call(subscribe) else { panic!("subscribed") };
    let first = world.machine.block_on(subscribed.event_stream.next_event());
    assert!(matches!(first, Some(Some(SubscribeToShardEventStream::SubscribeToShardEvent(_)))), "{first:?}");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut waiting = subscribed.event_stream.next_event();
    assert!(waiting.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
    advance(&world, 300_000);
    assert!(woken.0.load(Ordering::Relaxed), "no heartbeat is waited for");
    assert!(matches!(waiting.as_mut().poll(&mut Task::from_waker(&waker)), Poll::Ready(None)));
}

#[test]
fn a_leap_of_the_machines_clock_costs_no_record_over_any_number_of_restarts() {
    let put = PutRecordInput {
        stream_name: Some("s".into()),
        partition_key: Some("k".into()),
        data: millstream_api::Blob::from_bytes(b"kept"),
        ..Default::default()
    };
    let seek = GetShardIteratorInput {
        stream_name: Some("s".into()),
        shard_id: "0".into(),
        shard_iterator_type: ShardIteratorType::TrimHorizon,
        ..Default::default()
    };
    let records = |world: &World| {
        let Ok(Output::GetShardIterator(found)) = world.call(Input::GetShardIterator(seek.clone())) else {
            panic!("an iterator")
        };
        let iterator = found.shard_iterator.expect("an iterator").into();
        let page = GetRecordsInput { shard_iterator: iterator, ..Default::default() };
        match world.call(Input::GetRecords(page)) {
            Ok(Output::GetRecords(page)) => page.records.len(),
            other => panic!("{other:?}"),
        }
    };
    let mut world = World::on_disk(machine(1), at_once()).unwrap_or_else(|_| panic!("starts"));
    world.create("s", 1);
    world.call(Input::PutRecord(put)).expect("put");
    let days = 24 * HOUR as i64;
    // Wrong, wrong again, put right, and right again; every time long enough for retention to be enforced.
    for step in [400 * days, 0, -400 * days + HOUR as i64, 0] {
        let machine = world.crash(Crash::Kill);
        machine.clock.step_wall(step);
        world = World::on_disk(machine, at_once()).unwrap_or_else(|_| panic!("starts again"));
        world.pass(80_000);
        assert_eq!(records(&world), 1, "after a step by {step} ms");
    }
    for _ in 0..25 {
        world.pass(HOUR);
    }
    assert_eq!(records(&world), 0, "it is due by now");
}
