//! `millstream`: the command line, the configuration, and the wiring of the server. The program is [`run`]; the library
//! is there so that tests of other crates can read what it reads.

mod allocator;
mod banner;
mod certs;
pub mod check;
pub mod cli;
pub mod config;
mod controls;
pub mod data_dir;
mod logging;
mod meter;
mod metrics;
mod provision;
mod restore;
mod serve;
mod signals;
mod snapshots;
pub mod storage;
mod tls;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, ServeArgs};
use config::{Config, ConfigError};
use millstream_env::Env;

/// Threads for blocking work. Syncs of different logs run side by side: disks do many as fast as one.
const IO_THREADS: usize = 24;

/// Exit code of a mistake on the command line or in the configuration.
const USAGE: u8 = 2;

/// Does what the command line says. Gives the process's exit code: 0, 2 for a mistake on the command line or in the
/// configuration, 1 for what went wrong later.
#[must_use]
pub fn run() -> ExitCode {
    allocator::give_back_large_pieces();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            say(&error.to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&cli::one_line(&error), USAGE),
    };
    match cli.command {
        Command::Serve(flags) => serve(&flags),
        Command::Check { dir, repair } => check::run(&dir, repair),
        Command::Restore { snapshot, dir } => restore::run(&snapshot, &dir),
        Command::Certs { dir, host } => certs::run(&dir, &host),
        Command::Version => {
            say(concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "millstream", &mut script);
            say(&String::from_utf8_lossy(&script));
            ExitCode::SUCCESS
        }
    }
}

fn serve(flags: &ServeArgs) -> ExitCode {
    let env = Env::real(IO_THREADS);
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let read = |path: &Path| {
        let bytes = env.disk.read_file(path);
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
        text.map_err(|error| ConfigError(format!("{}: cannot be read: {error}", path.display())))
    };
    let config = match Config::load(flags.layer(), flags.config.as_deref(), variables, read) {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string(), USAGE),
    };
    if flags.print_config {
        return match config.to_toml() {
            Ok(text) => {
                say(&text);
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error.to_string(), 1),
        };
    }
    match serve::run(config, env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), 1),
    }
}

/// Prints to standard output. That nobody reads it is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// One clear line on standard error.
fn fail(line: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "millstream: {line}");
    ExitCode::from(code)
}
