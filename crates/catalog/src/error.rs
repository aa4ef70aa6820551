use std::io;
use std::sync::Arc;

/// Why the catalog did not do what it was asked. Each kind says what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// No space on the disk. Nothing was changed; the same may succeed when there is space again.
    #[error("the disk is full")]
    DiskFull,
    /// A commit failed in a way that leaves open whether it will be found after a restart. Nothing may be built on it
    /// or on its absence; every later transaction is [`CatalogError::Poisoned`].
    #[error("the outcome of a catalog commit is unknown: {0}")]
    Unknown(Arc<str>),
    /// An earlier failure forbids any transaction until the process restarts. Nothing was changed.
    #[error("the catalog is poisoned: {0}")]
    Poisoned(Arc<str>),
    /// The record is not the one that the change started from. Nothing was changed: look again, then decide again.
    #[error("the record was changed by another")]
    Conflict,
    /// What is stored is damaged; `check` says more.
    #[error("{what} is damaged: {why}")]
    Corrupt {
        /// The file, or the table and key.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Written by a newer version of Millstream, which is needed to read it.
    #[error("{table} has format {found}, this version knows up to {known}: a newer Millstream is needed")]
    Newer {
        /// What was found to be newer.
        table: String,
        /// The format found.
        found: u8,
        /// The newest format that this version reads.
        known: u8,
    },
    /// The disk failed before anything was changed.
    #[error("the catalog is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// The process is shutting down; nothing was changed.
    #[error("shutting down")]
    Closing,
}

impl CatalogError {
    pub(crate) fn from_io(error: &io::Error) -> CatalogError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CatalogError::DiskFull,
            _ => CatalogError::Unavailable(error.to_string().into()),
        }
    }
}
