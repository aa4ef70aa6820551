use std::path::{Path, PathBuf};

use millstream_env::sim::{Crash, Fault, SimEnv};
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Thing {
    name: String,
    version: u64,
    size: u32,
}

impl Record for Thing {
    const TABLE: &'static str = "things";
    const VERSION: u8 = 2;

    fn key(&self) -> Key {
        Key::all().text("world").text(&self.name)
    }

    fn upgrade(from: u8, mut value: serde_json::Value) -> Result<serde_json::Value, String> {
        match from {
            1 => {
                value["size"] = 7.into();
                Ok(value)
            }
            other => Err(format!("version {other} is not known")),
        }
    }
}

impl Versioned for Thing {
    fn version(&self) -> u64 {
        self.version
    }
    fn set_version(&mut self, version: u64) {
        self.version = version;
    }
}

/// The same table as an older version wrote it.
#[derive(Serialize, Deserialize)]
struct OldThing {
    name: String,
    version: u64,
}

impl Record for OldThing {
    const TABLE: &'static str = "things";
    const VERSION: u8 = 1;
    fn key(&self) -> Key {
        Key::all().text("world").text(&self.name)
    }
}

/// And as a newer one will.
#[derive(Serialize, Deserialize)]
struct NewThing(Thing);

impl Record for NewThing {
    const TABLE: &'static str = "things";
    const VERSION: u8 = 3;
    fn key(&self) -> Key {
        self.0.key()
    }
}

fn thing(name: &str, size: u32) -> Thing {
    Thing { name: name.to_owned(), version: 0, size }
}

fn path() -> PathBuf {
    PathBuf::from("/data/catalog.redb")
}

fn machine(seed: u64) -> SimEnv {
    let machine = SimEnv::new(seed);
    let env = machine.env();
    env.disk.create_dir_all(Path::new("/data")).expect("a directory");
    env.disk.sync_dir(Path::new("/")).expect("a sync");
    machine
}

fn put(catalog: &Catalog, record: &impl Record) -> Result<(), CatalogError> {
    catalog.transact_blocking(|tx| tx.put(record))
}

fn all(catalog: &Catalog) -> Vec<Thing> {
    catalog.transact_blocking(|tx| tx.scan::<Thing>(&Key::all())).expect("a scan")
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let machine = machine(1);
    let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
    put(&catalog, &thing("b", 2)).expect("a commit");
    put(&catalog, &thing("a", 1)).expect("a commit");
    drop(catalog);
    let machine = machine.restart(Crash::PowerLoss);
    let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
    assert_eq!(all(&catalog), [thing("a", 1), thing("b", 2)]);
    drop(catalog);
    let tables = verify(&machine.env(), &path()).expect("sound");
    assert_eq!(tables, [Table { name: "things".to_owned(), records: 2 }]);
}

#[test]
fn an_error_undoes_the_transaction() {
    let machine = machine(2);
    let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
    let result: Result<(), CatalogError> = catalog.transact_blocking(|tx| {
        tx.put(&thing("a", 1))?;
        Err(CatalogError::Conflict)
    });
    assert_eq!(result, Err(CatalogError::Conflict));
    assert_eq!(all(&catalog), []);
}

#[test]
fn compare_and_set_takes_only_the_version_it_started_from() {
    let machine = machine(3);
    let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
    put(&catalog, &thing("a", 1)).expect("a commit");
    let mut first = thing("a", 2);
    catalog.transact_blocking(|tx| tx.compare_and_set(&mut first)).expect("fresh");
    assert_eq!(first.version, 1);
    let mut second = thing("a", 3);
    let late = catalog.transact_blocking(|tx| tx.compare_and_set(&mut second));
    assert_eq!(late, Err(CatalogError::Conflict));
    let mut missing = thing("x", 3);
    let absent = catalog.transact_blocking(|tx| tx.compare_and_set(&mut missing));
    assert_eq!(absent, Err(CatalogError::Conflict));
    assert_eq!(all(&catalog)[0].size, 2);
}

#[test]
fn older_records_are_upgraded_and_newer_ones_refused_by_name() {
    let machine = machine(4);
    let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
    put(&catalog, &OldThing { name: "old".to_owned(), version: 5 }).expect("a commit");
    assert_eq!(all(&catalog), [Thing { name: "old".to_owned(), version: 5, size: 7 }]);
    put(&catalog, &NewThing(thing("new", 1))).expect("a commit");
    let refused = catalog.transact_blocking(|tx| tx.scan::<Thing>(&Key::all()));
    assert_eq!(refused, Err(CatalogError::Newer { table: "things".to_owned(), found: 3, known: 2 }));
}

#[test]
fn keys_sort_by_their_parts() {
    let mut keys = [
        Key::all().text("a").text("b"),
        Key::all().text("a\0").text("a"),
        Key::all().text("aa").text("a"),
        Key::all().text("a").text("b").number(3),
        Key::all().text("a").text("b").number(200),
    ];
    let sorted = [0, 3, 4, 1, 2].map(|at: usize| keys[at].clone());
    keys.sort();
    assert_eq!(keys, sorted);
}

