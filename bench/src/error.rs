//! Why a measurement is worth nothing.

use std::io;

use millstream_harness::{CallError, StartError};
use thiserror::Error;

/// Anything that ends the benchmark. A measurement with a single wrong answer is no measurement.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file, a process or a connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A call failed that prepares or checks a measurement.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer under load was not the right one.
    #[error("a wrong answer under load: HTTP {status}: {body}")]
    Answer {
        /// Its HTTP status.
        status: u16,
        /// Its first bytes.
        body: String,
    },
    /// What was read back is not what was acknowledged.
    #[error("read back: {0}")]
    ReadBack(String),
    /// The results could not be written.
    #[error("the results: {0}")]
    Report(String),
}
