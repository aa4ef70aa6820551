//! Taking a snapshot while the service goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_catalog::{CatalogCopy, CatalogError};
use millstream_env::{Disk, DiskFile, Env, OpenMode};
use millstream_log::copy::{Sum, copy, sum, sync_tree};
use millstream_log::{CopiedFile, LogCut, LogError};

use super::manifest::{File, Manifest};
use super::{CATALOG, KEYS, LOG, MANIFEST};
use crate::service::Kinesis;

/// What follows the name of a snapshot that is not whole yet.
const PARTIAL: &str = ".partial";

/// The longest name.
const NAME_MAX: usize = 100;

/// A snapshot that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// Its directory.
    pub path: PathBuf,
    /// Streams in it.
    pub streams: u64,
    /// Files in it.
    pub files: usize,
    /// Their bytes,
    pub bytes: u64,
    /// and of these the ones that it does not share with the service's own files.
    pub copied_bytes: u64,
    /// Domain time of its moment, ms since the epoch.
    pub taken_ms: u64,
    /// What of it is not whole: one line each.
    pub problems: Vec<String>,
}

/// Why no snapshot was taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It can't be called so.
    #[error(
        "name: \"{0}\" cannot be a snapshot's name: it has up to {NAME_MAX} letters, digits, '.', '_' and '-', begins with a \
         letter or digit and does not end with {PARTIAL}"
    )]
    Name(String),
    /// There is one of that name.
    #[error("{}: there is something of that name already", .0.display())]
    Exists(PathBuf),
    /// One at a time.
    #[error("another snapshot is being taken")]
    Busy,
    /// It would leave less room on the disk than puts need, or none.
    #[error("there is too little room on the disk for the snapshot")]
    Full,
    /// The disk failed.
    #[error("{}: {error}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The catalog could not be read or copied.
    #[error("the catalog: {0}")]
    Catalog(CatalogError),
    /// The logs could not be held or copied.
    #[error("{0}")]
    Log(LogError),
    /// The service is shutting down.
    #[error("the service is shutting down")]
    Closing,
}

impl From<CatalogError> for SnapshotError {
    fn from(error: CatalogError) -> SnapshotError {
        match error {
            CatalogError::DiskFull => SnapshotError::Full,
            error => SnapshotError::Catalog(error),
        }
    }
}

impl From<LogError> for SnapshotError {
    fn from(error: LogError) -> SnapshotError {
        match error {
            LogError::DiskFull => SnapshotError::Full,
            error => SnapshotError::Log(error),
        }
    }
}

impl SnapshotError {
    fn disk(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
        let path = path.to_path_buf();
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SnapshotError::Full,
            _ => SnapshotError::Disk { path, error },
        }
    }
}

/// A directory in which a snapshot is being made. Its lock keeps others from making one beside it.
struct Begun {
    path: PathBuf,
    partial: PathBuf,
    _lock: Box<dyn DiskFile>,
}

/// What the service had at one moment.
struct Moment {
    catalog: CatalogCopy,
    cut: Arc<dyn LogCut>,
    streams: u64,
    taken_ms: u64,
}

impl Kinesis {
    /// Writes a snapshot of everything into the directory `dir`/`name`, while the service goes on: `dir` is made if it is
    /// missing. All that was acknowledged before the call is in it, and of what comes later as much as was there at one
    /// moment, the same for all streams. It is durable when this returns.
    ///
    /// Until then nothing is removed from the disk. If the call is dropped, what it leaves is removed by the next one.
    ///
    /// # Errors
    /// [`SnapshotError`]; then nothing is left.
    pub async fn snapshot(&self, dir: &Path, name: &str) -> Result<SnapshotTaken, SnapshotError> {
        if !is_name(name) {
            return Err(SnapshotError::Name(name.chars().take(NAME_MAX).collect()));
        }
        let _only = self.snapshotting.try_lock().map_err(|_| SnapshotError::Busy)?;
        let begun = {
            let (dir, name) = (dir.to_path_buf(), name.to_owned());
            self.in_background(move |env| begin(&*env.disk, &dir, &name)).await?
        };
        let begun = Arc::new(begun);
        let taken = match self.moment().await {
            Ok(moment) => self.copy(&begun, moment).await,
            Err(error) => Err(error),
        };
        if taken.is_err() {
            let begun = Arc::clone(&begun);
            let removed = self.in_background(move |env| {
                env.disk.remove_dir_all(&begun.partial).map_err(SnapshotError::disk(&begun.partial))
            });
            if let Err(error) = removed.await {
                tracing::warn!("a snapshot that failed is left for the next one to remove: {error}");
            }
        }
        taken
    }

    /// Holds what there is at one moment: what a crash would leave.
    async fn moment(&self) -> Result<Moment, SnapshotError> {
        self.log.prepare_cut().await?;
        // No change of the catalog comes between it and the logs. What logs decide is ahead of it, as it may be at a crash.
        let guard = Arc::clone(&self.changing).lock_owned().await;
        let (catalog, log, streams) = (Arc::clone(&self.catalog), Arc::clone(&self.log), Arc::clone(&self.streams));
        let clock = Arc::clone(&self.env.clock);
        let held = self.env.pool.run(move || {
            let _guard = guard;
            let catalog = catalog.copy()?;
            let cut = log.cut()?;
            let streams = streams.load().all().len() as u64;
            Ok(Moment { catalog, cut, streams, taken_ms: clock.now() })
        });
        held.await.unwrap_or(Err(SnapshotError::Closing))
    }

