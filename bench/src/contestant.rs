//! Who is measured, and how it is started.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_harness::{Endpoint, Kinesis, Server, ServerCommand};

use crate::error::BenchError;

/// The stream that all is put into.
pub const STREAM: &str = "bench";
/// Its shards.
pub const SHARDS: u32 = 4;
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
    ///
    /// # Errors
    /// When no port is free.
    pub fn command(&self, dir: &Path) -> Result<ServerCommand, BenchError> {
        let output = dir.join(format!("{}.log", self.name()));
        match self {
            Self::Millstream(program) => {
                let more = ["--limits", "none", "--transition-delay", "0ms", "--log-level", "warn"];
                Ok(ServerCommand::millstream(program, &dir.join("data"), &output, &more))
            }
            Self::Ferrokinesis(program) => {
                // It does not say which port it took, so it is given one.
                let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
                let arguments = ["--port", &port, "--create-stream-ms", "0", "--access-log", "false"];
                Ok(ServerCommand {
                    program: program.clone(),
                    arguments: arguments.map(str::to_owned).to_vec(),
                    ready: "Listening at http://".to_owned(),
                    output,
                })
            }
        }
    }

    /// Starts it under `dir` with an ACTIVE stream.
    ///
    /// # Errors
    /// When it does not start or the stream cannot be made.
    pub async fn start(&self, dir: &Path) -> Result<(Server, Endpoint), BenchError> {
        std::fs::create_dir_all(dir)?;
        let server = Server::start(&self.command(dir)?, START_LIMIT)?;
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
