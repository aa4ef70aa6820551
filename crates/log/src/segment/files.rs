//! A bounded cache of open segment files.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_env::{Disk, DiskFile, OpenMode};
use parking_lot::Mutex;

/// Names an open file: the log's number in this process, and the segment.
pub(crate) type FileKey = (u64, u64);

/// Open files, the least recently used of which are closed when there are too many.
pub(crate) struct FileCache {
    disk: Arc<dyn Disk>,
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    files: HashMap<FileKey, (Arc<dyn DiskFile>, u64)>,
    /// The files by when they were last used.
    by_use: BTreeMap<u64, FileKey>,
    clock: u64,
    /// Counts what was forgotten: what was opened before must not be kept after.
    forgotten: u64,
}

impl FileCache {
    pub(crate) fn new(disk: Arc<dyn Disk>, limit: usize) -> FileCache {
        FileCache { disk, limit, open: Mutex::new(Open::default()) }
    }

    /// The file, opened at `path` if it is not in the cache.
    pub(crate) fn get(&self, key: FileKey, path: impl FnOnce() -> PathBuf) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.lookup(key) {
            return Ok(file);
        }
        let forgotten = self.open.lock().forgotten;
        let file: Arc<dyn DiskFile> = self.disk.open(&path(), OpenMode::Write)?.into();
        if self.open.lock().forgotten == forgotten {
            self.put(key, Arc::clone(&file));
        }
        Ok(file)
    }

    fn lookup(&self, key: FileKey) -> Option<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        let Open { files, by_use, clock, .. } = &mut *open;
        let (file, used) = files.get_mut(&key)?;
        *clock += 1;
        by_use.remove(&std::mem::replace(used, *clock));
        by_use.insert(*clock, key);
        Some(Arc::clone(file))
    }

    /// Keeps a file that is open already.
    pub(crate) fn put(&self, key: FileKey, file: Arc<dyn DiskFile>) {
        let mut open = self.open.lock();
        open.clock += 1;
        let now = open.clock;
        if let Some((_, used)) = open.files.insert(key, (file, now)) {
            open.by_use.remove(&used);
        }
        open.by_use.insert(now, key);
        while open.files.len() > self.limit {
            let Some((_, oldest)) = open.by_use.pop_first() else { break };
            open.files.remove(&oldest);
        }
    }

    /// Forgets a file that is renamed or removed.
    pub(crate) fn forget(&self, key: FileKey) {
        let mut open = self.open.lock();
        open.forgotten += 1;
        if let Some((_, used)) = open.files.remove(&key) {
            open.by_use.remove(&used);
        }
    }

    /// Forgets every file of a log.
    pub(crate) fn forget_log(&self, log: u64) {
        let mut open = self.open.lock();
        open.forgotten += 1;
        open.files.retain(|(l, _), _| *l != log);
        open.by_use.retain(|_, (l, _)| *l != log);
    }
}
