//! A reset: whatever state streams are in, they are gone after it, also over a crash on its way.

use std::future::Future;
use std::pin::pin;
use std::task::{self, Poll, Waker};

use super::*;
use crate::Worlds;

fn everywhere() -> Worlds {
    Worlds::default()
}

fn names(world: &World) -> Vec<String> {
    match world.call(Input::ListStreams(ListStreamsInput::default())) {
        Ok(Output::ListStreams(output)) => output.stream_names,
        other => panic!("{other:?}"),
    }
}

fn reset(world: &World, worlds: &Worlds) -> usize {
    world.machine.block_on(world.kinesis.reset(worlds)).expect("an end").expect("a reset")
}

#[test]
fn streams_in_every_state_are_gone_with_their_logs() {
    let world = World::on_disk(machine(1), config()).unwrap_or_else(|_| panic!("starts"));
    for name in ["active", "updating", "deleting"] {
        world.create(name, 2);
    }
    world.pass(500);
    world.call(split("updating", "shardId-000000000000", "5")).expect("a split under way");
    world.call(delete("deleting")).expect("a deletion under way");
    world.create("creating", 1);
    assert_eq!(reset(&world, &everywhere()), 4);
    assert_eq!(names(&world), Vec::<String>::new());
    assert_eq!(world.log.list(), Vec::new());
    // Plans that were under way are forgotten, and names are free at once.
    world.pass(10_000);
    assert_eq!(names(&world), Vec::<String>::new());
    assert_eq!(world.kinesis.problems(), Vec::<String>::new());
    world.create("updating", 1);
    world.pass(500);
    assert_eq!(world.describe("updating").shards.len(), 1);
}

/// A request that was dropped leaves a removal behind that nobody waits for, and the next attempt may come after it.
#[test]
fn a_removal_that_comes_late_leaves_the_next_stream_of_the_name_alone() {
    let world = World::new(at_once());
    world.create("s", 1);
    let first = world.kinesis.streams().get("000000000000", "eu-central-1", "s").map(Arc::clone).expect("there");
    world.call(delete("s")).expect("a deletion");
    world.create("s", 2);
    let late = world.kinesis.remove(std::slice::from_ref(&first));
    world.machine.block_on(late).expect("an end").expect("nothing to do");
    assert_eq!(world.reopen().describe("s").shards.len(), 2);
}

#[test]
fn only_the_worlds_that_are_named_are_emptied() {
    let mut world = World::new(at_once());
    let (here, elsewhere) = (context("000000000000", "eu-central-1"), context("111111111111", "us-east-1"));
    for context in [&here, &elsewhere] {
        world.context = context.clone();
        world.create("s", 1);
    }
    let only = |account: Option<&str>, region: Option<&str>| Worlds {
        account: account.map(str::to_owned),
        region: region.map(str::to_owned),
    };
    assert_eq!(reset(&world, &only(Some("111111111111"), Some("eu-central-1"))), 0);
    assert_eq!(reset(&world, &only(Some("111111111111"), None)), 1);
    assert_eq!(names(&world), Vec::<String>::new());
    world.context = here;
    assert_eq!(names(&world), ["s"]);
    assert_eq!(reset(&world, &only(None, Some("eu-central-1"))), 1);
    assert_eq!(names(&world), Vec::<String>::new());
}

#[test]
fn what_was_counted_is_forgotten() {
    let limits = Limits::aws();
    let world = World::new(KinesisConfig { limits, ..at_once() });
    let burst = |world: &World| (0..20).filter(|_| world.call(describe("none")).is_err_and(is_throttle)).count();
    assert!(burst(&world) > 0);
    assert!(burst(&world) == 20);
    reset(&world, &everywhere());
    assert!(burst(&world) < 20);
}

fn is_throttle(error: Error) -> bool {
    error.code == ErrorCode::LimitExceededException
}

#[test]
fn numbers_of_a_new_stream_are_later_than_those_of_one_that_was_reset() {
    let world = World::new(at_once());
    let put = |world: &World| {
        let input =
            PutRecordInput { stream_name: Some("s".into()), partition_key: Some("k".into()), ..Default::default() };
        match world.call(Input::PutRecord(input)) {
            Ok(Output::PutRecord(output)) => output.sequence_number,
            other => panic!("{other:?}"),
        }
    };
    world.create("s", 1);
    let before = put(&world);
    reset(&world, &everywhere());
    world.create("s", 1);
    assert!(before < put(&world));
}

/// The machine loses power at every point of a reset in turn.
#[test]
fn a_crash_on_the_way_leaves_streams_whole_or_deleting() {
    let mut ended = false;
    for steps in 0.. {
        if ended {
            break;
        }
        let world = World::on_disk(machine(steps), at_once()).unwrap_or_else(|_| panic!("starts"));
        for name in ["a", "b", "c"] {
            world.create(name, 2);
        }
        ended = {
            let everywhere = everywhere();
            let mut reset = pin!(world.kinesis.reset(&everywhere));
            let mut ended = false;
            for _ in 0..=steps {
                if let Poll::Ready(result) = reset.as_mut().poll(&mut task::Context::from_waker(Waker::noop())) {
                    result.expect("a reset");
                    ended = true;
                    break;
                }
                world.machine.step();
            }
            ended
        };
        let machine = world.crash(Crash::PowerLoss);
        let world = World::on_disk(machine, at_once()).unwrap_or_else(|_| panic!("starts again"));
        world.tick();
        let left = names(&world);
        assert!(left.is_empty() || left == ["a", "b", "c"] && !ended, "after {steps} steps: {left:?}");
        assert_eq!(world.log.list().len(), left.len());
        assert_eq!(world.kinesis.problems(), Vec::<String>::new());
    }
}
