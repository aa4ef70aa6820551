//! The writer of a log: takes the open commit, writes and syncs it, and makes it durable for everyone.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::commit::{OpenCommit, Outcome, SealedCommit};
use super::footer::Footer;
use super::format::{BlockKind, COMMIT_ALIGN, COMMIT_CLEAN_STOP, COMMIT_RELAXED, CommitHead, SegmentHeader, align_up};
use super::index::SparseIndex;
use super::recovery::write_footer;
use super::regroup;
use super::space::{self, Spare};
use super::state::Active;
use super::stream::{OpenLog, Stream};
use super::tail::Chunk;
use super::{Durability, segment_name};
use crate::{AppendError, NotWritten, ShardIndex};

const PADDING: [u8; COMMIT_ALIGN as usize] = [0; COMMIT_ALIGN as usize];

/// Relaxed mode syncs early when this many bytes wait for it: they are in memory until readers may see them.
const UNSYNCED_MAX: usize = 32 << 20;

/// What the writer does next, decided under the lock.
enum Work {
    /// Nothing: the writer stops.
    Rest,
    /// Sync what relaxed mode has written.
    Sync,
    Write(Box<Write>),
}

/// A commit to write.
struct Write {
    commit: OpenCommit,
    number: u64,
    mark: u64,
    flags: u32,
    header: Arc<SegmentHeader>,
    position: u64,
    capacity: u64,
    /// A reason to start a new segment even if there is room.
    rotate: bool,
    /// Whether it is the first of this process.
    first: bool,
    stopping: Option<Arc<Outcome>>,
}

/// Where a commit was put.
struct Written {
    number: u64,
    position: u64,
    /// Where the next one goes.
    end: u64,
    /// Set if it is the first of a new segment: its header and capacity.
    rotated: Option<(SegmentHeader, u64)>,
}

/// Why a commit was not written.
enum Failure {
    /// Nothing reached the log's file: the next commit may go on.
    Refused(NotWritten),
    /// The disk failed while writing or syncing: nothing may be assumed.
    Poison(String),
}

/// The writer's job: runs until the log is quiet, or gives way to other jobs between commits.
pub(crate) fn run(stream: &Arc<Stream>) {
    loop {
        let work = stream.if_open(|log| next(stream, log));
        match work {
            None | Some(Work::Rest) => return,
            Some(Work::Sync) => drop(sync_relaxed(stream)),
            Some(Work::Write(write)) => commit(stream, *write),
        }
        if stream.shared.env.pool.has_waiting() {
            let again = Arc::clone(stream);
            stream.shared.env.pool.spawn(Box::new(move || run(&again)));
            return;
        }
    }
}

fn next(stream: &Arc<Stream>, log: &mut OpenLog) -> Work {
    let config = &stream.shared.config;
    let now = stream.shared.env.clock.monotonic();
    let over = log.active.is_over(stream.shared.env.clock.now(), config.seal_age) && !stream.shared.space.is_full();
    if log.poisoned.is_some() {
        log.writing = false;
        return Work::Rest;
    }
    let stopping = log.stopping.is_some();
    if !log.unsynced.is_empty() && (overdue(stream, log) || ((stopping || over) && log.open.is_empty())) {
        return Work::Sync;
    }
    if log.open.is_empty() {
        if log.resting && !stopping {
            log.writing = false;
            return Work::Rest;
        }
        // What is left is worth a commit without blocks: the stop marker, an idle marker, a new segment.
        let unmarked = log.unsynced.is_empty() && log.lacks_marker(&stream.shared);
        if !(stopping || over || (unmarked && now.saturating_sub(log.last_write).as_millis() >= 500)) {
            log.writing = false;
            return Work::Rest;
        }
    }
    if !(log.open.is_empty() || log.open.due || log.open.has_control() || stopping) {
        // Whoever joined it says when: see `Stream::commit_is_due`.
        log.writing = false;
        return Work::Rest;
    }
    let stop_now = stopping && log.open.is_empty();
    let mut flags = if config.durability.is_relaxed() { COMMIT_RELAXED } else { 0 };
    if stop_now {
        flags |= COMMIT_CLEAN_STOP;
    }
    Work::Write(Box::new(Write {
        commit: std::mem::take(&mut log.open),
        number: log.next_commit,
        mark: log.mark,
        flags,
        header: Arc::clone(&log.active.header),
        position: log.active.position,
        capacity: log.active.capacity,
        // In relaxed mode the old segment must be durable before a new one begins.
        rotate: over && log.unsynced.is_empty(),
        first: !log.begun,
        stopping: if stop_now { log.stopping.take() } else { None },
    }))
}

