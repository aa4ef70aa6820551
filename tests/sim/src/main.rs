//! Runs the simulation.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::{Args, Parser, Subcommand};
use millstream_sim::plans;
use millstream_sim::run::{Asked, Outcome, run};

/// Runs the service on a simulated machine that breaks in every way, and checks what it promises.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs each seed twice and compares: equal seeds must give equal runs.
    Same(Seeds),
    /// Runs small fixed workloads, with a crash at every operation of the disk and every fault at every operation.
    Plans {
        /// Only plans whose names contain this.
        #[arg(long, default_value = "")]
        only: String,
        /// In how many orders of things.
        #[arg(long, default_value_t = 1)]
        orders: u64,
    },
    /// Runs seeds: lives of the service with random clients, faults and crashes.
    Seeds(Seeds),
    /// Runs one seed again and prints all that happens.
    Replay {
        /// The seed.
        seed: u64,
        /// As it was run.
        #[arg(long, default_value_t = 8)]
        points_every: u64,
    },
    /// Has the log make mistakes on purpose, one after the other, and tells with which seed each was noticed.
    #[cfg(feature = "bugs")]
    Bugs {
        /// Within how many seeds each must be.
        #[arg(long, default_value_t = 50)]
        seeds: u64,
    },
}

#[derive(Debug, Args)]
struct Seeds {
    /// How many.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Ends when so many crash points were verified.
    #[arg(long, default_value_t = u64::MAX)]
    points: u64,
    /// One of so many operations of the disk is a crash point; 0 for none.
    #[arg(long, default_value_t = 8)]
    points_every: u64,
    /// How many run at once.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let passed = match Arguments::parse().command {
        Command::Same(seeds) => same(&seeds),
        Command::Plans { only, orders } => exhaust(&only, orders),
        Command::Seeds(seeds) => random(&seeds),
        Command::Replay { seed, points_every } => replay(seed, points_every),
        #[cfg(feature = "bugs")]
        Command::Bugs { seeds } => bugs(seeds),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs `work` for each number on several threads. Ends early when it says false.
fn on_threads(threads: usize, numbers: std::ops::Range<u64>, work: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(numbers.start);
    let ended = AtomicBool::new(false);
    let one = || {
        while !ended.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end || !work(number) {
                ended.store(true, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(one))));
}

fn same(seeds: &Seeds) -> bool {
    let differing = AtomicU64::new(0);
    on_threads(seeds.threads, seeds.from..seeds.from + seeds.seeds, |seed| {
        let asked = Asked { seed, points_every: seeds.points_every, lines: false };
        let (first, second) = (run(asked), run(asked));
        if first != second {
            differing.fetch_add(1, Ordering::Relaxed);
            println!("seed {seed} gives {first:?}, and then {second:?}");
        }
        true
    });
    println!("{} seeds run twice, {} differ", seeds.seeds, differing.load(Ordering::Relaxed));
    differing.into_inner() == 0
}

fn exhaust(only: &str, orders: u64) -> bool {
    let mut passed = true;
    for plan in plans::all().into_iter().filter(|plan| plan.name.contains(only)) {
        for order in 0..orders {
            match plan.exhaust(order) {
                Ok(done) => println!(
                    "{}: {} operations, {} reads: {} crash points ({} in a recovery), {} faults",
                    plan.name, done.operations, done.reads, done.points, done.in_recovery, done.faults
                ),
                Err(problem) => {
                    passed = false;
                    println!("order {order}: {problem}");
                }
            }
        }
    }
    passed
}

fn random(seeds: &Seeds) -> bool {
    let (points, failed, sent, run_seeds) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    on_threads(seeds.threads, seeds.from..seeds.from + seeds.seeds, |seed| {
        let outcome = run(Asked { seed, points_every: seeds.points_every, lines: false });
        run_seeds.fetch_add(1, Ordering::Relaxed);
        sent.fetch_add(outcome.acknowledged, Ordering::Relaxed);
        let points = points.fetch_add(outcome.points, Ordering::Relaxed) + outcome.points;
        if let Some(problem) = outcome.problem {
            failed.fetch_add(1, Ordering::Relaxed);
            println!(
                "seed {seed}: {problem}\n  again: millstream-sim replay {seed} --points-every {}",
                seeds.points_every
            );
        }
        points < seeds.points
    });
    let failed = failed.into_inner();
    println!(
        "{} seeds from {}, {} crash points, {} records acknowledged, {failed} seeds failed",
        run_seeds.into_inner(),
        seeds.from,
        points.into_inner(),
        sent.into_inner()
    );
    failed == 0
}

fn replay(seed: u64, points_every: u64) -> bool {
    let outcome = run(Asked { seed, points_every, lines: true });
    outcome.lines.iter().for_each(|line| println!("{line}"));
    let passed = outcome.problem.is_none();
    println!("{:?}", Outcome { lines: Vec::new(), ..outcome });
    passed
}

#[cfg(feature = "bugs")]
fn bugs(seeds: u64) -> bool {
    use millstream_log::bugs::{Bug, make};
    let mut passed = true;
    for bug in Bug::ALL {
        make(Some(bug));
        let noticed = (0..seeds).find_map(|seed| {
            let problem = run(Asked { seed, points_every: 8, lines: false }).problem?;
            Some((seed, problem))
        });
        match noticed {
            Some((seed, problem)) => println!("{bug:?} was noticed with seed {seed}: {problem}"),
            None => {
                passed = false;
                println!("{bug:?} was not noticed within {seeds} seeds");
            }
        }
    }
    make(None);
    passed
}
