//! Why a measurement is worth nothing.

use std::io;

use millstream_harness::{CallError, StartError};
use thiserror::Error;

/// Anything that ends a measurement. One with a single wrong answer is no measurement.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The command line asks for something that there is not.
    #[error("{0}")]
    Arguments(String),
    /// A server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file, a process or a connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// HTTP/2 failed.
    #[error("HTTP/2: {0}")]
    Http2(#[from] h2::Error),
    /// A call failed that prepares or checks a measurement.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer under load was not the right one.
    #[error("a wrong answer under load: {0}")]
    Answer(String),
    /// What was read is not what was acknowledged.
    #[error("read back: {0}")]
    ReadBack(String),
    /// A load or a scenario did not end in time.
    #[error("it did not end within {0} s")]
    Late(u64),
    /// A signal ended the run.
    #[error("the run was interrupted")]
    Interrupted,
    /// What the scenario needs did not come about, e.g. a cold cache.
    #[error("{0}")]
    Conditions(String),
    /// The results could not be written.
    #[error("the results: {0}")]
    Report(String),
}

impl From<rustix::io::Errno> for BenchError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl BenchError {
    /// An answer that is not the right one, with its first bytes.
    #[must_use]
    pub fn answer(status: u16, body: &[u8]) -> Self {
        Self::Answer(format!("HTTP {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)])))
    }
}
