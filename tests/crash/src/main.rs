//! Kills the real server under load, again and again, and verifies what it kept.
//!
//! A round: writers on several connections put numbered records, a follower reads behind them, and shards split and
//! merge, until the server is killed at a random moment (or, sometimes, told to stop). It is started again, sometimes
//! killed once more while it recovers, and then every record is read back and held against the ledger of what was
//! acknowledged (`ledger.rs` says what must hold). A stream lives for some rounds; then all of it is read once more from
//! its beginning and it is deleted.
//!
//! A kill leaves what the operating system has in its caches: what a power cut does to the disk is the subject of the
//! simulated crashes in `crates/log`.

// This program is a test: it runs on the real clock, the real disk and real processes, and nothing replays them.
#![allow(clippy::disallowed_methods)]

mod ledger;
mod load;
mod payload;
mod rounds;
mod verify;

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
    println!("{} rounds, {} writers, seed {seed}", arguments.rounds, arguments.writers);
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
    let result = runtime.block_on(rounds::run(&settings));
    if result.is_err() {
        let _kept = temporary.keep();
        println!("the data directory and the server's output are kept under {}", dir.display());
    }
    result
}