fn overdue(stream: &Stream, log: &OpenLog) -> bool {
    match stream.shared.config.durability {
        Durability::Fsync | Durability::None => true,
        Durability::Relaxed(every) => {
            log.unsynced_bytes >= UNSYNCED_MAX
                || stream.shared.env.clock.monotonic().saturating_sub(log.last_sync) >= every
        }
    }
}

fn commit(stream: &Arc<Stream>, write: Write) {
    let started = stream.shared.env.clock.monotonic();
    let Write { commit, number, mark, flags, header, position, capacity, rotate, first, stopping } = write;
    let bytes = commit.bytes();
    let quiet = commit.is_empty();
    let has_control = commit.has_control();
    stream.shared.regroups.count(bytes);
    let mut sealed = commit.seal();
    // The directory is lent to the head while it is written.
    let mut head = CommitHead {
        number,
        salt: header.salt,
        epoch: stream.shared.epoch,
        mark,
        time: stream.shared.env.clock.now(),
        flags,
        blocks: std::mem::take(&mut sealed.entries),
    };
    let end = align_up(position + head.total(), COMMIT_ALIGN);
    // An idle marker is only advice for recovery: it need not be synced.
    let marker = quiet && stopping.is_none();
    let durability = stream.shared.config.durability;
    let sync = match durability {
        Durability::Fsync => !marker,
        // Closings and trims are decisions that others act upon: they are always synced, with all before them. So is
        // the first commit of a process: only then recovery can see that others, acknowledged after it, were lost.
        Durability::Relaxed(_) => stopping.is_some() || has_control || first,
        Durability::None => false,
    };
    if sync
        && durability.is_relaxed()
        && let Err(why) = sync_relaxed(stream)
    {
        stream.shared.meters.in_flight.remove(bytes);
        return fail(stream, sealed, Failure::Refused(NotWritten::Poisoned(why)), stopping);
    }
    let result = if rotate || end > capacity {
        rotate_and_write(stream, &mut head, &sealed, capacity)
    } else {
        let written = Written { number, position, end, rotated: None };
        write_in_place(stream, &head, &sealed, &header, position, sync).map(|()| written)
    };
    sealed.entries = head.blocks;
    match result {
        Ok(written) => {
            if !quiet {
                stream.shared.meters.commits.increment(1);
                stream.shared.meters.commit_bytes.record(bytes as f64);
                let took = stream.shared.env.clock.monotonic().saturating_sub(started);
                stream.shared.meters.sync_seconds.record(took.as_secs_f64());
            }
            let durable = sync || written.rotated.is_some() || durability == Durability::None;
            finish(stream, sealed, mark, written, durable, stopping);
        }
        Err(failure) => fail(stream, sealed, failure, stopping),
    }
    stream.shared.meters.in_flight.remove(bytes);
}

fn parts<'a>(head: &'a [u8], sealed: &'a SealedCommit, total: u64) -> Vec<IoSlice<'a>> {
    let mut parts = Vec::with_capacity(sealed.chunks.len() + sealed.control.len() + 2);
    parts.push(IoSlice::new(head));
    parts.extend(sealed.bodies().map(|b| IoSlice::new(b)));
    let padding = (align_up(total, COMMIT_ALIGN) - total) as usize;
    parts.push(IoSlice::new(&PADDING[..padding]));
    parts
}

