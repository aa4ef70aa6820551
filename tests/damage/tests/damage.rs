//! A data directory is damaged, one place at a time: what is lost is reported by `check` and by the server, what is served is
//! right, nothing panics and nothing hangs.
//!
//! `make test` takes a share of the places, always the same; `make damage` takes all of them, or with `STEP=n` each n-th.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use millstream_damage::damage::Damage;
use millstream_damage::directory::{Directory, End, directory};
use millstream_damage::examine::{Outcome, examine};
use millstream_damage::sample::{every, share};

type Places = Vec<(PathBuf, Damage)>;

/// Violations that are shown before the run gives up.
const SHOWN: usize = 60;

/// Examines all `places` on `threads` threads, each n-th with a repair, and prints what came of it.
fn run(directory: &Directory, places: &Places, threads: usize, repair_each: usize) {
    let started = std::time::Instant::now();
    let next = AtomicUsize::new(0);
    let counts: Mutex<BTreeMap<(String, &str, Outcome), usize>> = Mutex::default();
    let bad: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((path, damage)) = places.get(at) else { return };
                    match examine(directory, path, damage, at.is_multiple_of(repair_each)) {
                        Ok(outcome) => {
                            let key = (kind_of(path), damage.kind(), outcome);
                            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
                        }
                        Err(what) => {
                            let mut bad = bad.lock().unwrap_or_else(PoisonError::into_inner);
                            bad.push(format!("{}: {damage}: {what}", path.display()));
                            if bad.len() >= SHOWN {
                                next.store(places.len(), Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    for ((file, damage, outcome), count) in counts.into_inner().unwrap_or_else(PoisonError::into_inner) {
        println!("{count:8} {file:14} {damage:8} {outcome:?}");
    }
    println!("{} damages in {:.0?} on {threads} threads", places.len(), started.elapsed());
    let bad = bad.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(bad.is_empty(), "{} violations:\n{}", bad.len(), bad.join("\n"));
}

fn kind_of(path: &Path) -> String {
    let name = path.file_name().expect("a name").to_string_lossy();
    if name.ends_with(".seg") { "segment".to_owned() } else { name.into_owned() }
}

fn run_share(end: End, step: u64) {
    let directory = directory(end);
    let places = share(&directory.image, step, 1);
    let bytes: usize = directory.image.files.values().map(Vec::len).sum();
    println!("{end:?}: {} damages to {} files of {bytes} bytes", places.len(), directory.image.files.len());
    run(&directory, &places, 1, 3);
}

#[test]
fn a_share_of_the_damages_to_a_directory_that_was_left_in_order() {
    run_share(End::Stopped, 1500);
}

#[test]
fn a_share_of_the_damages_to_a_directory_whose_server_was_killed() {
    run_share(End::Killed, 3000);
}

#[test]
#[ignore = "takes long: make damage"]
fn every_damage() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // One in so many of them, where an hour is too long.
    let step = std::env::var("DAMAGE_STEP").map_or(1, |step| step.parse().expect("a number"));
    for end in [End::Stopped, End::Killed] {
        let directory = directory(end);
        let places: Places = every(&directory.image).into_iter().step_by(step).collect();
        println!("{end:?}: {} damages to {} files", places.len(), directory.image.files.len());
        run(&directory, &places, threads, 7);
    }
}
