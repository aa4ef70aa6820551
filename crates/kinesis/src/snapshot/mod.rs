//! Snapshots of a running service, and what is made of them again.
//!
//! A snapshot is a directory: the catalog, the keys of tokens and the logs' files as a crash at one moment would leave them,
//! and a manifest, written last, that names every file with its length and CRC. A restore copies it to where a server can
//! open it, and sees to it that no sequence number which was given out since the snapshot is given out again, and that no
//! iterator of before is taken.

mod manifest;
mod restore;
mod take;

pub use restore::{Places, RestoreError, Restored, Snapshot};
pub use take::{SnapshotError, SnapshotTaken};

/// Format of the data directory that this version writes; a snapshot has that of the directory it was made from.
pub const DATA_FORMAT: u32 = 1;

/// Within a snapshot: the manifest,
pub const MANIFEST: &str = "manifest.json";
/// the catalog,
const CATALOG: &str = "catalog.redb";
/// the keys of tokens,
const KEYS: &str = "keys";
/// and the logs' directory.
const LOG: &str = "log";