fn write_in_place(
    stream: &Stream,
    head: &CommitHead,
    sealed: &SealedCommit,
    header: &SegmentHeader,
    position: u64,
    sync: bool,
) -> Result<(), Failure> {
    let poison = |e: io::Error| Failure::Poison(e.to_string());
    // Nothing is written yet: the next commit may go on.
    let unavailable = |e: io::Error| Failure::Refused(NotWritten::Unavailable(e.to_string().into()));
    let file = stream.file(header.number).map_err(unavailable)?;
    let encoded = head.encode();
    match file.write_all_at(&parts(&encoded, sealed, head.total()), position) {
        Ok(()) => {}
        // The space is reserved, yet a file system may refuse. Nothing was synced, and the next commit overwrites it.
        Err(e) if space::is_full_error(&e) => {
            stream.shared.space.meet_full_disk(&stream.shared);
            return Err(Failure::Refused(NotWritten::DiskFull));
        }
        Err(e) => return Err(poison(e)),
    }
    if sync {
        file.sync_data().map_err(poison)?;
    }
    Ok(())
}

/// Starts a new segment with the commit as its first: header and commit in one write and one sync, then its name.
fn rotate_and_write(
    stream: &Arc<Stream>,
    head: &mut CommitHead,
    sealed: &SealedCommit,
    old_capacity: u64,
) -> Result<Written, Failure> {
    // Everything before must be durable: the new segment's header vouches for it.
    sync_relaxed(stream).map_err(|why| Failure::Refused(NotWritten::Poisoned(why)))?;
    let shared = &stream.shared;
    let prepared = stream.if_open(|log| {
        let header = shared.new_header(&stream.id, &log.content, log.active.header.number + 1, log.mark + 1);
        // An unsynced marker in the old segment may be lost: the new segment takes its number.
        head.mark = log.mark;
        head.number = log.mark + 1;
        (header, log.spare.take(), log.active.position)
    });
    let Some((header, spare, used)) = prepared else { return Err(Failure::Refused(NotWritten::Deleted)) };
    head.salt = header.salt;
    let header_bytes = header.encode();
    let head_bytes = head.encode();
    let position = header_bytes.len() as u64;
    let end = align_up(position + head.total(), COMMIT_ALIGN);
    let size = space::next_size(&shared.config, old_capacity, used).max(end + shared.config.segment_min);

    let temporary = stream.dir.join("next.tmp");
    let full = |e: io::Error| {
        // Until the new name is synced the log is as it was: any failure here leaves it writable.
        if space::is_full_error(&e) {
            shared.space.meet_full_disk(shared);
            Failure::Refused(NotWritten::DiskFull)
        } else {
            Failure::Refused(NotWritten::Unavailable(e.to_string().into()))
        }
    };
    let least = end + shared.config.segment_min;
    let has_control = head.blocks.iter().any(|b| matches!(b.kind, BlockKind::Close | BlockKind::Trim));
    let taken = space::take_file(stream, spare, &temporary, size, end).or_else(|e| {
        // A smaller segment may still fit; what frees space may use the reserve as well.
        if !space::is_full_error(&e) {
            return Err(e);
        }
        space::take_file(stream, Spare::None, &temporary, least, end).or_else(|e| {
            if !has_control {
                return Err(e);
            }
            shared.space.meet_full_disk(shared);
            space::take_file(stream, Spare::None, &temporary, least, end)
        })
    });
    let (file, capacity) = taken.map_err(full)?;
    let mut all = vec![IoSlice::new(&header_bytes)];
    all.extend(parts(&head_bytes, sealed, head.total()));
    file.write_all_at(&all, 0).map_err(full)?;
    let disk = &shared.env.disk;
    let poison = |e: io::Error| Failure::Poison(e.to_string());
    if shared.config.durability != Durability::None {
        file.sync_data().map_err(poison)?;
    }
    disk.rename(&temporary, &stream.dir.join(segment_name(header.number))).map_err(poison)?;
    if shared.config.durability != Durability::None {
        disk.sync_dir(&stream.dir).map_err(poison)?;
    }
    shared.files.put((stream.key, header.number), file);
    Ok(Written { number: head.number, position, end, rotated: Some((header, capacity)) })
}

