//! One log: its life from cold to open, what joins its open commit, and its answers.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use millstream_env::DiskFile;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::commit::{Committed, OpenCommit, Outcome, SealedCommit, control, join};
use super::footer::Footer;
use super::format::BlockKind;
use super::recovery::{Recovered, recover};
use super::scan::ScanError;
use super::space::{Spare, prepare_spare};
use super::state::{Active, Content};
use super::tail::Tail;
use super::{Durability, Shared, segment_name, space, stream_dir, writer};
use crate::metrics::RECOVERIES;
use crate::watchers::Watchers;
use crate::{
    AppendError, Appended, Batch, BoxFuture, Epoch, LogError, LogId, LogProblem, NotWritten, ReadError, ShardIndex,
    TimeMs,
};

/// How long a log is quiet before it gets a marker.
const IDLE: Duration = Duration::from_millis(500);

/// What is to be done about damage.
const REPAIR: &str = "stop the server, copy the data directory, and run `millstream check`";

/// One log of the engine.
pub(crate) struct Stream {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: LogId,
    pub(crate) dir: PathBuf,
    /// Names the log in the file cache.
    pub(crate) key: u64,
    pub(crate) tail: Arc<Tail>,
    state: Mutex<Life>,
    /// Counts changes of `state`'s kind.
    life: watch::Sender<u64>,
    /// Readers that wait for a shard's durable end to move.
    pub(crate) watchers: Watchers,
}

/// A log's life.
pub(crate) enum Life {
    /// On disk, not looked at yet.
    Cold,
    /// Being created or recovered by a job.
    Opening,
    /// In use.
    Open(Box<OpenLog>),
    /// Recovery failed: the text says why.
    Unavailable(Arc<str>),
    Deleted,
}

/// An open log, under its lock.
pub(crate) struct OpenLog {
    pub(crate) content: Content,
    pub(crate) active: Active,
    /// All segments, ascending; the last one is active.
    pub(crate) segments: Vec<u64>,
    pub(crate) open: OpenCommit,
    /// Whether a writer job is queued or running.
    pub(crate) writing: bool,
    pub(crate) next_commit: u64,
    /// Highest durable commit.
    pub(crate) mark: u64,
    /// Highest mark that is in the file.
    pub(crate) marked: u64,
    pub(crate) last_write: Duration,
    /// Commits written and not synced (relaxed mode).
    pub(crate) unsynced: Vec<(SealedCommit, u64)>,
    pub(crate) unsynced_bytes: usize,
    pub(crate) last_sync: Duration,
    /// Whether the file ends with a clean-stop marker.
    pub(crate) clean: bool,
    /// Whether a commit of this process is durable.
    pub(crate) begun: bool,
    /// A refused commit without blocks is not tried again before the next tick.
    pub(crate) resting: bool,
    pub(crate) poisoned: Option<Arc<str>>,
    pub(crate) spare: Spare,
    /// Segments whose footer is being written, with it: their files are not used again.
    pub(crate) sealing: BTreeMap<u64, Arc<Footer>>,
    pub(crate) stopping: Option<Arc<Outcome>>,
    pub(crate) damage: Vec<String>,
}

impl OpenLog {
    fn new(recovered: Recovered, now: Duration) -> OpenLog {
        OpenLog {
            content: recovered.content,
            active: recovered.active,
            segments: recovered.segments,
            open: OpenCommit::default(),
            writing: false,
            mark: recovered.next_commit - 1,
            marked: recovered.next_commit - 1,
            next_commit: recovered.next_commit,
            last_write: now,
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            last_sync: now,
            clean: recovered.clean,
            begun: false,
            resting: false,
            poisoned: None,
            spare: Spare::None,
            sealing: BTreeMap::new(),
            stopping: None,
            damage: recovered.damage,
        }
    }

    /// Whether the end of the log is not known durable from a later commit's mark. Where nothing is ever synced a mark
    /// proves nothing, and a marker would be one more commit that lacks one.
    pub(crate) fn lacks_marker(&self, shared: &Shared) -> bool {
        self.marked < self.mark && shared.config.durability != Durability::None
    }
}

/// What a batch was given when it joined the open commit.
pub(crate) struct Joined {
    appended: Appended,
    outcome: Arc<Outcome>,
    /// Whether it is the first, and the commit is not due yet.
    is_first: bool,
}

/// What kind of thing wants to join.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Records,
    /// Must go on when the disk is full: it is small, or frees space.
    Control,
}

impl Stream {
    pub(crate) fn cold(shared: Arc<Shared>, id: LogId, key: u64) -> Arc<Stream> {
        let dir = stream_dir(&shared.config, &id);
        Arc::new(Stream {
            shared,
            dir,
            key,
            id,
            tail: Arc::default(),
            state: Mutex::new(Life::Cold),
            life: watch::Sender::new(0),
            watchers: Watchers::default(),
        })
    }

