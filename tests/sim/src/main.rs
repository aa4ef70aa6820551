//! Runs seeds of the simulation.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use millstream_sim::run::{Asked, run};

/// Runs the service on a simulated machine that breaks in every way, and checks what it promises.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One of so many operations of the disk is a crash point; 0 for none.
    #[arg(long, default_value_t = 8)]
    points_every: u64,
    /// How many seeds to run at once.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs one seed, and prints all that happens.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        let outcome = run(Asked { seed, points_every: arguments.points_every, lines: true });
        outcome.lines.iter().for_each(|line| println!("{line}"));
        println!("{outcome:?}", outcome = millstream_sim::run::Outcome { lines: Vec::new(), ..outcome });
        return ExitCode::SUCCESS;
    }
    let next = AtomicU64::new(arguments.from);
    let (points, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.from + arguments.seeds {
                        return;
                    }
                    let outcome = run(Asked { seed, points_every: arguments.points_every, lines: false });
                    points.fetch_add(outcome.points, Ordering::Relaxed);
                    if let Some(problem) = outcome.problem {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("seed {seed}: {problem}");
                    }
                }
            });
        }
    });
    println!("{} points, {} seeds failed", points.into_inner(), failed.into_inner());
    ExitCode::SUCCESS
}