/// Makes a written commit part of the log, and tells everyone if it is durable.
fn finish(
    stream: &Arc<Stream>,
    sealed: SealedCommit,
    mark: u64,
    written: Written,
    durable: bool,
    stopping: Option<Arc<Outcome>>,
) {
    let empty = sealed.entries.is_empty();
    let outcome = Arc::clone(&sealed.outcome);
    let Written { number, position, .. } = written;
    let mut news = News::default();
    let done = stream.if_open(|log| {
        log.next_commit = number + 1;
        log.marked = log.marked.max(mark);
        log.active.position = written.end;
        log.clean = stopping.is_some();
        if !empty {
            log.last_write = stream.shared.env.clock.monotonic();
        }
        if let Some((header, capacity)) = written.rotated {
            let active = Active {
                position: written.end,
                capacity,
                index: SparseIndex::default(),
                durable_end: position,
                has_records: false,
                wanted_sorted: false,
                header: Arc::new(header),
            };
            let old = std::mem::replace(&mut log.active, active);
            log.segments.push(log.active.header.number);
            log.marked = log.mark;
            let footer = seal_later(stream, &old, number);
            log.sealing.insert(old.header.number, footer);
        }
        if durable {
            make_durable(stream, log, sealed, position, number, written.end, &mut news);
            if log.clean {
                log.marked = number;
            }
        } else if !empty {
            log.unsynced_bytes += sealed.chunks.iter().map(|c| c.bytes.len()).sum::<usize>();
            log.unsynced.push((sealed, position));
        }
    });
    let moved = news.cache(stream);
    match done {
        Some(()) => outcome.complete(Ok(())),
        None => outcome.complete(Err(AppendError::NotWritten(NotWritten::Deleted))),
    }
    stream.watchers.notify(&moved);
    if let Some(stopping) = stopping {
        stopping.complete(Ok(()));
    }
}

/// What remains to be done for durable commits once the log's lock is free.
#[derive(Default)]
struct News {
    chunks: Vec<Vec<Chunk>>,
    /// Shards whose readers are to be told.
    moved: Vec<ShardIndex>,
}

impl News {
    /// Puts the records into the tail cache, which may have to free others for them; gives whom to tell then. Readers that
    /// come first find them in the file. The log's next commit is not finished before: the cache has them in order.
    fn cache(self, stream: &Stream) -> Vec<ShardIndex> {
        for chunks in self.chunks {
            stream.shared.tails.push(&stream.tail, chunks);
        }
        self.moved
    }
}

/// Lets readers see a durable commit. What is better done without the log's lock is added to `news`.
fn make_durable(
    stream: &Stream,
    log: &mut OpenLog,
    sealed: SealedCommit,
    position: u64,
    number: u64,
    end: u64,
    news: &mut News,
) {
    for (entry, body) in sealed.blocks() {
        log.content.apply(entry, body);
        log.active.has_records |= entry.kind == BlockKind::Records;
    }
    log.active.index.add(position, &sealed.entries);
    log.active.durable_end = end;
    log.begun = true;
    log.mark = number;
    let shards = sealed.entries.iter().filter(|e| matches!(e.kind, BlockKind::Records | BlockKind::Close));
    news.moved.extend(stream.watchers.watched(shards.map(|e| e.shard)));
    if !sealed.chunks.is_empty() {
        news.chunks.push(sealed.chunks);
    }
}

/// Syncs what relaxed mode has written; `Err` says why the log is poisoned.
fn sync_relaxed(stream: &Arc<Stream>) -> Result<(), Arc<str>> {
    let taken = stream.if_open(|log| {
        log.unsynced_bytes = 0;
        let unsynced = std::mem::take(&mut log.unsynced);
        (unsynced, Arc::clone(&log.active.header), log.active.position, log.next_commit - 1)
    });
    let Some((unsynced, header, end, number)) = taken.filter(|(unsynced, ..)| !unsynced.is_empty()) else {
        return Ok(());
    };
    let synced = stream.file(header.number).and_then(|file| file.sync_data());
    let mut news = News::default();
    let done = stream.if_open(|log| match synced {
        Ok(()) => {
            for (sealed, position) in unsynced {
                make_durable(stream, log, sealed, position, number, end, &mut news);
            }
            log.last_sync = stream.shared.env.clock.monotonic();
            Ok(())
        }
        Err(e) => Err(poison(stream, log, &e.to_string())),
    });
    let moved = news.cache(stream);
    stream.watchers.notify(&moved);
    done.unwrap_or(Ok(()))
}

