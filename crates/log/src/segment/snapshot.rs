//! What every log has at one moment, copied while they go on.
//!
//! A sealed segment is never written to again, so that a second name is as good as a copy; of the others the durable part
//! is copied. While it is held nothing that was there is removed: trims leave their segments to the next one, deleted logs
//! stay in the trash. A dropped segment's file that has another name is not recycled either (`space::recycle`), whoever
//! gave it that name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use millstream_env::{Disk, DiskFile, OpenMode};

use super::commit::Committed;
use super::recovery::segments_in;
use super::scan::{ScanError, read_footer, read_header};
use super::space::trash_dir;
use super::stream::{Life, OpenLog, Stream};
use super::{Durability, Shared, base, dir_of, log_error, segment_name, space};
use crate::copy::{Sum, copy, sum};
use crate::{CopiedFile, Epoch, LogCut, LogError, Offset, ReadError};

/// Counts those who hold what the logs have.
#[derive(Default)]
pub(crate) struct Holds(AtomicUsize);

impl Holds {
    /// Whether anyone does. Asked under a log's lock, or after a look at the trash: then the answer holds for what was
    /// taken out of the log, or found in the trash, before.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

struct Hold(Arc<Shared>);

impl Hold {
    fn take(shared: &Arc<Shared>) -> Hold {
        shared.holds.0.fetch_add(1, Ordering::SeqCst);
        Hold(Arc::clone(shared))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.0.holds.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            space::empty_trash(&self.0);
        }
    }
}

/// What one log had.
struct Held {
    stream: Arc<Stream>,
    /// Ascending; `None` if the log could not be opened: then nobody writes to any of its files.
    segments: Option<Vec<u64>>,
    /// Where the commits of segments end that have no footer yet.
    ends: BTreeMap<u64, u64>,
}

struct Cut {
    logs: Vec<Held>,
    highest: Offset,
    problems: Vec<String>,
    hold: Hold,
}

/// See [`crate::Log::prepare_cut`].
pub(crate) async fn prepare(shared: Arc<Shared>, streams: Vec<Arc<Stream>>) -> Result<(), LogError> {
    let pool = Arc::clone(&shared.env.pool);
    let there = pool.run(move || {
        // Those that are being created have nothing yet.
        let mut streams = streams;
        streams.retain(|stream| shared.env.disk.exists(&stream.dir));
        streams
    });
    let closing = || LogError::Disk("shutting down".into());
    for stream in there.await.ok_or_else(closing)? {
        let joined = stream.opened(|log| make_durable(&stream, log)).await;
        match joined {
            // A log that takes no writes keeps what is durable.
            Ok(Some(outcome)) => drop(outcome.await),
            Ok(None) | Err(ReadError::Deleted) => {}
            Err(ReadError::Unavailable(_) | ReadError::Corrupt(_)) if stream.state_name() == "unavailable" => {}
            Err(ReadError::Unavailable(why) | ReadError::Corrupt(why)) => {
                return Err(LogError::Disk(format!("log {}: {why}", stream.id).into()));
            }
        }
    }
    Ok(())
}

/// What relaxed mode has acknowledged and not synced: a trim that trims nothing is synced, with all before it.
fn make_durable(stream: &Arc<Stream>, log: &mut OpenLog) -> Option<Committed> {
    // What the writer is syncing at the moment is not durable either.
    let may_wait = log.writing || !log.unsynced.is_empty();
    if !matches!(stream.shared.config.durability, Durability::Relaxed(_)) || !may_wait {
        return None;
    }
    let floor = log.content.floor_time;
    stream.join_trim(log, floor, Bytes::new(), Epoch(stream.shared.epoch)).ok().map(Committed::new)
}

/// See [`crate::Log::cut`].
pub(crate) fn cut(shared: &Arc<Shared>, mut streams: Vec<Arc<Stream>>) -> Arc<dyn LogCut> {
    let hold = Hold::take(shared);
    streams.sort_by(|a, b| a.id.cmp(&b.id));
    // All at once: what was put after a reader saw a record of another log is not there without that record.
    let lives: Vec<_> = streams.iter().map(|stream| stream.life()).collect();
    let mut cut = Cut { logs: Vec::new(), highest: shared.base, problems: Vec::new(), hold };
    for (stream, life) in streams.iter().zip(&lives) {
        let (segments, ends) = match &**life {
            Life::Open(log) => {
                if log.poisoned.is_some() {
                    cut.problems.push(format!("log {}: it takes no writes; what is durable is there", stream.id));
                }
                let used = log.content.shards.values().map(|shard| shard.next).max().unwrap_or(0);
                cut.highest = cut.highest.max(used).max(log.content.base);
                let mut ends: BTreeMap<u64, u64> = log.sealing.iter().map(|(n, footer)| (*n, footer.end)).collect();
                ends.insert(log.active.header.number, log.active.durable_end);
                (Some(log.segments.clone()), ends)
            }
            Life::Unavailable(why) => {
                cut.problems.push(format!("log {}: copied as it is, since it could not be opened: {why}", stream.id));
                (None, BTreeMap::new())
            }
            Life::Cold | Life::Opening | Life::Deleted => continue,
        };
        cut.logs.push(Held { stream: Arc::clone(stream), segments, ends });
    }
    drop(lives);
    Arc::new(cut)
}

