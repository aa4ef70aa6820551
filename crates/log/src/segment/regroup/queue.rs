//! When segments are regrouped. It is a copy of them, and costs the writers as much again: so it is done while they have
//! little to write, or when a reader has met the segment.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Regrouped, regroup};
use crate::segment::Shared;
use crate::segment::files::FileKey;
use crate::segment::stream::Stream;

/// Below this many bytes per second the writers leave room.
const QUIET_BELOW: u64 = 32 << 20;

/// How long their rate is taken over, at least.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// So many segments that stay as they are remembered; then they are looked at again.
const SETTLED_MAX: usize = 4096;

type Segment = (Weak<Stream>, u64);

/// The segments that wait, of all logs. One at a time is regrouped.
pub(crate) struct Queue {
    /// Bytes of the commits so far.
    written: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sealed: VecDeque<Segment>,
    /// Those that readers have met: their turn comes first, and at once.
    wanted: VecDeque<Segment>,
    /// Those found to be well as they are, or damaged.
    settled: HashSet<FileKey>,
    busy: bool,
    running: bool,
    /// When the rate was taken, and what was written then.
    looked: (Duration, u64),
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue { written: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Counts bytes that are about to be written.
    pub(crate) fn count(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A segment was sealed.
    pub(crate) fn add(&self, stream: &Arc<Stream>, number: u64) {
        self.state.lock().sealed.push_back((Arc::downgrade(stream), number));
    }

    /// A reader has met a segment that is not sorted.
    pub(crate) fn want(&self, stream: &Arc<Stream>, number: u64) {
        let key = (stream.key, number);
        let is_it = |(other, n): &Segment| *n == number && other.as_ptr() == Arc::as_ptr(stream);
        let mut state = self.state.lock();
        if state.settled.contains(&key) || state.wanted.iter().any(is_it) {
            return;
        }
        state.wanted.push_back((Arc::downgrade(stream), number));
        self.start(state, &stream.shared);
    }

    /// Starts what there is room for.
    pub(crate) fn tick(&self, shared: &Arc<Shared>) {
        let now = shared.env.clock.monotonic();
        let mut state = self.state.lock();
        let (since, before) = state.looked;
        let took = now.saturating_sub(since);
        if took >= LOOK_EVERY {
            let written = self.written.load(Ordering::Relaxed);
            let rate = u128::from(written - before) * 1000 / took.as_millis().max(1);
            state.busy = rate >= u128::from(QUIET_BELOW);
            state.looked = (now, written);
        }
        self.start(state, shared);
    }

    fn start(&self, mut state: parking_lot::MutexGuard<'_, State>, shared: &Arc<Shared>) {
        if state.running || !state.has_turn() || must_wait(shared) {
            return;
        }
        state.running = true;
        drop(state);
        spawn(Arc::clone(shared));
    }

    /// Regroups the segment whose turn it is; whether there is another one.
    fn step(&self, shared: &Shared) -> bool {
        if must_wait(shared) {
            self.state.lock().running = false;
            return false;
        }
        let next = self.state.lock().pop();
        if let Some((stream, number)) = next.and_then(|(stream, number)| Some((stream.upgrade()?, number))) {
            let done = regroup(&stream, number);
            if !matches!(done, Ok(Regrouped::Sorted | Regrouped::NotNow)) {
                let mut state = self.state.lock();
                if state.settled.len() >= SETTLED_MAX {
                    state.settled.clear();
                }
                state.settled.insert((stream.key, number));
            }
            if let Err(e) = done
                && !stream.shared.closing.load(Ordering::Acquire)
                && stream.if_open(|log| log.segments.contains(&number)) == Some(true)
            {
                tracing::warn!(log = %stream.id, segment = number, "cannot sort a segment by shard: {e}");
            }
        }
        let mut state = self.state.lock();
        state.running = state.has_turn();
        state.running
    }
}

impl State {
    fn has_turn(&self) -> bool {
        !self.wanted.is_empty() || (!self.busy && !self.sealed.is_empty())
    }

    fn pop(&mut self) -> Option<Segment> {
        let sealed = if self.busy { None } else { Some(&mut self.sealed) };
        self.wanted.pop_front().or_else(|| sealed?.pop_front())
    }
}

/// On a full disk all wait, and while a snapshot needs the files as they are.
fn must_wait(shared: &Shared) -> bool {
    shared.space.is_full() || shared.holds.any()
}

/// One segment, then a turn for other upkeep.
fn spawn(shared: Arc<Shared>) {
    let pool = Arc::clone(&shared.env.pool);
    pool.spawn_background(Box::new(move || {
        if !shared.closing.load(Ordering::Acquire) && shared.regroups.step(&shared) {
            spawn(shared);
        }
    }));
}
