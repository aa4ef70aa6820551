//! A bounded cache of open segment files.

use std::collections::HashMap;
use std::io;
use std::path::Path;
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

struct Open {
    files: HashMap<FileKey, (Arc<dyn DiskFile>, u64)>,
    clock: u64,
    /// Counts what was forgotten: what was opened before must not be kept after.
    forgotten: u64,
}

impl FileCache {
    pub(crate) fn new(disk: Arc<dyn Disk>, limit: usize) -> FileCache {
        FileCache { disk, limit, open: Mutex::new(Open { files: HashMap::new(), clock: 0, forgotten: 0 }) }
    }

    /// The file, opened if it is not in the cache.
    pub(crate) fn get(&self, key: FileKey, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.lookup(key) {
            return Ok(file);
        }
        let forgotten = self.open.lock().forgotten;
        let file: Arc<dyn DiskFile> = self.disk.open(path, OpenMode::Write)?.into();
        if self.open.lock().forgotten == forgotten {
            self.put(key, Arc::clone(&file));
        }
        Ok(file)
    }

    fn lookup(&self, key: FileKey) -> Option<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        open.clock += 1;
        let now = open.clock;
        let (file, used) = open.files.get_mut(&key)?;
        *used = now;
        Some(Arc::clone(file))
    }

    /// Keeps a file that is open already.
    pub(crate) fn put(&self, key: FileKey, file: Arc<dyn DiskFile>) {
        let mut open = self.open.lock();
        open.clock += 1;
        let now = open.clock;
        open.files.insert(key, (file, now));
        while open.files.len() > self.limit {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            match oldest {
                Some(key) => open.files.remove(&key),
                None => break,
            };
        }
    }

    /// Forgets a file that is renamed or removed.
    pub(crate) fn forget(&self, key: FileKey) {
        let mut open = self.open.lock();
        open.forgotten += 1;
        open.files.remove(&key);
    }

    /// Forgets every file of a log.
    pub(crate) fn forget_log(&self, log: u64) {
        let mut open = self.open.lock();
        open.forgotten += 1;
        open.files.retain(|(l, _), _| *l != log);
    }
}
