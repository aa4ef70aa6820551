//! Random control-plane calls over the segment engine and the catalog on one simulated disk, with a crash at any I/O
//! operation: afterwards every plan comes to its end, catalog and log agree, and what was acknowledged holds.

use std::collections::{BTreeMap, BTreeSet};

use millstream_log::{Batch, RecordKeys};

use super::*;
use crate::state::{Mode, Status};

const NAMES: [&str; 2] = ["a", "b"];
const ACCOUNT: &str = "000000000000";
const REGION: &str = "eu-central-1";

/// What a client can say of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    open: usize,
    hours: u32,
    mode: Mode,
}

#[derive(Default)]
struct Model {
    /// What each stream may be: one thing, or two after a call whose outcome is not known.
    streams: BTreeMap<&'static str, Vec<Option<Known>>>,
    /// Records acknowledged, by incarnation and shard.
    records: BTreeMap<(u64, u32), u64>,
    /// Shard number and create second of every shard that was ever seen, with its stream's incarnation.
    born: BTreeMap<(&'static str, u32, u64), u64>,
}

fn config_without_quotas() -> KinesisConfig {
    KinesisConfig { limits: Limits::none(), ..at_once() }
}

fn known(world: &World, name: &str) -> Option<Known> {
    let streams = world.kinesis.streams();
    let record = &streams.get(ACCOUNT, REGION, name)?.view_owned().record;
    Some(Known { open: record.open_count(), hours: record.retention_hours, mode: record.mode })
}

/// A random call that is valid now, and what it leads to.
fn draw(world: &World, name: &'static str) -> (Input<'static>, Option<Known>) {
    let pick = world.machine.below(8);
    let Some(now) = known(world, name) else {
        let shards = 1 + world.machine.below(3) as i32;
        return (create(name, shards), Some(Known { open: shards as usize, hours: 24, mode: Mode::Provisioned }));
    };
    let streams = world.kinesis.streams();
    let Some(stream) = streams.get(ACCOUNT, REGION, name) else { return (delete(name), None) };
    let view = stream.view_owned();
    let mut open: Vec<_> = view.record.open_shards().map(|s| (s.range, s.index)).collect();
    open.sort_by_key(|(range, _)| range.start);
    if now.mode == Mode::OnDemand {
        return (switch(name, StreamMode::Provisioned), Some(Known { mode: Mode::Provisioned, ..now }));
    }
    match pick {
        0 => (delete(name), None),
        1 if now.open > 1 => {
            let at = world.machine.below(now.open as u64 - 1) as usize;
            let input = MergeShardsInput {
                stream_name: Some(name.into()),
                shard_to_merge: open[at].1.to_string().into(),
                adjacent_shard_to_merge: open[at + 1].1.to_string().into(),
                ..Default::default()
            };
            (Input::MergeShards(input), Some(Known { open: now.open - 1, ..now }))
        }
        2 if now.open < 6 => {
            let target = 1 + world.machine.below(5) as usize;
            (scale(name, target as i32), Some(Known { open: target, ..now }))
        }
        3 => (retain_longer(name, now.hours as i32 + 1), Some(Known { hours: now.hours + 1, ..now })),
        4 if now.hours > 24 => (retain_shorter(name, 24), Some(Known { hours: 24, ..now })),
        5 => (switch(name, StreamMode::OnDemand), Some(Known { mode: Mode::OnDemand, ..now })),
        _ => {
            let (range, index) = open[world.machine.below(open.len() as u64) as usize];
            let input = SplitShardInput {
                stream_name: Some(name.into()),
                shard_to_split: index.to_string().into(),
                new_starting_hash_key: (range.start + (range.end - range.start) / 2 + 1).to_string().into(),
                ..Default::default()
            };
            (Input::SplitShard(input), Some(Known { open: now.open + 1, ..now }))
        }
    }
}

/// Puts a record straight into the log, on one of the open shards.
fn put(world: &World, model: &mut Model, name: &str) {
    let streams = world.kinesis.streams();
    let Some(stream) = streams.get(ACCOUNT, REGION, name) else { return };
    let (Some(log), Some(shard)) = (stream.log(), stream.view().routes.shards().first().copied()) else { return };
    let mut batch = Batch::new();
    batch.push(shard, RecordKeys::default(), b"a record");
    if let Some(Ok(_)) = world.machine.block_on(log.append(batch, world.log.epoch())) {
        *model.records.entry((stream.incarnation, shard)).or_default() += 1;
    }
}

/// Random calls until the machine crashes, or enough were made.
fn run(world: &World, model: &mut Model) {
    for _ in 0..12 {
        let name = NAMES[world.machine.below(2) as usize];
        put(world, model, name);
        let before = known(world, name);
        let (input, after) = draw(world, name);
        let operation = input.operation();
        match world.try_call(input) {
            // The plan itself may still be under way.
            Some(Ok(_)) => {
                model.streams.insert(name, vec![after]);
            }
            Some(Err(e)) if e.code == ErrorCode::InternalFailure => {
                model.streams.insert(name, vec![before, after]);
            }
            Some(Err(e)) => panic!("{} on {name}: {e}", operation.name()),
            None => {
                model.streams.insert(name, vec![before, after]);
            }
        }
        if world.machine.disk.has_crashed() {
            return;
        }
    }
}

/// Brings every plan to its end and checks all that must be true then.
fn check(world: &World, model: &mut Model, what: &str) {
    for _ in 0..4 {
        world.pass(1_100);
    }
    assert_eq!(world.kinesis.problems(), Vec::<String>::new(), "{what}");
    let streams = Arc::clone(&world.kinesis.streams());
    let logs: BTreeSet<u64> = world.log.list().iter().map(|id| id.incarnation).collect();
    assert_eq!(streams.all().iter().map(|s| s.incarnation).collect::<BTreeSet<_>>(), logs, "{what}");
    for name in NAMES {
        let now = known(world, name);
        let allowed = model.streams.entry(name).or_insert_with(|| vec![None]);
        assert!(allowed.contains(&now), "{what}: stream {name} is {now:?}, not one of {allowed:?}");
        *allowed = vec![now];
        let Some(stream) = streams.get(ACCOUNT, REGION, name) else { continue };
        let record = &stream.view_owned().record;
        assert_eq!((record.status, &record.plan), (Status::Active, &None), "{what}");
        let mut open: Vec<_> = record.open_shards().map(|s| s.range).collect();
        open.sort_by_key(|range| range.start);
        assert_eq!((open[0].start, open[open.len() - 1].end), (0, u128::MAX), "{what}");
        assert!(open.windows(2).all(|pair| pair[0].is_followed_by(&pair[1])), "{what}: {open:?}");
        let log = stream.log().expect("a log");
        let positions = world.machine.block_on(log.positions()).expect("ends").expect("positions");
        let positions: BTreeMap<u32, _> = positions.into_iter().collect();
        for shard in &record.shards {
            let noted = positions.get(&shard.index).and_then(|p| p.closed);
            assert_eq!(noted, shard.closed.map(|c| c.second), "{what}: shard {}", shard.index);
            for parent in shard.parents().filter_map(|p| record.shard(p)) {
                assert!(parent.closed.is_some_and(|c| c.second < shard.create_second), "{what}");
                assert!(parent.create_second < shard.create_second, "{what}");
            }
            let incarnation = model.born.entry((name, shard.index, shard.create_second)).or_insert(stream.incarnation);
            assert_eq!(*incarnation, stream.incarnation, "{what}: shard {} was born twice", shard.index);
            let acknowledged = model.records.get(&(stream.incarnation, shard.index)).copied().unwrap_or(0);
            let stored = positions.get(&shard.index).map_or(0, |p| p.end);
            assert!(stored >= acknowledged, "{what}: {stored} of {acknowledged} records in shard {}", shard.index);
        }
    }
}

#[test]
fn a_crash_at_any_operation_leaves_plans_that_come_to_their_end() {
    let seeds = std::env::var("MILLSTREAM_CRASH_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    for seed in 0..seeds {
        let mut model = Model::default();
        let mut machine = machine(7_000 + seed);
        for round in 0..5 {
            let what = format!("seed {seed}, round {round}");
            machine.disk.crash_at(Some(machine.disk.operations() + 30 + machine.below(400)));
            let (how, clean) = match machine.below(3) {
                0 => (Crash::Kill, false),
                _ => (Crash::PowerLoss, true),
            };
            machine = match World::on_disk(machine, config_without_quotas()) {
                Ok(world) => {
                    run(&world, &mut model);
                    if clean && !world.machine.disk.has_crashed() {
                        world.machine.disk.crash_at(None);
                        check(&world, &mut model, &what);
                    }
                    world.crash(how)
                }
                Err(machine) => machine.restart(how),
            };
            machine = match World::on_disk(machine, config_without_quotas()) {
                Ok(world) => {
                    check(&world, &mut model, &what);
                    world.crash(Crash::Kill)
                }
                Err(_) => panic!("{what}: does not start after the crash"),
            };
        }
    }
}