    async fn copy(&self, begun: &Arc<Begun>, moment: Moment) -> Result<SnapshotTaken, SnapshotError> {
        let Moment { catalog, cut, streams, taken_ms } = moment;
        let mut files = Vec::new();
        let mut copied_bytes = 0;
        let mut add = |file: CopiedFile| {
            if !file.shared {
                copied_bytes += file.sum.length;
            }
            files.push(File::new(file.path.to_string_lossy().into_owned(), file.sum));
        };
        {
            let (begun, keys) = (Arc::clone(begun), self.config.token_keys.clone());
            let few = move |env: &Env| few_files(env, &begun.partial, &catalog, &keys);
            self.in_background(few).await?.into_iter().for_each(&mut add);
        }
        // One log, then a turn for other upkeep.
        for at in 0..=cut.logs() {
            let (begun, cut) = (Arc::clone(begun), Arc::clone(&cut));
            let one = move |_: &Env| {
                let to = begun.partial.join(LOG);
                let copied = if at < cut.logs() { cut.copy(at, &to)? } else { cut.copy_own(&to)? };
                Ok(copied)
            };
            for file in self.in_background(one).await? {
                add(CopiedFile { path: Path::new(LOG).join(file.path), ..file });
            }
        }
        let problems = cut.problems();
        let mut manifest = Manifest::new(taken_ms, streams, cut.highest(), problems.clone());
        drop(cut);
        manifest.files = files;
        let (count, bytes, path) = (manifest.files.len(), manifest.bytes(), begun.path.clone());
        let begun = Arc::clone(begun);
        self.in_background(move |env| finish(&*env.disk, &begun, manifest)).await?;
        Ok(SnapshotTaken { path, streams, files: count, bytes, copied_bytes, taken_ms, problems })
    }

    async fn in_background<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Env) -> Result<T, SnapshotError> + Send + 'static,
    ) -> Result<T, SnapshotError> {
        let env = self.env.clone();
        self.env.pool.run_in_background(move || work(&env)).await.unwrap_or(Err(SnapshotError::Closing))
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !name.ends_with(PARTIAL)
}

/// Makes the directory for a snapshot, and removes what broken off ones have left.
fn begin(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Begun, SnapshotError> {
    let of_dir = || SnapshotError::disk(dir);
    disk.create_dir_all(dir).map_err(of_dir())?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        match disk.sync_dir(parent) {
            // A parent that may not be read, as above a mounted volume, is not ours to sync.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                return Err(SnapshotError::disk(parent)(error));
            }
            _ => {}
        }
    }
    let lock = disk.lock(&dir.join("LOCK")).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => SnapshotError::Busy,
        _ => of_dir()(error),
    })?;
    let path = dir.join(name);
    if disk.exists(&path) {
        return Err(SnapshotError::Exists(path));
    }
    for left in disk.list(dir).map_err(of_dir())?.into_iter().filter(|e| e.is_dir && e.name.ends_with(PARTIAL)) {
        let left = dir.join(left.name);
        disk.remove_dir_all(&left).map_err(SnapshotError::disk(&left))?;
    }
    let partial = dir.join(format!("{name}{PARTIAL}"));
    let log = partial.join(LOG);
    disk.create_dir_all(&log).map_err(SnapshotError::disk(&log))?;
    Ok(Begun { path, partial, _lock: lock })
}

/// Writes the catalog and the keys.
fn few_files(env: &Env, to: &Path, catalog: &CatalogCopy, keys: &Path) -> Result<[CopiedFile; 2], SnapshotError> {
    let copied = |path: &str, sum: Sum| CopiedFile { path: path.into(), sum, shared: false };
    let path = to.join(CATALOG);
    catalog.write(env, &path)?;
    let read = env.disk.open(&path, OpenMode::Read).and_then(|file| sum(&*file));
    let catalog = copied(CATALOG, read.map_err(SnapshotError::disk(&path))?);
    let read = env.disk.open(keys, OpenMode::Read);
    let keys = read.and_then(|file| copy(&*env.disk, &*file, &[], &to.join(KEYS), file.len()?));
    Ok([catalog, copied(KEYS, keys.map_err(SnapshotError::disk(&to.join(KEYS)))?)])
}

/// Makes a snapshot of what has been copied.
fn finish(disk: &dyn Disk, begun: &Begun, manifest: Manifest) -> Result<(), SnapshotError> {
    let path = begun.partial.join(MANIFEST);
    let done = sync_tree(disk, &begun.partial)
        .and_then(|()| disk.write_file(&path, &manifest.encode()?))
        .and_then(|()| disk.rename(&begun.partial, &begun.path))
        .and_then(|()| begun.path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir)));
    done.map_err(SnapshotError::disk(&begun.path))
}
