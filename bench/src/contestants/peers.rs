//! The other servers: how each is started, and what it can do.
//!
//! Flags are from their own `--help`, settings from their manuals. What each can do was found by asking it: a request in
//! CBOR, one over HTTP/2 without TLS, a subscription, a record of 10 MiB, a start on the same directory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use millstream_harness::{Ready, ServerCommand};

use super::Ability::{self, Cbor, FanOut, Http2, LargeRecords, Restart};

/// A server that others made.
pub(super) struct Peer {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) keeps: &'static str,
    pub(super) abilities: &'static [Ability],
    /// See [`super::Contestant::is_slow`].
    pub(super) slow: bool,
    /// The command of a program, with its files under a directory, on a port of its own.
    pub(super) command: fn(&Path, &Path, u16) -> ServerCommand,
}

/// What an in-memory server keeps.
const MEMORY: &str = "memory only";

/// All of them, in the order of the tables. None is held back by limits of its own where it has a switch for them, and none
/// writes a line per request where it can be told not to.
pub(super) const ALL: &[Peer] = &[
    Peer {
        id: "ferrokinesis",
        name: "ferrokinesis",
        keeps: MEMORY,
        abilities: &[Cbor, Http2, FanOut],
        slow: false,
        command: |program, dir, port| ferrokinesis(program, dir, port, &[]),
    },
    Peer {
        id: "ferrokinesis-state-dir",
        name: "ferrokinesis `--state-dir`",
        keeps: "a log of its own on disk",
        abilities: &[Cbor, Http2, FanOut, Restart],
        // It writes gigabytes for some ten thousand records.
        slow: true,
        command: |program, dir, port| {
            let state = dir.join("state").display().to_string();
            ferrokinesis(program, dir, port, &["--state-dir", &state])
        },
    },
    Peer {
        id: "kinesalite",
        name: "kinesalite",
        keeps: MEMORY,
        // Its answers in CBOR break off after 16 KiB.
        abilities: &[],
        slow: false,
        command: |program, dir, port| {
            let program_and_port = [&*program.display().to_string(), "--port", &port.to_string()];
            let more = ["--createStreamMs", "0", "--shardLimit", "1000000"];
            at("node", [program_and_port.as_slice(), &more].concat().as_slice(), dir, port)
        },
    },
    Peer {
        id: "kinesis-local",
        name: "kinesis-local",
        keeps: MEMORY,
        // It sends more over HTTP/2 than it was allowed to, and takes records above 1 MiB only after UpdateMaxRecordSize.
        abilities: &[Cbor],
        slow: false,
        command: |program, dir, port| {
            // It reads a certificate from where it is started, and its settings from the environment.
            let home = program.parent().map(|home| home.display().to_string()).unwrap_or_default();
            let settings = [
                &*format!("KINESIS_MOCK_PLAIN_PORT={port}"),
                "KINESIS_MOCK_TLS_PORT=0",
                "CREATE_STREAM_DURATION=0ms",
                "REGISTER_STREAM_CONSUMER_DURATION=0ms",
                "SHARD_LIMIT=1000000",
                "LOG_LEVEL=ERROR",
            ];
            let start = ["node", &*program.display().to_string()];
            at("env", &[["-C", &home].as_slice(), &settings, &start].concat(), dir, port)
        },
    },
    Peer {
        id: "moto",
        name: "moto",
        keeps: MEMORY,
        abilities: &[LargeRecords],
        slow: false,
        command: |program, dir, port| at(&program.display().to_string(), &["--port", &port.to_string()], dir, port),
    },
];

fn ferrokinesis(program: &Path, dir: &Path, port: u16, more: &[&str]) -> ServerCommand {
    let port_and_limits = ["--port", &*port.to_string(), "--shard-limit", "1000000", "--max-request-body-mb", "256"];
    let quiet = ["--create-stream-ms", "0", "--access-log", "false", "--log-level", "error"];
    at(&program.display().to_string(), &[port_and_limits.as_slice(), &quiet, more].concat(), dir, port)
}

/// A command whose server is ready when it takes connections on the port that it was given.
fn at(program: &str, arguments: &[&str], dir: &Path, port: u16) -> ServerCommand {
    ServerCommand {
        program: PathBuf::from(program),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        ready: Ready::Accepts(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        output: dir.join("peer.log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::Contestant;

    #[test]
    fn peers_are_found_with_and_without_a_version() {
        for peer in ALL {
            assert!(Contestant::peer(peer.id, Path::new("/p")).is_ok_and(|who| who.about().version.is_none()));
        }
        let versioned = Contestant::peer("moto@5.2.5", Path::new("/p")).unwrap();
        assert_eq!((versioned.id(), versioned.about().version.as_deref()), ("moto", Some("5.2.5")));
        assert!(Contestant::peer("localstack", Path::new("/p")).is_err());
    }
}