fn fail(stream: &Arc<Stream>, sealed: SealedCommit, failure: Failure, stopping: Option<Arc<Outcome>>) {
    let waiting = stream.if_open(|log| {
        // What joined since then was given positions behind the failed commit's: it fails with it, unwritten.
        log.resting = true;
        let next = std::mem::take(&mut log.open);
        stream.shared.meters.in_flight.remove(next.bytes());
        log.content.roll_back();
        for (unsynced, _) in &log.unsynced {
            for entry in &unsynced.entries {
                let shard = log.content.shard(entry.shard);
                if entry.kind == BlockKind::Records {
                    shard.next = shard.next.max(entry.end());
                    shard.joined_time = shard.joined_time.max(entry.time_last);
                }
                shard.closing |= entry.kind == BlockKind::Close;
            }
        }
        if let Failure::Poison(why) = &failure {
            poison(stream, log, why);
        }
        next.outcome
    });
    let (first, rest) = match failure {
        Failure::Refused(why) => (AppendError::NotWritten(why.clone()), AppendError::NotWritten(why)),
        Failure::Poison(why) => {
            let why: Arc<str> = why.into();
            (AppendError::Unknown(Arc::clone(&why)), AppendError::NotWritten(NotWritten::Poisoned(why)))
        }
    };
    sealed.outcome.complete(Err(first));
    if let Some(waiting) = waiting {
        waiting.complete(Err(rest));
    }
    if let Some(stopping) = stopping {
        stopping.complete(Ok(()));
    }
}

/// No more writes in this process: the kernel may have dropped what it was given.
fn poison(stream: &Stream, log: &mut OpenLog, why: &str) -> Arc<str> {
    let why: Arc<str> = format!("a write or sync failed ({why}); restart the server to recover").into();
    tracing::error!(log = %stream.id, "{why}");
    let open = std::mem::take(&mut log.open);
    stream.shared.meters.in_flight.remove(open.bytes());
    open.outcome.complete(Err(AppendError::NotWritten(NotWritten::Poisoned(Arc::clone(&why)))));
    if let Some(stopping) = log.stopping.take() {
        stopping.complete(Ok(()));
    }
    Arc::clone(log.poisoned.get_or_insert(why))
}

/// Writes the footer of a segment that is not written to any more. Until it is there, readers have the one returned.
fn seal_later(stream: &Arc<Stream>, old: &Active, next_commit: u64) -> Arc<Footer> {
    let footer =
        Footer { next_commit, end: old.durable_end, index: old.index.entries(), sorted: !old.index.is_scattered() };
    let footer = Arc::new(footer);
    let sealed = Arc::clone(&footer);
    let header = Arc::clone(&old.header);
    let wanted_sorted = old.wanted_sorted;
    let stream = Arc::clone(stream);
    let pool = Arc::clone(&stream.shared.env.pool);
    pool.spawn_background(Box::new(move || {
        let written = stream.file(header.number).and_then(|file| write_footer(&*file, &footer, header.salt));
        stream.if_open(|log| log.sealing.remove(&header.number));
        match written {
            Ok(()) if !regroup::may_be_scattered(&footer) => {}
            Ok(()) if wanted_sorted => stream.shared.regroups.want(&stream, header.number),
            Ok(()) => stream.shared.regroups.add(&stream, header.number),
            // A segment without a footer is sealed at the next recovery: nothing is lost by failing here.
            Err(e) => {
                let gone = !stream.shared.env.disk.exists(&stream.dir.join(segment_name(header.number)));
                if !gone && !stream.shared.closing.load(Ordering::Acquire) {
                    tracing::warn!(log = %stream.id, segment = header.number, "cannot seal: {e}");
                }
            }
        }
    }));
    sealed
}