    /// The file of segment `number`.
    pub(crate) fn file(&self, number: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.shared.files.get((self.key, number), || self.dir.join(segment_name(number)))
    }

    /// The log's life, held under its lock.
    pub(crate) fn life(&self) -> MutexGuard<'_, Life> {
        self.state.lock()
    }

    /// Ends the opening, unless the log was deleted meanwhile.
    fn set_life(&self, life: Life) {
        let mut state = self.state.lock();
        if matches!(*state, Life::Opening) {
            *state = life;
        }
        drop(state);
        self.life.send_modify(|n| *n += 1);
    }

    /// Whether the caller is to recover the log: nobody has begun to.
    fn begin_recovery(&self) -> bool {
        let mut state = self.state.lock();
        let begins = matches!(*state, Life::Cold);
        if begins {
            *state = Life::Opening;
        }
        begins
    }

    /// Starts recovery if nobody has: somebody waits for it.
    fn open_now(self: &Arc<Self>) {
        if self.begin_recovery() {
            let stream = Arc::clone(self);
            self.shared.env.pool.spawn(Box::new(move || stream.recover()));
        }
    }

    /// Recovers the log in the background, unless it is used before its turn comes.
    pub(crate) fn warm_up(self: &Arc<Self>) {
        let stream = Arc::clone(self);
        self.shared.env.pool.spawn_background(Box::new(move || {
            if stream.begin_recovery() {
                stream.recover();
            }
        }));
    }

    fn recover(&self) {
        let mut recovered = recover(&self.shared, &self.id, &self.dir);
        if matches!(&recovered, Err(ScanError::Disk(e)) if space::is_full_error(e)) {
            // What has to be written anew before it can be read is worth the reserve.
            self.shared.space.meet_full_disk(&self.shared);
            recovered = recover(&self.shared, &self.id, &self.dir);
        }
        let life = match recovered {
            Ok(recovered) => {
                let outcome = if recovered.damage.is_empty() { "whole" } else { "damaged" };
                counter!(RECOVERIES, "outcome" => outcome).increment(1);
                for damage in &recovered.damage {
                    tracing::error!(log = %self.id, "{damage}: {REPAIR}");
                }
                Life::Open(Box::new(OpenLog::new(recovered, self.shared.env.clock.monotonic())))
            }
            Err(e) => {
                counter!(RECOVERIES, "outcome" => "unavailable").increment(1);
                tracing::error!(log = %self.id, "cannot open the log: {e}");
                match e {
                    // The next use tries again: a disk may come back.
                    ScanError::Disk(_) => Life::Cold,
                    ScanError::Damaged(what) => Life::Unavailable(what.into()),
                }
            }
        };
        self.set_life(life);
    }

    /// Waits until the log is open, then lets `work` at it under the lock.
    pub(crate) async fn opened<T>(self: &Arc<Self>, work: impl FnOnce(&mut OpenLog) -> T) -> Result<T, ReadError> {
        // Nearly always it is: then there is nothing to wait for.
        if let Life::Open(log) = &mut *self.state.lock() {
            return Ok(work(log));
        }
        let mut changes = self.life.subscribe();
        let mut tried = false;
        loop {
            let seen = *changes.borrow_and_update();
            match &mut *self.state.lock() {
                Life::Open(log) => return Ok(work(log)),
                Life::Deleted => return Err(ReadError::Deleted),
                Life::Unavailable(why) => return Err(ReadError::Unavailable(Arc::clone(why))),
                Life::Cold if tried => return Err(ReadError::Unavailable("the disk failed".into())),
                Life::Cold | Life::Opening => {}
            }
            self.open_now();
            tried = true;
            // `seen` was read before the state: a change in between is not missed.
            if changes.wait_for(|n| *n != seen).await.is_err() {
                return Err(ReadError::Deleted);
            }
        }
    }

    pub(crate) async fn create(self: &Arc<Self>, descriptor: Bytes) -> Result<(), LogError> {
        let start = {
            let mut state = self.state.lock();
            // An unavailable log may be one whose creation was cut short: looked at again.
            let start = matches!(*state, Life::Cold | Life::Unavailable(_));
            if start {
                *state = Life::Opening;
            }
            start
        };
        if start {
            let stream = Arc::clone(self);
            let made = self.shared.env.pool.run(move || {
                let made = space::create_files(&stream, descriptor);
                match &made {
                    // A deletion that was faster has moved nothing away yet.
                    Ok(()) if stream.is_deleted() => drop(space::move_to_trash(&stream)),
                    Ok(()) => stream.recover(),
                    Err(_) => stream.set_life(Life::Cold),
                }
                made
            });
            match made.await {
                Some(Ok(())) => {}
                Some(Err(e)) => return Err(super::log_error(&e)),
                None => return Err(LogError::Disk("shutting down".into())),
            }
        }
        self.opened(|_| ()).await.map_err(|e| LogError::Disk(e.to_string().into()))
    }

    pub(crate) async fn delete(self: &Arc<Self>) -> Result<(), LogError> {
        let outcome = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, Life::Deleted) {
                Life::Open(log) => {
                    self.shared.meters.in_flight.remove(log.open.bytes());
                    if let Some(stopping) = &log.stopping {
                        stopping.complete(Ok(()));
                    }
                    Some(Arc::clone(&log.open.outcome))
                }
                _ => None,
            }
        };
        self.life.send_modify(|n| *n += 1);
        self.watchers.notify_all();
        if let Some(outcome) = outcome {
            outcome.complete(Err(AppendError::NotWritten(NotWritten::Deleted)));
        }
        self.shared.files.forget_log(self.key);
        self.shared.metas.forget_log(self.key);
        let stream = Arc::clone(self);
        match self.shared.env.pool.run(move || space::move_to_trash(&stream)).await {
            Some(Ok(())) => {
                space::empty_trash(&self.shared);
                Ok(())
            }
            Some(Err(e)) => Err(super::log_error(&e)),
            None => Err(LogError::Disk("shutting down".into())),
        }
    }

    /// Why nothing may join now.
    fn refusal(&self, log: &OpenLog, kind: Kind, expected: Epoch) -> Option<AppendError> {
        if expected.0 != self.shared.epoch {
            return Some(AppendError::Fenced);
        }
        let refusal = if let Some(why) = &log.poisoned {
            NotWritten::Poisoned(Arc::clone(why))
        } else if self.shared.closing.load(Ordering::Acquire) || log.stopping.is_some() {
            NotWritten::Closing
        } else if kind == Kind::Records && self.shared.space.is_full() {
            NotWritten::DiskFull
        } else if kind == Kind::Records && self.shared.meters.in_flight.bytes() >= self.shared.config.in_flight_max {
            NotWritten::Busy
        } else {
            return None;
        };
        Some(AppendError::NotWritten(refusal))
    }

    /// The request thread that opened the commit has nothing more for it at the moment: it is written as soon as the
    /// writer is free. A commit that was written at the first chance would hold a record or two where it can hold all that
    /// the thread has ready, and a sync costs as much as some tens of requests.
    fn commit_is_due(self: &Arc<Self>) {
        self.if_open(|log| {
            if !log.open.is_empty() {
                log.open.due = true;
                self.wake_writer(log);
            }
        });
    }

    /// Queues the writer unless it is at work.
    pub(crate) fn wake_writer(self: &Arc<Self>, log: &mut OpenLog) {
        if !log.writing {
            log.writing = true;
            let stream = Arc::clone(self);
            self.shared.env.pool.spawn(Box::new(move || writer::run(&stream)));
        }
    }

    pub(crate) fn join_batch(
        self: &Arc<Self>,
        log: &mut OpenLog,
        batch: Batch,
        expected: Epoch,
    ) -> Result<Joined, AppendError> {
        if let Some(refusal) = self.refusal(log, Kind::Records, expected) {
            return Err(refusal);
        }
        for part in &batch.shards {
            if log.content.shards.get(&part.shard).is_some_and(|s| s.closing) {
                return Err(AppendError::NotWritten(NotWritten::Closed(part.shard)));
            }
        }
        let now = self.shared.env.clock.now();
        let bytes = batch.encoded_len();
        let content = &mut log.content;
        let appended = join(&mut log.open, batch, |part| {
            let shard = content.shard(part.shard);
            let first = shard.next;
            shard.next += u64::from(part.count);
            shard.joined_time = shard.joined_time.max(now);
            (first, shard.joined_time)
        });
        self.shared.meters.in_flight.add(bytes);
        if log.open.is_large() {
            log.open.due = true;
            self.wake_writer(log);
        }
        let is_first = log.open.batches() == 1 && !log.open.due;
        Ok(Joined { appended: Appended { shards: appended }, outcome: Arc::clone(&log.open.outcome), is_first })
    }

    /// What remains to be done for a batch that has joined, once the log's lock is free.
    pub(crate) fn joined(self: &Arc<Self>, joined: Joined) -> (Appended, Option<Arc<Outcome>>) {
        if joined.is_first {
            let stream = Arc::clone(self);
            self.shared.env.pool.at_turn_end(Box::new(move || stream.commit_is_due()));
        }
        (joined.appended, Some(joined.outcome))
    }

    pub(crate) fn join_closings(
        self: &Arc<Self>,
        log: &mut OpenLog,
        closings: &[(ShardIndex, u64)],
        descriptor: Bytes,
        expected: Epoch,
    ) -> Result<Arc<Outcome>, AppendError> {
        if let Some(refusal) = self.refusal(log, Kind::Control, expected) {
            return Err(refusal);
        }
        let now = self.shared.env.clock.now();
        for (index, note) in closings {
            let shard = log.content.shard(*index);
            if !shard.closing {
                shard.closing = true;
                shard.joined_time = shard.joined_time.max(now);
                let entry = control(BlockKind::Close, *index, shard.next, *note, shard.joined_time);
                log.open.push_control(entry, Bytes::new());
            }
        }
        log.open.push_control(control(BlockKind::Descriptor, 0, 0, 0, now), descriptor);
        let outcome = Arc::clone(&log.open.outcome);
        self.wake_writer(log);
        Ok(outcome)
    }

    /// Adds the trim block to the open commit.
    pub(crate) fn join_trim(
        self: &Arc<Self>,
        log: &mut OpenLog,
        before: TimeMs,
        floors: Bytes,
        expected: Epoch,
    ) -> Result<Arc<Outcome>, AppendError> {
        if let Some(refusal) = self.refusal(log, Kind::Control, expected) {
            return Err(refusal);
        }
        let now = self.shared.env.clock.now();
        log.open.push_control(control(BlockKind::Trim, 0, 0, before, now), floors);
        let outcome = Arc::clone(&log.open.outcome);
        self.wake_writer(log);
        Ok(outcome)
    }

    fn is_deleted(&self) -> bool {
        matches!(*self.state.lock(), Life::Deleted)
    }

    /// Lets `work` at the log if it is open.
    pub(crate) fn if_open<T>(&self, work: impl FnOnce(&mut OpenLog) -> T) -> Option<T> {
        match &mut *self.state.lock() {
            Life::Open(log) => Some(work(log)),
            _ => None,
        }
    }

    /// Periodic work: the idle marker, the overdue sync of relaxed mode, sealing by age, the next segment's file.
    pub(crate) fn tick(self: &Arc<Self>) {
        let clock = &self.shared.env.clock;
        let (now, time) = (clock.monotonic(), clock.now());
        self.if_open(|log| {
            if log.poisoned.is_some() {
                return;
            }
            prepare_spare(self, log);
            log.resting = false;
            // Should a thread never come to the end of its turn, nobody waits for ever.
            log.open.due |= !log.open.is_empty();
            if log.writing {
                return;
            }
            let quiet = now.saturating_sub(log.last_write) >= IDLE;
            let over = log.active.is_over(time, self.shared.config.seal_age);
            if log.open.due || !log.unsynced.is_empty() || over || (quiet && log.lacks_marker(&self.shared)) {
                self.wake_writer(log);
            }
        });
    }

    /// Writes the clean-stop marker after all that has joined.
    pub(crate) fn begin_stop(self: &Arc<Self>) -> BoxFuture<'static, ()> {
        let outcome = self.if_open(|log| {
            let outcome = log.stopping.get_or_insert_with(Arc::default);
            let outcome = Arc::clone(outcome);
            if log.poisoned.is_some() || (log.clean && log.open.is_empty() && !log.writing) {
                outcome.complete(Ok(()));
            } else {
                self.wake_writer(log);
            }
            outcome
        });
        Box::pin(async move {
            if let Some(outcome) = outcome {
                drop(Committed::new(outcome).await);
            }
        })
    }

    pub(crate) fn problems(&self) -> Vec<LogProblem> {
        let lines: Vec<String> = match &*self.state.lock() {
            Life::Open(log) => {
                let poisoned = log.poisoned.iter().map(|why| format!("puts are refused, reads go on: {why}"));
                poisoned.chain(log.damage.iter().map(|what| format!("{what}: {REPAIR}"))).collect()
            }
            Life::Unavailable(why) => vec![format!("puts and reads are refused: {why}: {REPAIR}")],
            Life::Cold | Life::Opening | Life::Deleted => Vec::new(),
        };
        lines.into_iter().map(|what| LogProblem { log: Some(self.id.clone()), what }).collect()
    }

    /// Reports damage met by a read, once.
    pub(crate) fn report_damage(&self, what: &str) {
        self.if_open(|log| {
            if !log.damage.iter().any(|d| d == what) && log.damage.len() < 100 {
                tracing::error!(log = %self.id, "{what}: {REPAIR}");
                log.damage.push(what.to_owned());
            }
        });
    }

    /// The state's name, for metrics.
    pub(crate) fn state_name(&self) -> &'static str {
        match &*self.state.lock() {
            Life::Open(log) if log.poisoned.is_some() => "poisoned",
            Life::Open(_) => "open",
            Life::Unavailable(_) => "unavailable",
            Life::Cold | Life::Opening => "cold",
            Life::Deleted => "deleted",
        }
    }
}
