//! Who is measured, and how it is started.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_harness::{Endpoint, Server, ServerCommand};

use crate::error::BenchError;
use crate::results::{self, Role};

mod peers;

const ACCOUNT: &str = "000000000000";
const START_LIMIT: Duration = Duration::from_secs(60);

/// What not every server can do. A scenario that needs what a contestant cannot do leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// Bodies in CBOR.
    Cbor,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
    /// SubscribeToShard over HTTP/2.
    FanOut,
    /// Records of up to 10 MiB.
    LargeRecords,
    /// Its records are still there when it is started on the same directory again.
    Restart,
}

/// A server that speaks Kinesis.
#[derive(Debug, Clone)]
pub struct Contestant {
    about: results::Contestant,
    program: PathBuf,
    abilities: &'static [Ability],
    slow: bool,
    command: fn(&Path, &Path, u16) -> ServerCommand,
}

impl Contestant {
    /// This project's server, durable, without limits; the path of its binary.
    #[must_use]
    pub fn millstream(program: &Path) -> Self {
        use Ability::{Cbor, FanOut, Http2, LargeRecords, Restart};
        Self {
            about: about("millstream", "Millstream", Role::Subject, "fdatasync before the answer"),
            program: program.to_owned(),
            abilities: &[Cbor, Http2, FanOut, LargeRecords, Restart],
            slow: false,
            command: |program, dir, _| {
                let more = ["--limits", "none", "--transition-delay", "0ms", "--log-level", "warn"];
                ServerCommand::millstream(program, &dir.join("data"), &dir.join("millstream.log"), &more)
            },
        }
    }

    /// A peer by its id, which its version may follow (`ferrokinesis@0.7.0`); the path of its program.
    ///
    /// # Errors
    /// When no peer has that id.
    pub fn peer(name: &str, program: &Path) -> Result<Self, BenchError> {
        let (id, version) = name.split_once('@').map_or((name, None), |(id, version)| (id, Some(version)));
        let peer = peers::ALL.iter().find(|peer| peer.id == id);
        let peer = peer.ok_or_else(|| BenchError::Arguments(format!("there is no peer {id:?}")))?;
        let about = about(peer.id, peer.name, Role::Peer, peer.keeps);
        Ok(Self {
            about: results::Contestant { version: version.map(str::to_owned), ..about },
            program: program.to_owned(),
            abilities: peer.abilities,
            slow: peer.slow,
            command: peer.command,
        })
    }

    /// What tables say of it.
    #[must_use]
    pub fn about(&self) -> &results::Contestant {
        &self.about
    }

    /// Its id in results.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.about.id
    }

    /// Whether it is Millstream itself.
    #[must_use]
    pub fn is_subject(&self) -> bool {
        self.about.role == Role::Subject
    }

    /// Whether it takes so little, and writes so much for it, that it is measured only where a goal names it.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether it can do that.
    #[must_use]
    pub fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }

    /// How to start it with all its files under `dir`, which exists; on the same directory again it finds what it had.
    ///
    /// # Errors
    /// When no port is free.
    pub fn command(&self, dir: &Path) -> Result<ServerCommand, BenchError> {
        // Most peers do not say which port they took, so they are given one.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok((self.command)(&self.program, dir, port))
    }

    /// Starts it under `dir`, which exists, and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self, dir: &Path) -> Result<(Server, Endpoint), BenchError> {
        let server = Server::start(&self.command(dir)?, START_LIMIT)?;
        let endpoint = endpoint(&server)?;
        Ok((server, endpoint))
    }
}

fn about(id: &str, name: &str, role: Role, keeps: &str) -> results::Contestant {
    results::Contestant { id: id.to_owned(), name: name.to_owned(), role, version: None, keeps: keeps.to_owned() }
}

/// Where a started server is.
///
/// # Errors
/// When it has not said so.
pub fn endpoint(server: &Server) -> Result<Endpoint, BenchError> {
    let address = server.address().ok_or_else(|| std::io::Error::other("the server has no address"))?;
    Ok(Endpoint::new(address, ACCOUNT))
}
