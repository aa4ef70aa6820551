//! What readers need of sealed segments, loaded on demand into a bounded cache.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::DiskFile;
use parking_lot::Mutex;

use super::files::FileKey;
use super::footer::{Footer, IndexEntry};
use super::format::{SegmentHeader, ShardStart};
use super::index;
use super::recovery::{chain, footer_of};
use super::scan::{ScanError, read_footer, read_header};
use super::stream::Stream;
use crate::{Offset, ShardIndex, TimeMs};

/// A sealed segment's header, without the log's descriptor, and its index.
pub(crate) struct SegmentMeta {
    /// The file that this was read from, whatever has its name now.
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: SegmentHeader,
    /// Where commits start and end.
    pub(crate) start: u64,
    pub(crate) footer: Footer,
}

impl SegmentMeta {
    fn bytes(&self) -> usize {
        256 + self.header.shards.len() * size_of::<ShardStart>() + self.footer.index.bytes()
    }

    /// Where to start scanning for `from`.
    pub(crate) fn position(&self, shard: ShardIndex, from: Offset) -> Option<u64> {
        index::position(self.footer.index.of(shard)?, from)
    }

    /// Where to start looking for the first record at or after `time`.
    pub(crate) fn seek_time(&self, shard: ShardIndex, time: TimeMs) -> Option<IndexEntry> {
        index::seek_time(self.footer.index.of(shard)?, time)
    }
}

/// Most segments in the cache: each holds its file open.
const METAS_MAX: usize = 512;

/// The cache, shared by all logs.
pub(crate) struct MetaCache {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    metas: HashMap<FileKey, (Arc<SegmentMeta>, u64)>,
    bytes: usize,
    clock: u64,
    /// Counts what was forgotten: what was loaded before must not be kept after.
    forgotten: u64,
}

impl MetaCache {
    pub(crate) fn new(limit: usize) -> MetaCache {
        MetaCache { limit, inner: Mutex::default() }
    }

    fn lookup(&self, key: FileKey) -> Option<Arc<SegmentMeta>> {
        let mut inner = self.inner.lock();
        inner.clock += 1;
        let now = inner.clock;
        let (meta, used) = inner.metas.get_mut(&key)?;
        *used = now;
        Some(Arc::clone(meta))
    }

    fn forgotten(&self) -> u64 {
        self.inner.lock().forgotten
    }

    fn put(&self, key: FileKey, meta: Arc<SegmentMeta>, forgotten: u64) {
        let mut inner = self.inner.lock();
        if inner.forgotten != forgotten {
            return;
        }
        inner.clock += 1;
        let now = inner.clock;
        inner.bytes += meta.bytes();
        if let Some((old, _)) = inner.metas.insert(key, (meta, now)) {
            inner.bytes -= old.bytes();
        }
        while (inner.bytes > self.limit || inner.metas.len() > METAS_MAX) && inner.metas.len() > 1 {
            let oldest = inner.metas.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            let Some((old, _)) = oldest.and_then(|key| inner.metas.remove(&key)) else { break };
            inner.bytes -= old.bytes();
        }
    }

    pub(crate) fn forget(&self, key: FileKey) {
        let mut inner = self.inner.lock();
        inner.forgotten += 1;
        if let Some((old, _)) = inner.metas.remove(&key) {
            inner.bytes -= old.bytes();
        }
    }

    pub(crate) fn forget_log(&self, log: u64) {
        let keys: Vec<FileKey> = self.inner.lock().metas.keys().filter(|(l, _)| *l == log).copied().collect();
        for key in keys {
            self.forget(key);
        }
    }
}

/// The meta of a sealed segment. One whose footer is not written yet (or damaged) is scanned, up to the first commit of
/// the segment that follows, `next`.
pub(crate) fn load(stream: &Stream, number: u64, next: Option<u64>) -> Result<Arc<SegmentMeta>, ScanError> {
    let key = (stream.key, number);
    let cache = &stream.shared.metas;
    if let Some(meta) = cache.lookup(key) {
        return Ok(meta);
    }
    let forgotten = cache.forgotten();
    let file = stream.file(number)?;
    let (mut header, start) = read_header(&*file)?;
    if header.number != number || header.id != stream.id {
        return Err(ScanError::Damaged(format!("segment {number} has the header of another")));
    }
    let sealing = stream.if_open(|log| log.sealing.get(&number).cloned()).flatten();
    let footer = match sealing {
        // A scan would take long, and meet the end of the file as it moves.
        Some(footer) => Some(Footer::clone(&footer)),
        None => read_footer(&*file, header.salt)?,
    };
    let footer = match footer {
        Some(footer) => footer,
        None => {
            let next_commit = match next {
                Some(next) => {
                    let file = stream.file(next)?;
                    Some(read_header(&*file)?.0.first_commit)
                }
                None => None,
            };
            let chain = chain(&*file, &header, start, file.len()?, next_commit)?;
            footer_of(&chain.commits, start, next_commit.unwrap_or(u64::MAX))
        }
    };
    // No reader asks for it, and with many shards it is most of what the cache would hold.
    header.descriptor = Bytes::new();
    let meta = Arc::new(SegmentMeta { file, header, start, footer });
    cache.put(key, Arc::clone(&meta), forgotten);
    Ok(meta)
}
