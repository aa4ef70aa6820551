//! Loads the running server beside what the machine gives and beside its peers, and checks every answer.
//!
//! Each measurement starts a fresh server, loads it, verifies every answer and reads everything back. Within a scenario
//! rounds are interleaved: in each, the raw disk, the server that only answers, Millstream and every peer are measured
//! one after the other, so that a disk or machine that changes its mood changes it for all of them. Results are written
//! as JSON (see [`results`]) after every scenario.

// This program measures the real clock, the real disk and real processes.
#![allow(clippy::disallowed_methods)]

mod answers;
mod callers;
mod ceilings;
mod client;
mod contestants;
mod context;
mod engine;
mod error;
mod goals;
mod ledger;
mod machine;
mod pace;
mod payload;
mod process;
mod render;
mod requests;
mod results;
mod run;
mod scenarios;
mod subscription;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::ceilings::constant;
use crate::context::Set;
use crate::error::BenchError;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "millstream-bench", about = "Measures the server beside the machine's limits and its peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and write their results as JSON
    Run(Run),
    /// Make tables and plots of results
    Render(render::Render),
    /// List the scenarios with the smallest set that each belongs to
    List,
    /// Answer the same to every request; `run` starts this to see what HTTP alone costs
    Constant {
        /// The file with the answer.
        #[arg(long)]
        answer: PathBuf,
        /// Its content type.
        #[arg(long)]
        content_type: String,
    },
}

/// What to measure, and how.
#[derive(Debug, Args)]
struct Run {
    /// How much: about two minutes, at most half an hour, or everything.
    #[arg(long, value_enum, default_value_t = Set::Default)]
    set: Set,
    /// Only these scenarios, by their ids or the beginnings of them, whatever their set.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The server's binary, built for release.
    #[arg(long, default_value = "target/release/millstream")]
    server: PathBuf,
    /// A peer, as ID=PROGRAM; again for each.
    #[arg(long = "peer", value_name = "ID=PROGRAM")]
    peers: Vec<String>,
    /// A peer that cannot be measured and why, as ID=REASON; the results say so.
    #[arg(long, value_name = "ID=REASON")]
    absent: Vec<String>,
    /// Where data is written, also by the raw loops; it decides which disk is measured.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// Interleaved rounds, instead of the set's (1, 5 or 5).
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that a load counts, instead of the set's (2, 1.5 or 5).
    #[arg(long)]
    seconds: Option<f64>,
    /// The commit that is measured, for the record.
    #[arg(long)]
    commit: Option<String>,
    /// Where the results go.
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Render(arguments) => render::run(&arguments).map(|()| true),
        Command::List => {
            for entry in scenarios::all() {
                println!("{:<28} {:<8} {}", entry.id, entry.from.name(), entry.name);
            }
            Ok(true)
        }
        Command::Constant { answer, content_type } => serve(&answer, &content_type).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // What failed was said when it did.
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("millstream-bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn serve(answer: &std::path::Path, content_type: &str) -> Result<(), BenchError> {
    constant::serve(std::fs::read(answer)?, content_type)
}
