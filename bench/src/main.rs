//! Measures the running server beside a raw disk loop and a peer, and checks every answer.
//!
//! Each measurement starts a fresh server, loads it in a closed loop (a connection sends its next request when it has
//! the answer to the last), verifies every answer and reads everything back. Rounds are interleaved: in each, every
//! scenario is measured for every contestant, one after the other, so that a disk or machine that changes its mood
//! changes it for all of them. Reported are medians with their spread, and ratios of medians.

// This program measures the real clock, the real disk and real processes.
#![allow(clippy::disallowed_methods)]

mod contestant;
mod endurance;
mod error;
mod load;
mod raw;
mod readback;
mod report;
mod requests;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::contestant::Contestant;
use crate::error::BenchError;
use crate::report::Report;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "millstream-bench", about = "Measures the server beside a raw disk loop and a peer")]
struct Arguments {
    /// The server's binary, built for release.
    #[arg(long, default_value = "target/release/millstream")]
    server: PathBuf,
    /// ferrokinesis' binary; without it there is no peer.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Where data is written, also by the raw loop; it decides which disk is measured.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// Rounds of all scenarios.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that a measurement lasts, after its warm-up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Records of 1 KB for the endurance part (memory, start-up time); 0 leaves it out.
    #[arg(long, default_value_t = 5_000_000)]
    records: u64,
    /// Writes the results there as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Puts the tables into this document, between its marks.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("millstream-bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), BenchError> {
    std::fs::create_dir_all(&arguments.dir)?;
    let millstream = Contestant::Millstream(arguments.server.clone());
    let mut contestants = vec![millstream.clone()];
    contestants.extend(arguments.peer.clone().map(Contestant::Ferrokinesis));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let settings = throughput::Settings {
            dir: arguments.dir.clone(),
            rounds: arguments.rounds,
            warm_up: Duration::from_millis(500),
            time: Duration::from_secs(arguments.seconds),
        };
        let scenarios = throughput::run(&settings, &contestants).await?;
        let endurance = match arguments.records {
            0 => None,
            records => Some(endurance::run(&millstream, &arguments.dir, records).await?),
        };
        Ok::<Report, BenchError>(Report::new(arguments.seconds, scenarios, endurance))
    })?;
    println!("\n{}", report.markdown());
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json()?)?;
    }
    if let Some(path) = &arguments.markdown {
        report.write_into(path)?;
    }
    Ok(())
}
