//! One memory budget for the bodies and answers of all requests in flight.
//!
//! Requests take memory piece by piece, as bytes arrive, in the order in which they ask. Four rules go beyond that:
//!
//! * while an account waits, no other one is given more than half of the budget, and its readers and its writers are two
//!   in this: neither starves the other;
//! * a small request does not queue behind large ones: a reserve of an eighth, beside the budget, is only for these;
//! * the request that has waited longest may overdraw: at most one at a time, until it ends or all fits again. Requests
//!   that each hold a part of a body and wait for the rest can therefore never block each other;
//! * a large answer whose reader takes longer than the patience is broken off if somebody waits, and if there is none, the
//!   connection that has the most answers which do: readers who take their time can't take the room of all others.
//!
//! What is given is never more than the budget, its reserve, and the bytes of one request. Beside that there is what
//! exists before it is counted: answers that are larger than what was claimed for them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_env::{ServerClock, runtime};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::connection::Activity;

/// Requests that may wait at once.
const WAITERS_MAX: usize = 8192;

/// The part of the budget that a small request may take.
const SMALL: u64 = 1024;

/// The part of the budget that is there once more for small requests.
const RESERVE: u64 = 8;

/// Owners that are remembered while they hold nothing: most come again.
const IDLE_OWNERS: usize = 1024;

/// Why a connection is ended whose reader keeps memory from others.
pub(crate) const HELD_MEMORY: &str = "held_memory";

/// Which way the many bytes of a request go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flow {
    /// In, to be written.
    In,
    /// Out, having been read.
    Out,
}

/// Whose share of the budget it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owner {
    account: Arc<str>,
    flow: Flow,
}

/// The budget.
pub(crate) struct Budget {
    total: u64,
    /// How long a request waits before it is refused.
    patience: Duration,
    next_id: AtomicU64,
    clock: Arc<ServerClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: u64,
    owners: Owners,
    waiters: VecDeque<Waiter>,
    /// How many of them are small.
    small_waiters: usize,
    /// How many owners have waiters.
    waiting_owners: usize,
    /// The request that may overdraw.
    overdrawing: Option<u64>,
    /// Large answers on their way, by permit.
    leaving: BTreeMap<u64, Leaving>,
    /// Connections with answers on their way for longer than the patience, however small these are.
    overdue: BTreeMap<u64, Arc<Activity>>,
}

/// The owners, by places, which their permits look up once.
#[derive(Default)]
struct Owners {
    places: HashMap<Owner, usize>,
    shares: Vec<Share>,
    free: Vec<usize>,
}

struct Share {
    owner: Owner,
    permits: usize,
    used: u64,
    waiting: usize,
}

struct Waiter {
    id: u64,
    place: usize,
    bytes: u64,
    small: bool,
    granted: oneshot::Sender<()>,
}

struct Leaving {
    since: Duration,
    connection: Arc<Activity>,
}

/// There was no room in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl Budget {
    pub(crate) fn new(total: u64, patience: Duration, clock: Arc<ServerClock>) -> Arc<Budget> {
        Arc::new(Budget { total, patience, next_id: AtomicU64::new(0), clock, state: Mutex::default() })
    }

    /// A permit for one request of `account`, which holds nothing yet.
    pub(crate) fn permit(self: &Arc<Self>, account: Arc<str>, flow: Flow) -> Permit {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (budget, owner) = (Arc::clone(self), Owner { account, flow });
        Permit { budget, owner, place: None, id, held: 0, announced: 0, is_leaving: false }
    }

    /// Whether anybody waits for memory.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.state.lock().waiters.is_empty()
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.state.lock().used
    }

    /// Says that a connection has had answers on their way for longer than the patience, for as long as what it gives is
    /// kept.
    pub(crate) fn overdue(self: &Arc<Self>, connection: &Arc<Activity>) -> Overdue {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.state.lock().overdue.insert(id, Arc::clone(connection));
        Overdue { budget: Arc::clone(self), id }
    }

    /// Ends the connection of the large answer that has been on its way for the longest time, if that is beyond all
    /// patience, or else the one that has the most answers of which some are.
    fn break_off(&self) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let oldest = state.leaving.iter().min_by_key(|(_, leaving)| leaving.since);
        let large = oldest.filter(|(_, leaving)| now.saturating_sub(leaving.since) > self.patience);
        if let Some(id) = large.map(|(id, _)| *id) {
            if let Some(leaving) = state.leaving.remove(&id) {
                leaving.connection.end(HELD_MEMORY);
            }
            return;
        }
        let most = state.overdue.iter().max_by_key(|(_, connection)| connection.unsent());
        if let Some(id) = most.map(|(id, _)| *id)
            && let Some(connection) = state.overdue.remove(&id)
        {
            connection.end(HELD_MEMORY);
        }
    }
}

