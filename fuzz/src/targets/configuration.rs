//! The server's configuration: command line, environment and file; and the durations and faults that tests ask for.

use std::path::Path;

use clap::Parser;
use millstream::cli::{Cli, Command, one_line};
use millstream::config::{Config, ConfigError, Layer};
use millstream_controls::fuzzing::parse_duration;

const FILE: &str = "/etc/millstream.toml";

/// A file, then after a zero byte variables, one a line, then after another one arguments, one a line.
pub(super) fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut parts = text.splitn(3, '\0');
    let file = parts.next().unwrap_or_default();
    let variables = parts.next().unwrap_or_default().lines().filter_map(|line| line.split_once('='));
    let variables: Vec<(String, String)> =
        variables.map(|(name, value)| (format!("MILLSTREAM_{name}"), value.to_owned())).collect();
    let Some(flags) = flags(parts.next()) else { return };
    match load(flags, variables, file) {
        Ok(config) => {
            let shown = config.to_toml().expect("what was read can be shown");
            let again = load(Layer::new(), Vec::new(), &shown);
            assert_eq!(again.as_ref(), Ok(&config), "{shown}");
        }
        Err(ConfigError(line)) => assert_one_line(&line),
    }
}

/// What the arguments say, if they can be read at all.
fn flags(lines: Option<&str>) -> Option<Layer> {
    let Some(lines) = lines else { return Some(Layer::new()) };
    match Cli::try_parse_from(["millstream", "serve"].into_iter().chain(lines.lines())) {
        Ok(Cli { command: Command::Serve(flags) }) => Some(flags.layer()),
        Ok(_) => None,
        Err(error) if error.use_stderr() => {
            assert_one_line(&one_line(&error));
            None
        }
        Err(_) => None,
    }
}

fn load(flags: Layer, variables: Vec<(String, String)>, file: &str) -> Result<Config, ConfigError> {
    Config::load(flags, Some(Path::new(FILE)), variables.into_iter(), |_| Ok(file.to_owned()))
}

/// An error is one line that says something, on any terminal.
fn assert_one_line(line: &str) {
    assert!(line.len() > 10 && !line.contains(char::is_control), "{line:?}");
}

/// Durations.
pub(super) fn durations(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(ms) = parse_duration("advance", text) {
        assert_eq!(parse_duration("advance", &format!("{ms}ms")), Ok(ms));
    }
}
