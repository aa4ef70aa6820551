//! From a snapshot to files that a service can be opened on.

use std::io;
use std::path::{Path, PathBuf};

use millstream_env::{DiskFile, Env, OpenMode};
use millstream_log::Offset;
use millstream_log::copy::{copy, sum, sync_tree};
use millstream_log::segment::set_base;

use super::manifest::{File, Manifest, Unusable};
use super::{CATALOG, KEYS, LOG, MANIFEST};
use crate::token::{KeysError, TokenKeys};

/// A restored directory's offsets begin at a multiple of the time of its restore: this many to the millisecond. Whoever was
/// restored earlier, or was never, has used fewer until then, so that nobody's numbers are used again, and later ones are
/// higher.
const OFFSETS_PER_MS: u64 = 1 << 20;
/// From the year 2025 on,
const TIME_ZERO: u64 = 1_735_689_600_000;
/// until the year 2094.
const TIMES: u64 = 1 << 41;
/// At least so far they lie beyond those in the snapshot, whatever the clock says.
const LEAST_JUMP: Offset = 1 << 40;

/// A snapshot at rest.
pub struct Snapshot {
    env: Env,
    path: PathBuf,
    manifest: Manifest,
}

/// Where the parts of a snapshot go. Nothing may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The log engine's directory.
    pub log: PathBuf,
    /// The catalog's file.
    pub catalog: PathBuf,
    /// The file of the keys that seal iterators and tokens.
    pub keys: PathBuf,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Streams.
    pub streams: u64,
    /// Files copied.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The snapshot's moment, ms since the epoch.
    pub taken_ms: u64,
    /// What was not whole when the snapshot was taken: one line each.
    pub problems: Vec<String>,
}

/// Why a snapshot can't be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is none.
    #[error("{}: there is no snapshot", .0.display())]
    Missing(PathBuf),
    /// It was never finished.
    #[error("{}: is not a whole snapshot: it has no {MANIFEST}, which is written last", .0.display())]
    Incomplete(PathBuf),
    /// A file of it is not what it was.
    #[error("{}: is damaged or missing ({what}): nothing was restored", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A newer Millstream wrote it.
    #[error("{}: has {what}, which is newer than Millstream {} knows: restore it with the version that wrote it", path.display(), env!("CARGO_PKG_VERSION"))]
    Newer {
        /// The snapshot.
        path: PathBuf,
        /// What is newer.
        what: String,
    },
    /// There is no room for it.
    #[error("{}: the disk is full", .0.display())]
    Full(PathBuf),
    /// The disk failed.
    #[error("{}: {error}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The keys can't be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl RestoreError {
    fn disk(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
        let path = path.to_path_buf();
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => RestoreError::Full(path),
            _ => RestoreError::Disk { path, error },
        }
    }
}