/// A connection's entry among those whose answers take too long.
pub(crate) struct Overdue {
    budget: Arc<Budget>,
    id: u64,
}

impl Drop for Overdue {
    fn drop(&mut self) {
        self.budget.state.lock().overdue.remove(&self.id);
    }
}

/// What one request holds. Dropping it gives all of it back.
pub(crate) struct Permit {
    budget: Arc<Budget>,
    owner: Owner,
    /// The owner's place, once it is known.
    place: Option<usize>,
    id: u64,
    held: u64,
    /// What it is known to come to.
    announced: u64,
    is_leaving: bool,
}

impl Permit {
    /// Says beforehand that it will come to `bytes`, so that a large request is not taken for a small one at first.
    pub(crate) fn announce(&mut self, bytes: u64) {
        self.announced = bytes;
    }

    /// Takes `bytes` more, waiting if need be; says whether it waited.
    ///
    /// # Errors
    /// [`NoRoom`] after the budget's patience, or at once if too many wait already. What was held stays held.
    pub(crate) async fn grow(&mut self, bytes: u64) -> Result<bool, NoRoom> {
        let Some(granted) = self.ask(bytes)? else { return Ok(false) };
        let budget = Arc::clone(&self.budget);
        let mut waiting = Waiting { permit: self, bytes, granted, settled: false };
        // Nobody is refused before those were looked at who keep memory from others.
        let half = budget.patience / 2;
        if runtime::timeout(half, &mut waiting.granted).await.is_none() {
            budget.break_off();
            runtime::timeout(budget.patience - half, &mut waiting.granted).await;
        }
        // Both on a late grant and on a timeout the queue has the last word: see `Waiting::leave`.
        if waiting.leave() { Ok(true) } else { Err(NoRoom) }
    }

    /// Takes `bytes` more if they are to be had at once; else gets in line.
    fn ask(&mut self, bytes: u64) -> Result<Option<oneshot::Receiver<()>>, NoRoom> {
        if bytes == 0 {
            return Ok(None);
        }
        let total = self.budget.total;
        let small = self.announced.max(self.held + bytes) <= total / SMALL;
        let mut state = self.budget.state.lock();
        let place = *self.place.get_or_insert_with(|| state.owners.enter(&self.owner));
        let is_free = state.waiters.is_empty() && state.used + bytes <= total;
        let may_overdraw = state.overdrawing == Some(self.id);
        if may_overdraw || is_free || small && state.used + bytes <= with_reserve(total) {
            state.take(place, bytes);
            self.held += bytes;
            return Ok(None);
        }
        if state.waiters.len() >= WAITERS_MAX {
            return Err(NoRoom);
        }
        let (granted, wait) = oneshot::channel();
        state.enqueue(Waiter { id: self.id, place, bytes, small, granted });
        state.settle(total);
        Ok(Some(wait))
    }

    /// Takes `bytes` more, whether there is room or not: for what exists already.
    #[cfg(test)]
    pub(crate) fn charge(&mut self, bytes: u64) {
        self.hold(self.held + bytes);
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        self.hold(bytes.min(self.held));
    }

    /// Holds exactly `bytes`, whether there is room or not: those of an answer that has been made.
    pub(crate) fn hold(&mut self, bytes: u64) {
        if bytes == self.held {
            return;
        }
        let total = self.budget.total;
        let mut state = self.budget.state.lock();
        let place = *self.place.get_or_insert_with(|| state.owners.enter(&self.owner));
        match bytes.checked_sub(self.held) {
            Some(more) => state.take(place, more),
            None => {
                state.give_back(place, self.held - bytes);
                if state.overdrawing == Some(self.id) && state.used <= total {
                    state.overdrawing = None;
                }
                state.settle(total);
            }
        }
        self.held = bytes;
    }

    /// What is held is an answer that now leaves by `connection`, which is ended if that takes too long for those who
    /// wait. Small ones don't matter.
    pub(crate) fn leaves_by(&mut self, connection: &Arc<Activity>) {
        if self.held <= self.budget.total / SMALL {
            return;
        }
        self.is_leaving = true;
        let leaving = Leaving { since: self.budget.clock.monotonic(), connection: Arc::clone(connection) };
        self.budget.state.lock().leaving.insert(self.id, leaving);
    }

