//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{Key, Layer, Raw, printable};

/// A server that speaks Amazon Kinesis Data Streams and keeps what it acknowledges.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGINT or SIGTERM
    Serve(Box<ServeArgs>),
    /// Read every byte of a data directory and report what is damaged, where, and what a repair would give up
    ///
    /// Ends with status 0 if all is sound, or was made so; 1 if there are problems, or a repair left some; 2 for a mistake on
    /// the command line; 3 if the directory could not be checked: a server has it open, it cannot be read, or it is none.
    Check {
        /// The data directory; no server may have it open
        dir: PathBuf,
        /// Replace what is damaged by holes that readers step over, make indexes, a lost catalog and lost keys again, and say
        /// what was given up. Copy the directory first
        #[arg(long)]
        repair: bool,
    },
    /// Make a data directory of a snapshot
    Restore {
        /// The snapshot's directory
        snapshot: PathBuf,
        /// The data directory to be; missing or empty
        dir: PathBuf,
    },
    /// Make a certificate for TLS, and a certificate authority of its own that clients can trust
    Certs {
        /// Where they are kept; an authority that is there is used again
        #[arg(long, value_name = "DIR", default_value = "millstream-certs")]
        dir: PathBuf,
        /// A further name or address of the server; it is always good for localhost
        #[arg(long, value_name = "NAME")]
        host: Vec<String>,
    },
    /// Print the version
    Version,
    /// Print a script that completes commands and flags
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Flags of `serve`. They win over the environment (MILLSTREAM_DATA_DIR for --data-dir, and so on), which wins over the
/// configuration file.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:4567]
    #[arg(long, value_name = "ADDR:PORT", allow_hyphen_values = true)]
    listen: Vec<String>,
    /// Where everything is kept [default: ./millstream-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// A TOML file with any of these settings, named as the flags with _ for -
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// When a record is acknowledged: once it is on disk (fsync), or at once, with a sync every MS milliseconds
    /// (relaxed=MS) [default: fsync]
    #[arg(long, value_name = "fsync|relaxed=MS", allow_hyphen_values = true)]
    durability: Option<String>,
    /// Keep everything in a private temporary directory that is never synced and is removed on exit
    #[arg(long)]
    ephemeral: bool,
    /// With --ephemeral: the most it may keep [default: 1GiB]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    ephemeral_max: Option<String>,
    /// Quotas, throughput and call rates: as AWS's, none, or AWS's with throughput and call rates times a factor (x10,
    /// x0.5); the file can name single ones, and streams [default: aws]
    #[arg(long, value_name = "aws|none|xN", allow_hyphen_values = true)]
    limits: Option<String>,
    /// How long streams stay in CREATING, UPDATING and DELETING [default: 500ms]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    transition_delay: Option<String>,
    /// How callers prove who they are [default: anonymous]
    #[arg(long, value_name = "anonymous|iam", allow_hyphen_values = true)]
    auth: Option<String>,
    /// Let other machines in without authentication
    #[arg(long)]
    allow_anonymous: bool,
    /// Offer faults on demand, a clock that can be moved and a reset under /_millstream/: for tests only
    #[arg(long)]
    test_controls: bool,
    /// A further name that requests may give as Host
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    allow_host: Vec<String>,
    /// A web page's origin that may use the server, e.g. http://localhost:3000
    #[arg(long, value_name = "ORIGIN", allow_hyphen_values = true)]
    cors_origin: Vec<String>,
    /// The region of requests whose credential names none [default: us-east-1]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    region: Option<String>,
    /// The account of access keys that are no account number, 12 digits [default: 000000000000]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    account: Option<String>,
    /// How long requests in flight may go on at shutdown [default: 10s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    drain: Option<String>,
    /// Refuse puts when the disk has less free space than this [default: 64MiB]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    min_free: Option<String>,
    /// Take snapshots on request, POST /_millstream/snapshot, into this directory
    #[arg(long, value_name = "DIR")]
    snapshots: Option<String>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", allow_hyphen_values = true)]
    log_level: Option<String>,
    /// Form of the log on standard error [default: text]
    #[arg(long, value_name = "text|json", allow_hyphen_values = true)]
    log_format: Option<String>,
    /// Speak TLS as well, on the same port, with this certificate (PEM, the chain after it); see millstream certs
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// The certificate's private key (PEM, not encrypted)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Speak nothing but TLS
    #[arg(long)]
    tls_only: bool,
    /// Print the effective configuration as a TOML file and exit
    #[arg(long)]
    pub print_config: bool,
}

impl ServeArgs {
    /// What was given, as the topmost layer of the configuration.
    pub fn layer(&self) -> Layer {
        let text = |value: &Option<String>| value.clone().map(Raw::Text);
        let list = |values: &[String]| (!values.is_empty()).then(|| Raw::List(values.to_vec()));
        let switch = |on: bool| on.then_some(Raw::Switch(true));
        [
            (Key::Listen, list(&self.listen)),
            (Key::DataDir, text(&self.data_dir)),
            (Key::Durability, text(&self.durability)),
            (Key::Ephemeral, switch(self.ephemeral)),
            (Key::EphemeralMax, text(&self.ephemeral_max)),
            (Key::Limits, text(&self.limits)),
            (Key::TransitionDelay, text(&self.transition_delay)),
            (Key::Auth, text(&self.auth)),
            (Key::AllowAnonymous, switch(self.allow_anonymous)),
            (Key::TestControls, switch(self.test_controls)),
            (Key::AllowHost, list(&self.allow_host)),
            (Key::CorsOrigin, list(&self.cors_origin)),
            (Key::Region, text(&self.region)),
            (Key::Account, text(&self.account)),
            (Key::Drain, text(&self.drain)),
            (Key::MinFree, text(&self.min_free)),
            (Key::Snapshots, text(&self.snapshots)),
            (Key::LogLevel, text(&self.log_level)),
            (Key::LogFormat, text(&self.log_format)),
            (Key::TlsCert, text(&self.tls_cert)),
            (Key::TlsKey, text(&self.tls_key)),
            (Key::TlsOnly, switch(self.tls_only)),
        ]
        .into_iter()
        .filter_map(|(key, raw)| raw.map(|raw| (key, raw)))
        .collect()
    }
}

/// The one line of a mistake on the command line, without clap's usage below it.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let line = lines.join(" ");
    printable(&format!("{}; see --help", line.strip_prefix("error: ").unwrap_or(&line)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn mistakes_take_one_line() {
        for arguments in [&["millstream", "serve", "--no-such-flag"][..], &["millstream", "check"], &["millstream"]] {
            let line = one_line(&Cli::try_parse_from(arguments).unwrap_err());
            assert!(!line.contains('\n') && !line.is_empty(), "{line}");
        }
        let line = one_line(&Cli::try_parse_from(["millstream", "serve", "--no-such-flag"]).unwrap_err());
        assert!(line.contains("--no-such-flag"), "{line}");
    }

    #[test]
    fn flags_become_a_layer() {
        let arguments = ["millstream", "serve", "--listen", "a", "--listen", "b", "--ephemeral", "--drain", "-1s"];
        let Command::Serve(flags) = Cli::try_parse_from(arguments).unwrap().command else { panic!("not serve") };
        let layer = flags.layer();
        assert_eq!(layer.len(), 3);
        assert_eq!(layer[&Key::Listen], Raw::List(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(layer[&Key::Drain], Raw::Text("-1s".to_owned()));
    }
}