impl LogCut for Cut {
    fn logs(&self) -> usize {
        self.logs.len()
    }

    fn highest(&self) -> Offset {
        self.highest
    }

    fn copy(&self, at: usize, to: &Path) -> Result<Vec<CopiedFile>, LogError> {
        let Some(log) = self.logs.get(at) else { return Ok(Vec::new()) };
        log.copy(&self.hold.0, to).map_err(|e| match log_error(&e) {
            LogError::DiskFull => LogError::DiskFull,
            LogError::Disk(what) => LogError::Disk(format!("log {}: {what}", log.stream.id).into()),
        })
    }

    fn copy_own(&self, to: &Path) -> Result<Vec<CopiedFile>, LogError> {
        // Commits of a lower epoch would not count behind those that are there.
        let shared = &self.hold.0;
        let copied = base::copy_epoch(&*shared.env.disk, &shared.config.dir, to).map_err(|e| log_error(&e))?;
        Ok(vec![copied])
    }

    fn problems(&self) -> Vec<String> {
        self.problems.clone()
    }
}

impl Held {
    fn copy(&self, shared: &Shared, root: &Path) -> io::Result<Vec<CopiedFile>> {
        let disk = &*shared.env.disk;
        let segments = match &self.segments {
            Some(segments) => segments.clone(),
            None => segments_in(disk, &self.place(disk))?,
        };
        let below = dir_of(&self.stream.id);
        let dir = root.join(&below);
        disk.create_dir_all(&dir)?;
        let mut files = Vec::with_capacity(segments.len());
        for number in segments {
            let name = segment_name(number);
            let to = dir.join(&name);
            let (sum, is_shared) = match self.share(disk, number, &to)? {
                Some(sum) => (sum, true),
                None => (self.copy_bytes(shared, number, &dir)?, false),
            };
            files.push(CopiedFile { path: below.join(name), sum, shared: is_shared });
        }
        Ok(files)
    }

    /// Where the log's files are now: a log that is deleted meanwhile is in the trash.
    fn place(&self, disk: &dyn Disk) -> PathBuf {
        let own = &self.stream.dir;
        if disk.exists(own) { own.clone() } else { trash_dir(&self.stream) }
    }

    /// Does something with the segment's file under the name that it has: a deletion may come in between.
    fn at_place<T>(&self, disk: &dyn Disk, number: u64, work: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
        let name = segment_name(number);
        match work(&self.place(disk).join(&name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => work(&self.place(disk).join(&name)),
            done => done,
        }
    }

    /// Gives the segment's file a second name, if it is sealed and the file system does that, and makes its bytes durable.
    fn share(&self, disk: &dyn Disk, number: u64, to: &Path) -> io::Result<Option<Sum>> {
        // Of a file that could not be linked, on another file system or one without links, the copy says what else is
        // wrong with it.
        if self.ends.contains_key(&number) || self.at_place(disk, number, |from| disk.hard_link(from, to)).is_err() {
            return Ok(None);
        }
        let file = disk.open(to, OpenMode::Read)?;
        let sealed = match read_header(&*file) {
            Ok((header, _)) => read_footer(&*file, header.salt)?.is_some(),
            Err(ScanError::Damaged(_)) => false,
            Err(ScanError::Disk(e)) => return Err(e),
        };
        if !sealed {
            disk.remove_file(to)?;
            return Ok(None);
        }
        file.sync_data()?;
        sum(&*file).map(Some)
    }

    fn copy_bytes(&self, shared: &Shared, number: u64, dir: &Path) -> io::Result<Sum> {
        let disk = &*shared.env.disk;
        let file = self.at_place(disk, number, |from| disk.open(from, OpenMode::Read))?;
        let (length, head) = match self.ends.get(&number) {
            Some(end) => (*end, with_capacity(&*file, *end)?),
            None => (file.len()?, Vec::new()),
        };
        // Puts would be refused if a copy took what they leave.
        if disk.free_bytes(dir)? < length.saturating_add(shared.config.min_free) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        copy(disk, &*file, &head, &dir.join(segment_name(number)), length)
    }
}

/// The segment's header for a file of that length: one that is shorter than its header says has lost something.
fn with_capacity(file: &dyn DiskFile, capacity: u64) -> io::Result<Vec<u8>> {
    let (mut header, length) = read_header(file).map_err(|e| match e {
        ScanError::Damaged(what) => io::Error::new(io::ErrorKind::InvalidData, what),
        ScanError::Disk(e) => e,
    })?;
    // Headers of before do not say it.
    if header.capacity == 0 {
        return Ok(Vec::new());
    }
    header.capacity = capacity;
    let bytes = header.encode();
    if bytes.len() as u64 != length {
        let what = format!("a header of {length} bytes cannot be written anew");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(bytes)
}
