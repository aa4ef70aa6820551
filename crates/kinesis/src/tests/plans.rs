use millstream_log::memory::Fault;

use super::*;

fn memory_world() -> (World, Arc<MemoryLog>) {
    let machine = machine(2);
    let log = MemoryLog::new(machine.env());
    let config = config();
    let shared: Arc<dyn Log> = Arc::clone(&log) as _;
    let kinesis = start(&machine, &shared, &config).expect("starts");
    (World { machine, kinesis, log: shared, context: context("000000000000", "eu-central-1"), config }, log)
}

#[test]
fn a_plan_that_fails_is_reported_and_tried_again() {
    let (world, log) = memory_world();
    world.create("s", 1);
    world.pass(500);
    world.call(split("s", "0", HALF)).expect("accepted");
    log.inject(Fault::DiskFull);
    world.pass(500);
    assert_eq!(world.describe("s").stream_status, StreamStatus::Updating);
    assert!(world.kinesis.problems().iter().any(|p| p.contains("the disk is full")), "{:?}", world.kinesis.problems());
    world.pass(1_000);
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    assert_eq!(world.kinesis.problems(), Vec::<String>::new());
}

#[test]
fn a_decision_whose_answer_was_lost_is_found_in_the_log() {
    for fault in [Fault::UnknownWritten, Fault::UnknownLost] {
        let (world, log) = memory_world();
        world.create("s", 2);
        world.pass(500);
        world.call(scale("s", 3)).expect("accepted");
        log.inject(fault);
        world.pass(500);
        assert_eq!(world.describe("s").stream_status, StreamStatus::Updating);
        // The seconds of the children follow from the closing that the log has kept, not from the clock now.
        world.pass(60_000);
        assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
        let stream = Arc::clone(world.kinesis.streams().get("000000000000", "eu-central-1", "s").expect("there"));
        let log = stream.log().expect("a log");
        let positions = world.machine.block_on(log.positions()).expect("ends").expect("positions");
        let noted: Vec<(u32, u64)> = positions.iter().filter_map(|(i, p)| Some((*i, p.closed?))).collect();
        let record = &stream.view_owned().record;
        let recorded: Vec<(u32, u64)> =
            record.shards.iter().filter_map(|s| Some((s.index, s.closed?.second))).collect();
        assert_eq!(noted, recorded, "{fault:?}");
    }
}

#[test]
fn whoever_waits_for_new_shards_is_woken() {
    let (world, log) = memory_world();
    world.create("s", 1);
    world.pass(500);
    let stream = Arc::clone(world.kinesis.streams().get("000000000000", "eu-central-1", "s").expect("there"));
    world.call(split("s", "0", HALF)).expect("accepted");
    log.inject(Fault::DiskFull);
    let mut waiting = Box::pin(stream.shows_closed(0));
    let mut poll = || {
        use std::future::Future;
        waiting.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    };
    assert!(!poll());
    world.call(register("s", "c")).expect("registered");
    assert!(!poll(), "another change of the stream is not what it waits for");
    world.pass(500);
    assert!(poll(), "a failure is news too");
    world.pass(1_000);
    world.machine.block_on(stream.shows_closed(0)).expect("the view is there already");
}

/// A removal announces itself once: whoever comes after it must not wait for a second time.
#[test]
fn nobody_waits_for_new_shards_of_a_stream_that_is_gone() {
    let world = World::new(at_once());
    world.create("s", 1);
    let stream = Arc::clone(world.kinesis.streams().get("000000000000", "eu-central-1", "s").expect("there"));
    world.call(delete("s")).expect("a deletion");
    let waiting = std::pin::pin!(stream.shows_closed(0));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::future::Future::poll(waiting, &mut context).is_ready());
}

#[test]
fn two_drivers_do_no_harm() {
    let world = World::new(config());
    world.create("s", 1);
    world.machine.clock.advance(500);
    let both = async {
        let (mut a, mut b) = (Box::pin(world.kinesis.tick()), Box::pin(world.kinesis.tick()));
        let (mut a_done, mut b_done) = (false, false);
        std::future::poll_fn(|cx| {
            use std::future::Future;
            a_done = a_done || a.as_mut().poll(cx).is_ready();
            b_done = b_done || b.as_mut().poll(cx).is_ready();
            if a_done && b_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    };
    world.machine.block_on(both).expect("ends");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    assert_eq!(world.kinesis.problems(), Vec::<String>::new());
}

#[test]
fn the_service_starts_over_the_segment_engine_too() {
    let machine = machine(3);
    let world = World::on_disk(machine, at_once()).unwrap_or_else(|_| panic!("starts"));
    world.create("s", 1);
    world.call(split("s", "0", HALF)).expect("split");
    let before = world.describe("s");
    world.machine.block_on(world.kinesis.close()).expect("closes");
    let machine = world.crash(Crash::PowerLoss);
    let world = World::on_disk(machine, at_once()).unwrap_or_else(|_| panic!("starts"));
    assert_eq!(world.describe("s"), before);
}
