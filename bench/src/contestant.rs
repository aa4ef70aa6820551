//! Who is measured, and how it is started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_harness::{Endpoint, Kinesis, Server, ServerCommand};

use crate::error::BenchError;

/// The stream that all is put into.
pub const STREAM: &str = "bench";
/// Its shards.
pub const SHARDS: u32 = 4;
/// On a free port, with no limits on shards and no log of requests.
const FERROKINESIS_ARGUMENTS: [&str; 2] = ["--port", "0"];
const ACCOUNT: &str = "000000000000";
const START_LIMIT: Duration = Duration::from_secs(60);

/// A server that speaks Kinesis.
#[derive(Debug, Clone)]
pub enum Contestant {
    /// This project's server, durable, without limits; the path of its binary.
    Millstream(PathBuf),
    /// ferrokinesis, which keeps everything in memory and syncs nothing; the path of its binary.
    Ferrokinesis(PathBuf),
}

impl Contestant {
    /// The name in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Millstream(_) => "Millstream",
            Self::Ferrokinesis(_) => "ferrokinesis",
        }
    }

    /// How to start it with its files under `dir`.
    #[must_use]
    pub fn command(&self, dir: &Path) -> ServerCommand {
        let output = dir.join(format!("{}.log", self.name()));
        match self {
            Self::Millstream(program) => {
                let more = ["--limits", "none", "--transition-delay", "0ms", "--log-level", "warn"];
                ServerCommand::millstream(program, &dir.join("data"), &output, &more)
            }
            Self::Ferrokinesis(program) => ServerCommand {
                program: program.clone(),
                arguments: FERROKINESIS_ARGUMENTS.iter().map(|argument| (*argument).to_owned()).collect(),
                ready: "listening on http://".to_owned(),
                output,
            },
        }
    }

    /// Starts it under `dir` with an ACTIVE stream.
    ///
    /// # Errors
    /// When it does not start or the stream cannot be made.
    pub async fn start(&self, dir: &Path) -> Result<(Server, Endpoint), BenchError> {
        std::fs::create_dir_all(dir)?;
        let server = Server::start(&self.command(dir), START_LIMIT)?;
        let endpoint = endpoint(&server)?;
        let mut kinesis = Kinesis::open(&endpoint).await?;
        kinesis.create_stream(STREAM, SHARDS).await?;
        Ok((server, endpoint))
    }
}

/// Where a started server is.
///
/// # Errors
/// When it has not said so.
pub fn endpoint(server: &Server) -> Result<Endpoint, BenchError> {
    let address = server.address().ok_or_else(|| std::io::Error::other("the server has no address"))?;
    Ok(Endpoint::new(address, ACCOUNT))
}
