//! A crash at every I/O operation of a snapshot, and of a restore.

use millstream_env::Disk;

use super::snapshot::{Records, SNAPSHOTS, open, places, restore};
use super::*;
use crate::snapshot::{RestoreError, Snapshot};

/// A service with some of everything, that is the same for the same seed.
fn some_of_everything(seed: u64) -> World {
    let world = World::new_small(seed);
    world.create("a", 2);
    world.create("b", 1);
    for n in 0..24 {
        world.put_to(if n % 3 == 0 { "b" } else { "a" }, &format!("k{n}"), &[n; 400]).unwrap();
    }
    world.call(split("b", "shardId-000000000000", HALF)).unwrap();
    for n in 0..6 {
        world.put_to("b", &format!("k{n}"), &[n; 40]).unwrap();
    }
    world
}

/// The same, all that it holds, and a first snapshot of it.
fn with_a_snapshot() -> (World, Records) {
    let world = some_of_everything(9);
    let all = world.all_records();
    world.snapshot("zero").unwrap().unwrap();
    (world, all)
}

fn how(at: u64) -> Crash {
    if at.is_multiple_of(3) { Crash::Kill } else { Crash::PowerLoss }
}

#[test]
fn a_crash_at_any_operation_of_a_snapshot_leaves_service_and_snapshots_whole() {
    let operations = {
        let (world, _) = with_a_snapshot();
        let before = world.machine.disk.operations();
        world.snapshot("one").unwrap().unwrap();
        world.machine.disk.operations() - before
    };
    assert!(operations > 40, "{operations}");
    let mut whole = 0;
    for at in 0..operations {
        let (world, all) = with_a_snapshot();
        world.machine.disk.crash_at(Some(world.machine.disk.operations() + at));
        let taken = world.snapshot("one");
        assert!(!matches!(taken, Some(Ok(_))), "operation {at}");
        let machine = world.crash(how(at));
        let what = format!("operation {at}");
        for name in ["zero", "one"] {
            let dir = format!("/restored-{name}");
            match restore(&machine, name, &dir) {
                Ok(()) => whole += u64::from(name == "one"),
                Err(RestoreError::Missing(_) | RestoreError::Incomplete(_)) if name == "one" => continue,
                Err(error) => panic!("{what}: {name}: {error}"),
            }
        }
        // The service itself has all, and takes the next one.
        let world = open(machine, "/data").map_err(drop).expect("starts");
        assert_eq!(world.all_records(), all, "{what}");
        world.snapshot("two").unwrap().unwrap_or_else(|error| panic!("{what}: {error}"));
        let names = world.machine.disk.list(Path::new(SNAPSHOTS)).unwrap();
        assert!(!names.iter().any(|entry| entry.name.ends_with(".partial")), "{what}");
        let has_one = world.machine.disk.exists(Path::new("/restored-one/catalog"));
        let mut world = world.moved_to("/restored-zero");
        assert_eq!(world.all_records(), all, "{what}");
        if has_one {
            world = world.moved_to("/restored-one");
            assert_eq!(world.all_records(), all, "{what}");
        }
    }
    assert!(whole > 0, "the name may be there before the answer");
}

#[test]
fn a_crash_at_any_operation_of_a_restore_harms_neither_snapshot_nor_service() {
    let world = some_of_everything(10);
    let all = world.all_records();
    world.snapshot("one").unwrap().unwrap();
    let before = world.machine.disk.operations();
    restore(&world.machine, "one", "/dry").unwrap();
    let operations = world.machine.disk.operations() - before;
    assert!(operations > 20, "{operations}");
    let mut machine = world.crash(Crash::Kill);
    for at in 0..operations {
        let what = format!("operation {at}");
        machine.disk.crash_at(Some(machine.disk.operations() + at));
        assert!(restore(&machine, "one", &format!("/broken-{at}")).is_err(), "{what}");
        machine = machine.restart(how(at));
        let snapshot = Snapshot::open(&machine.env(), &Path::new(SNAPSHOTS).join("one")).expect("a snapshot");
        snapshot.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    let world = open(machine, "/data").map_err(drop).expect("starts");
    assert_eq!(world.all_records(), all);
    restore(&world.machine, "one", "/restored").unwrap();
    // What a restore has said to be done is durable.
    let machine = world.crash(Crash::PowerLoss);
    assert!(machine.disk.exists(&places("/restored").keys));
    let mut machine = machine;
    for round in 0..4 {
        let world = open(machine, "/restored").map_err(drop).expect("starts");
        assert_eq!(world.all_records().values().flatten().count(), all.values().flatten().count() + round);
        world.put_to("a", "k", b"more").unwrap();
        machine = world.crash(how(round as u64));
    }
}

#[test]
fn a_crash_while_a_restored_log_jumps_gives_no_number_out_twice() {
    for seed in 0..40 {
        let world = some_of_everything(11);
        world.snapshot("one").unwrap().unwrap();
        let lost: Vec<String> = (0..20).map(|n| world.put_to("a", &format!("k{n}"), b"lost").unwrap().1).collect();
        world.machine.clock.advance(1_000);
        restore(&world.machine, "one", "/restored").unwrap();
        let mut machine = world.crash(Crash::Kill);
        let mut given = lost;
        for round in 0..6 {
            machine.disk.crash_at(Some(machine.disk.operations() + seed + round * 7));
            machine = match open(machine, "/restored") {
                Ok(world) => {
                    for n in 0..10 {
                        given.extend(world.put_to("a", &format!("k{n}"), b"new").map(|(_, number)| number));
                    }
                    world.crash(how(seed + round))
                }
                Err(machine) => machine.restart(how(seed + round)),
            };
        }
        let world = open(machine, "/restored").map_err(drop).expect("starts");
        given.extend((0..10).map(|n| world.put_to("a", &format!("k{n}"), b"new").unwrap().1));
        let count = given.len();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), count, "seed {seed}");
        let found: Vec<_> = world.all_records().into_values().flatten().map(|seen| seen.0).collect();
        assert!(given.iter().filter(|number| found.contains(number)).count() >= 10, "seed {seed}");
    }
}