impl Snapshot {
    /// Looks at the snapshot in the directory `path`: at its manifest, not at its files. Blocks.
    ///
    /// # Errors
    /// [`RestoreError`], if it is none, not whole, or newer than this version.
    pub fn open(env: &Env, path: &Path) -> Result<Snapshot, RestoreError> {
        let file = path.join(MANIFEST);
        let bytes = match env.disk.read_file(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = path.to_path_buf();
                let is_there = env.disk.list(&path).is_ok();
                return Err(if is_there { RestoreError::Incomplete(path) } else { RestoreError::Missing(path) });
            }
            bytes => bytes.map_err(RestoreError::disk(&file))?,
        };
        let manifest = Manifest::decode(&bytes).map_err(|unusable| match unusable {
            Unusable::Damaged(what) => RestoreError::Damaged { path: file, what },
            Unusable::Newer(what) => RestoreError::Newer { path: path.to_path_buf(), what },
        })?;
        Ok(Snapshot { env: env.clone(), path: path.to_path_buf(), manifest })
    }

    /// Reads every byte of the snapshot. Blocks.
    ///
    /// # Errors
    /// [`RestoreError::Damaged`] for the first file that is not what it was.
    pub fn verify(&self) -> Result<(), RestoreError> {
        for file in &self.manifest.files {
            let path = self.path.join(&file.path);
            let source = self.source(&path)?;
            let found = sum(&*source).map_err(RestoreError::disk(&path))?;
            self.check(file, file.is(found))?;
        }
        Ok(())
    }

    /// Copies the snapshot, which was verified, to where a service can be opened on it. That begins its offsets where nobody's
    /// are, and takes no iterators and tokens of before. Durable when it returns. Blocks.
    ///
    /// # Errors
    /// [`RestoreError`], with what was done left behind.
    pub fn restore(&self, places: &Places) -> Result<Restored, RestoreError> {
        let disk = &*self.env.disk;
        disk.create_dir_all(&places.log).map_err(RestoreError::disk(&places.log))?;
        for file in &self.manifest.files {
            let to = place(&file.path, places);
            if let Some(dir) = to.parent() {
                disk.create_dir_all(dir).map_err(RestoreError::disk(dir))?;
            }
            let source = self.source(&self.path.join(&file.path))?;
            self.check(file, source.len().is_ok_and(|length| length == file.length))?;
            let copied = copy(disk, &*source, &[], &to, file.length).map_err(RestoreError::disk(&to))?;
            self.check(file, file.is(copied))?;
        }
        // A snapshot's moment is in the past, also where this machine's clock is behind.
        let now = self.env.clock.now().max(self.manifest.taken_ms);
        set_base(&self.env, &places.log, base(now, self.manifest.highest_offset))
            .and_then(|()| sync_tree(disk, &places.log))
            .map_err(RestoreError::disk(&places.log))?;
        TokenKeys::load(&self.env, &places.keys)?.retire()?;
        for path in [&places.log, &places.catalog, &places.keys] {
            if let Some(dir) = path.parent() {
                disk.sync_dir(dir).map_err(RestoreError::disk(dir))?;
            }
        }
        Ok(Restored {
            streams: self.manifest.streams,
            files: self.manifest.files.len(),
            bytes: self.manifest.bytes(),
            taken_ms: self.manifest.taken_ms,
            problems: self.manifest.problems.clone(),
        })
    }

    fn source(&self, path: &Path) -> Result<Box<dyn DiskFile>, RestoreError> {
        self.env.disk.open(path, OpenMode::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                RestoreError::Damaged { path: path.to_path_buf(), what: "there is no such file".to_owned() }
            }
            _ => RestoreError::disk(path)(error),
        })
    }

    fn check(&self, file: &File, is_sound: bool) -> Result<(), RestoreError> {
        let damaged = || RestoreError::Damaged {
            path: self.path.join(&file.path),
            what: "it does not match length and CRC in the manifest".to_owned(),
        };
        if is_sound { Ok(()) } else { Err(damaged()) }
    }
}

fn place(path: &str, places: &Places) -> PathBuf {
    match path {
        CATALOG => places.catalog.clone(),
        KEYS => places.keys.clone(),
        path => places.log.join(Path::new(path).strip_prefix(LOG).unwrap_or(Path::new(path))),
    }
}

/// Where the offsets of a restore at time `now` begin, `highest` being above all in the snapshot.
fn base(now: u64, highest: Offset) -> Offset {
    let since = now.saturating_sub(TIME_ZERO);
    let by_time = if since < TIMES { since * OFFSETS_PER_MS } else { 0 };
    by_time.max(highest.saturating_add(LEAST_JUMP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_restores_begin_higher_and_all_beyond_the_snapshot() {
        let now = TIME_ZERO + 60_000_000_000;
        for highest in [0, 12_345, base(now, 0) - 1, base(now, 0) + 1_000_000] {
            assert!(base(now, highest) >= highest + LEAST_JUMP);
            assert!(base(now + 1000, highest) >= base(now, highest));
        }
        // What a second's difference is good for.
        assert!(base(now + 1000, 0) - base(now, 0) > 1_000_000_000);
        // Far from what sequence numbers and the log can hold, whatever the clock says.
        for time in [0, TIME_ZERO, TIME_ZERO + TIMES - 1, TIME_ZERO + TIMES, u64::MAX] {
            assert!(base(time, 1 << 60) < 3 << 60);
        }
    }
}
