//! The store's file, on the environment's disk.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use millstream_env::{DiskFile, Env, OpenMode};
use parking_lot::Mutex;
use redb::StorageBackend;

use crate::CatalogError;

/// The first failure of a backend: the store keeps no more of it than that there was one.
#[derive(Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<First>>>);

struct First {
    full: bool,
    text: String,
}

impl Failure {
    pub(crate) fn seen(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Whether the disk was full, and nothing worse.
    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().as_ref().is_some_and(|first| first.full)
    }

    pub(crate) fn text(&self) -> Option<String> {
        self.0.lock().as_ref().map(|first| first.text.clone())
    }

    fn note<T>(&self, doing: &str, may_be_full: bool, result: io::Result<T>) -> io::Result<T> {
        if let Err(e) = &result {
            let full = may_be_full && matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let mut first = self.0.lock();
            match &mut *first {
                // A sync that fails later on weighs more than the full disk before it.
                Some(first) if first.full && !full => *first = First { full, text: format!("{doing}: {e}") },
                Some(_) => {}
                None => *first = Some(First { full, text: format!("{doing}: {e}") }),
            }
        }
        result
    }
}

pub(crate) struct Backend {
    file: Box<dyn DiskFile>,
    failure: Failure,
}

impl Backend {
    pub(crate) fn open(env: &Env, path: &Path, failure: Failure) -> Result<Backend, CatalogError> {
        let file = env.disk.open(path, OpenMode::Write).map_err(|e| CatalogError::from_io(&e))?;
        Ok(Backend { file, failure })
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend")
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.failure.note("reading the length", false, self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.failure.note("reading", false, self.file.read_exact_at(out, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let result = self.file.len().and_then(|now| {
            if len > now {
                // With the space reserved, the writes of a commit can't meet a full disk half-way.
                self.file.allocate(len)?;
            }
            if self.file.len()? == len { Ok(()) } else { self.file.set_len(len) }
        });
        self.failure.note("changing the length", true, result)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.failure.note("syncing", false, self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.failure.note("writing", true, self.file.write_all_at(&[IoSlice::new(data)], offset))
    }
}