#[test]
fn a_full_disk_has_its_own_error_and_is_survived_without_a_restart() {
    let machine = machine(5);
    let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
    put(&catalog, &thing("a", 1)).expect("a commit");
    let used =
        machine.env().disk.open(&path(), millstream_env::OpenMode::Read).and_then(|f| f.len()).expect("a length");
    machine.disk.set_capacity(used);
    let mut stored = 0;
    let refusal = loop {
        let big = Thing { name: format!("big{stored}{}", "x".repeat(100_000)), version: 0, size: stored };
        match put(&catalog, &big) {
            Ok(()) => stored += 1,
            Err(e) => break e,
        }
    };
    assert_eq!(refusal, CatalogError::DiskFull);
    assert!(catalog.problem().is_some());
    machine.disk.set_capacity(u64::MAX);
    put(&catalog, &thing("b", 2)).expect("there is space again");
    assert_eq!(all(&catalog).len(), stored as usize + 2);
    assert_eq!(catalog.problem(), None);
}

#[test]
fn a_failed_sync_poisons_until_the_restart() {
    let machine = machine(6);
    let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
    put(&catalog, &thing("a", 1)).expect("a commit");
    // The next operations of a commit are writes and syncs: let each of them fail in turn, on a fresh machine.
    let before = machine.disk.operations();
    put(&catalog, &thing("b", 2)).expect("a commit");
    let steps = machine.disk.operations() - before;
    for step in 0..steps {
        let machine = self::machine(100 + step);
        let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
        put(&catalog, &thing("a", 1)).expect("a commit");
        machine.disk.inject(machine.disk.operations() + step, Fault::Fail);
        let outcome = put(&catalog, &thing("b", 2));
        assert!(matches!(outcome, Err(CatalogError::Unknown(_))), "step {step}: {outcome:?}");
        assert!(matches!(put(&catalog, &thing("c", 3)), Err(CatalogError::Poisoned(_))));
        assert!(catalog.problem().is_some());
        drop(catalog);
        // What the next process finds it may build on, so it must still be there when the power goes.
        let machine = machine.restart(Crash::Kill);
        let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
        let things = all(&catalog);
        assert!(things == [thing("a", 1)] || things == [thing("a", 1), thing("b", 2)], "step {step}: {things:?}");
        drop(catalog);
        let machine = machine.restart(Crash::PowerLoss);
        let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
        assert_eq!(all(&catalog), things, "step {step}");
    }
}

#[test]
fn a_crash_at_any_operation_leaves_every_acknowledged_transaction() {
    for seed in 0..150 {
        let mut machine = machine(1000 + seed);
        let mut acknowledged: Vec<u32> = Vec::new();
        let mut maybe: Option<u32> = None;
        let mut next = 0;
        for round in 0..4 {
            machine.disk.crash_at(Some(machine.disk.operations() + machine.below(60)));
            if let Ok(catalog) = Catalog::open(&machine.env(), &path()) {
                // What was left open by the last crash is decided now, for good.
                if let Ok(found) = catalog.transact_blocking(|tx| tx.scan::<Thing>(&Key::all())) {
                    let mut found: Vec<u32> = found.into_iter().map(|t| t.size).collect();
                    found.sort_unstable();
                    if maybe.is_some_and(|m| found.contains(&m)) {
                        acknowledged.extend(maybe);
                    }
                    maybe = None;
                    assert_eq!(found, acknowledged, "seed {seed}, round {round}");
                }
                while !machine.disk.has_crashed() {
                    match put(&catalog, &thing(&format!("{next:05}"), next)) {
                        Ok(()) => acknowledged.push(next),
                        Err(_) => maybe = Some(next),
                    }
                    next += 1;
                }
            }
            let how = if machine.below(2) == 0 { Crash::Kill } else { Crash::PowerLoss };
            machine = machine.restart(how);
        }
        let catalog = Catalog::open(&machine.env(), &path()).expect("opens after crashes");
        let found: Vec<u32> = all(&catalog).into_iter().map(|t| t.size).collect();
        let mut with = acknowledged.clone();
        with.extend(maybe);
        assert!(found == acknowledged || found == with, "seed {seed}: {found:?} {acknowledged:?} {maybe:?}");
        drop(catalog);
        verify(&machine.env(), &path()).expect("sound");
    }
}

#[test]
fn a_file_that_is_no_catalog_is_refused() {
    let machine = machine(7);
    machine.env().disk.write_file(&path(), &[7; 8192]).expect("a file");
    assert!(matches!(Catalog::open(&machine.env(), &path()), Err(CatalogError::Corrupt { .. })));
}

#[test]
fn transactions_run_on_the_pool() {
    let machine = machine(8);
    let catalog = Catalog::open(&machine.env(), &path()).expect("opens");
    let done = machine.block_on(catalog.transact(|tx| tx.insert(&thing("a", 1))));
    assert_eq!(done, Some(Ok::<(), CatalogError>(())));
    let again = machine.block_on(catalog.transact(|tx| tx.insert(&thing("a", 1))));
    assert_eq!(again, Some(Err(CatalogError::Conflict)));
}