    /// Bytes held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> u64 {
        self.held
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut state = self.budget.state.lock();
        if state.overdrawing == Some(self.id) {
            state.overdrawing = None;
        }
        if self.is_leaving {
            state.leaving.remove(&self.id);
        }
        state.give_back(place, self.held);
        state.owners.leave(place);
        state.settle(self.budget.total);
    }
}

/// A permit in the queue. Leaves it when dropped, as when its request's client has gone.
struct Waiting<'a> {
    permit: &'a mut Permit,
    bytes: u64,
    granted: oneshot::Receiver<()>,
    settled: bool,
}

impl Waiting<'_> {
    /// Leaves the queue; says whether the bytes were granted.
    fn leave(&mut self) -> bool {
        self.settled = true;
        if self.permit.budget.state.lock().dequeue(self.permit.id) {
            return false;
        }
        self.permit.held += self.bytes;
        true
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.leave();
        }
    }
}

/// What may be used with the small requests.
fn with_reserve(total: u64) -> u64 {
    total + total / RESERVE
}

impl Owners {
    /// The owner's place, for one more permit.
    fn enter(&mut self, owner: &Owner) -> usize {
        if let Some(&place) = self.places.get(owner) {
            self.shares[place].permits += 1;
            return place;
        }
        let share = Share { owner: owner.clone(), permits: 1, used: 0, waiting: 0 };
        let place = match self.free.pop() {
            Some(place) => {
                self.shares[place] = share;
                place
            }
            None => {
                self.shares.push(share);
                self.shares.len() - 1
            }
        };
        self.places.insert(owner.clone(), place);
        place
    }

    /// A permit of the place has ended.
    fn leave(&mut self, place: usize) {
        let share = &mut self.shares[place];
        share.permits -= 1;
        if share.permits == 0 && self.places.len() > IDLE_OWNERS {
            self.places.remove(&share.owner);
            self.free.push(place);
        }
    }
}

impl State {
    fn take(&mut self, place: usize, bytes: u64) {
        self.used += bytes;
        self.owners.shares[place].used += bytes;
    }

    fn give_back(&mut self, place: usize, bytes: u64) {
        self.used -= bytes;
        self.owners.shares[place].used -= bytes;
    }

    fn enqueue(&mut self, waiter: Waiter) {
        let share = &mut self.owners.shares[waiter.place];
        self.waiting_owners += usize::from(share.waiting == 0);
        share.waiting += 1;
        self.small_waiters += usize::from(waiter.small);
        self.waiters.push_back(waiter);
    }

    fn remove(&mut self, index: usize) -> Option<Waiter> {
        let waiter = self.waiters.remove(index)?;
        let share = &mut self.owners.shares[waiter.place];
        share.waiting -= 1;
        self.waiting_owners -= usize::from(share.waiting == 0);
        self.small_waiters -= usize::from(waiter.small);
        Some(waiter)
    }

    /// Takes a permit out of the queue; `false` if it was not in it.
    fn dequeue(&mut self, id: u64) -> bool {
        let index = self.waiters.iter().position(|waiter| waiter.id == id);
        index.and_then(|index| self.remove(index)).is_some()
    }

    fn grant(&mut self, index: usize) {
        let Some(waiter) = self.remove(index) else { return };
        self.take(waiter.place, waiter.bytes);
        // A receiver that is gone finds in `Waiting::leave` that it was granted, and gives it back.
        let _ = waiter.granted.send(());
    }

    /// Grants what can be granted: first to the small ones, which have the reserve, then in order.
    fn settle(&mut self, total: u64) {
        let mut index = 0;
        while self.small_waiters > 0
            && self.used < with_reserve(total)
            && let Some(waiter) = self.waiters.get(index)
        {
            if waiter.small && self.used + waiter.bytes <= with_reserve(total) {
                self.grant(index);
            } else {
                index += 1;
            }
        }
        index = 0;
        while let Some(waiter) = self.waiters.get(index) {
            let share = &self.owners.shares[waiter.place];
            let others_wait = self.waiting_owners > usize::from(share.waiting > 0);
            if others_wait && share.used > 0 && share.used + waiter.bytes > total / 2 {
                index += 1;
            } else if self.used + waiter.bytes <= total {
                let waiting = self.waiting_owners;
                self.grant(index);
                // An owner that waits no more frees others from the half.
                index = if self.waiting_owners < waiting { 0 } else { index };
            } else {
                break;
            }
        }
        if self.overdrawing.is_none()
            && let Some(first) = self.waiters.front()
        {
            self.overdrawing = Some(first.id);
            self.grant(0);
        }
    }
}

#[cfg(test)]
mod tests;
