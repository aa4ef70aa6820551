//! Kills the real server under load, again and again, and verifies what it kept.
//!
//! A round: on three streams at once, writers put numbered records, some of them reading each back as soon as it is
//! acknowledged, and followers read behind them. Shards split and merge, settings change, one stream is deleted and made
//! again under its name, and the clock steps, so that records become due and the log drops them. Then the server is
//! killed: at a random moment, or within milliseconds of a change that was asked for; sometimes it is told to stop. It is
//! started again, sometimes killed once more while it recovers, and then everything is read back and held against what was
//! acknowledged (`ledger.rs` says what must hold of records, `facts.rs` of settings, `history.rs` of what clients saw
//! meanwhile). After some rounds all of it is read once more from its beginning, and new streams take over.
//!
//! With `--soak` the rounds are long, the load is paced and subscribers are added, and what the server holds is measured.
//!
//! A kill leaves what the operating system has in its caches: what a power cut does to the disk is the subject of the
//! simulated crashes in `crates/log`.

// This program is a test: it runs on the real clock, the real disk and real processes, and nothing replays them.
#![allow(clippy::disallowed_methods)]

mod control;
mod facts;
mod history;
mod ledger;
mod load;
mod payload;
mod place;
mod plot;
mod report;
mod rounds;
mod shared;
mod soak;
mod stream;
mod time;
mod verify;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "millstream-crash", about = "Kills the real server under load and verifies what it kept")]
struct Arguments {
    /// The server's binary.
    #[arg(long, default_value = "target/release/millstream")]
    server: PathBuf,
    /// Kills, each followed by a whole verification.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Instead of rounds: load for this many minutes, and judge what the server holds by then.
    #[arg(long, value_name = "MINUTES", conflicts_with = "rounds")]
    soak: Option<u64>,
    /// With --soak: where samples and plot go.
    #[arg(long, default_value = "target/soak")]
    out: PathBuf,
    /// Connections that write.
    #[arg(long, default_value_t = 8)]
    writers: u64,
    /// Repeats a run's choices. Which writes the kill meets depends on timing and does not repeat.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the data directory and the server's output are kept; a temporary directory when it is not given, which is
    /// kept if a round fails.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos().into());
    let seed = arguments.seed.unwrap_or(clock);
    match run(&arguments, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("FAILED (seed {seed}): {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, seed: u64) -> Result<(), rounds::Failure> {
    match arguments.soak {
        None => println!("{} rounds, {} writers, seed {seed}", arguments.rounds, arguments.writers),
        Some(minutes) => println!("{minutes} minutes, {} writers, seed {seed}", arguments.writers),
    }
    let temporary = tempfile::Builder::new().prefix("millstream-crash-").tempdir()?;
    let dir = arguments.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let settings = rounds::Settings {
        server: arguments.server.clone(),
        dir: dir.clone(),
        rounds: arguments.rounds,
        writers: arguments.writers,
        seed,
    };
    let result = match arguments.soak {
        None => runtime.block_on(rounds::run(&settings)),
        Some(minutes) => runtime.block_on(soak::run(&settings, minutes, &arguments.out)),
    };
    if result.is_err() {
        let _kept = temporary.keep();
        println!("the data directory and the server's output are kept under {}", dir.display());
    }
    result
}
