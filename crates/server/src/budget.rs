//! One memory budget for the bodies and answers of all requests in flight.
//!
//! Requests take memory piece by piece, as bytes arrive, in the order in which they ask. Three rules go beyond that:
//!
//! * while an account waits, no other one is given more than half of the budget, and its readers and its writers are two
//!   in this: neither starves the other;
//! * a small request does not queue behind large ones: a reserve of an eighth, beside the budget, is only for these;
//! * the request that has waited longest may overdraw: at most one at a time, until it ends. Requests that each hold a
//!   part of a body and wait for the rest can therefore never block each other, and the budget is exceeded by no more than
//!   one request's bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::metrics::Gauge;
use millstream_env::runtime;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Requests that may wait at once.
const WAITERS_MAX: usize = 8192;

/// The part of the budget that a small request may take.
const SMALL: u64 = 1024;

/// The part of the budget that is there once more for small requests.
const RESERVE: u64 = 8;

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
    state: Mutex<State>,
    gauge: Gauge,
}

#[derive(Default)]
struct State {
    used: u64,
    owners: HashMap<Owner, Share>,
    waiters: VecDeque<Waiter>,
    /// How many owners have waiters.
    waiting_owners: usize,
    /// The request that may overdraw.
    overdrawing: Option<u64>,
}

#[derive(Default)]
struct Share {
    used: u64,
    waiting: usize,
}

struct Waiter {
    id: u64,
    owner: Owner,
    bytes: u64,
    granted: oneshot::Sender<()>,
}

/// There was no room in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl Budget {
    pub(crate) fn new(total: u64, patience: Duration, gauge: Gauge) -> Arc<Budget> {
        Arc::new(Budget { total, patience, next_id: AtomicU64::new(0), state: Mutex::default(), gauge })
    }

    /// A permit for one request of `account`, which holds nothing yet.
    pub(crate) fn permit(self: &Arc<Self>, account: Arc<str>, flow: Flow) -> Permit {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Permit { budget: Arc::clone(self), owner: Owner { account, flow }, id, held: 0, announced: 0 }
    }

    /// Whether a request that is to hold `held` is small, and has room for `bytes` more of that whoever waits.
    fn has_reserve(&self, used: u64, held: u64, bytes: u64) -> bool {
        held <= self.total / SMALL && used + bytes <= self.total + self.total / RESERVE
    }

    /// Whether anybody waits for memory.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.state.lock().waiters.is_empty()
    }
}

/// What one request holds. Dropping it gives all of it back.
pub(crate) struct Permit {
    budget: Arc<Budget>,
    owner: Owner,
    id: u64,
    held: u64,
    /// What it is known to come to.
    announced: u64,
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
        if bytes == 0 {
            return Ok(false);
        }
        let budget = Arc::clone(&self.budget);
        let granted = {
            let mut state = budget.state.lock();
            let is_free = state.waiters.is_empty() && state.used + bytes <= budget.total;
            let may_overdraw = state.overdrawing == Some(self.id);
            if may_overdraw || is_free || budget.has_reserve(state.used, self.announced.max(self.held + bytes), bytes) {
                state.take(&self.owner, bytes);
                budget.gauge.set(state.used as f64);
                self.held += bytes;
                return Ok(false);
            }
            if state.waiters.len() >= WAITERS_MAX {
                return Err(NoRoom);
            }
            let (granted, wait) = oneshot::channel();
            state.enqueue(Waiter { id: self.id, owner: self.owner.clone(), bytes, granted });
            state.settle(budget.total);
            wait
        };
        let patience = budget.patience;
        let mut waiting = Waiting { permit: self, bytes, granted, settled: false };
        // Both on a late grant and on a timeout the queue has the last word: see `Waiting::leave`.
        runtime::timeout(patience, &mut waiting.granted).await;
        if waiting.leave() { Ok(true) } else { Err(NoRoom) }
    }

    /// Takes `bytes` more, whether there is room or not: for what exists already.
    pub(crate) fn charge(&mut self, bytes: u64) {
        let mut state = self.budget.state.lock();
        state.take(&self.owner, bytes);
        self.budget.gauge.set(state.used as f64);
        self.held += bytes;
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.held.saturating_sub(bytes);
        self.held -= surplus;
        let mut state = self.budget.state.lock();
        state.give_back(&self.owner, surplus);
        state.settle(self.budget.total);
        self.budget.gauge.set(state.used as f64);
    }

    /// Holds exactly `bytes`, whether there is room or not: those of an answer that has been made.
    pub(crate) fn hold(&mut self, bytes: u64) {
        self.charge(bytes.saturating_sub(self.held));
        self.shrink_to(bytes);
    }

    /// Bytes held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> u64 {
        self.held
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock();
        if state.overdrawing == Some(self.id) {
            state.overdrawing = None;
        }
        state.give_back(&self.owner, self.held);
        state.settle(self.budget.total);
        self.budget.gauge.set(state.used as f64);
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
        let budget = Arc::clone(&self.permit.budget);
        let mut state = budget.state.lock();
        self.settled = true;
        if state.dequeue(self.permit.id) {
            return false;
        }
        self.permit.held += self.bytes;
        budget.gauge.set(state.used as f64);
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

impl State {
    fn take(&mut self, owner: &Owner, bytes: u64) {
        self.used += bytes;
        match self.owners.get_mut(owner) {
            Some(share) => share.used += bytes,
            None => {
                self.owners.insert(owner.clone(), Share { used: bytes, waiting: 0 });
            }
        }
    }

    fn give_back(&mut self, owner: &Owner, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
        if let Some(share) = self.owners.get_mut(owner) {
            share.used = share.used.saturating_sub(bytes);
            if share.used == 0 && share.waiting == 0 {
                self.owners.remove(owner);
            }
        }
    }

    fn enqueue(&mut self, waiter: Waiter) {
        let share = self.owners.entry(waiter.owner.clone()).or_default();
        self.waiting_owners += usize::from(share.waiting == 0);
        share.waiting += 1;
        self.waiters.push_back(waiter);
    }

    fn remove(&mut self, index: usize) -> Option<Waiter> {
        let waiter = self.waiters.remove(index)?;
        if let Some(share) = self.owners.get_mut(&waiter.owner) {
            share.waiting -= 1;
            self.waiting_owners -= usize::from(share.waiting == 0);
        }
        Some(waiter)
    }

    /// Takes a permit out of the queue; `false` if it was not in it.
    fn dequeue(&mut self, id: u64) -> bool {
        let Some(index) = self.waiters.iter().position(|waiter| waiter.id == id) else { return false };
        if let Some(waiter) = self.remove(index) {
            self.give_back(&waiter.owner, 0);
        }
        true
    }

    fn grant(&mut self, index: usize) {
        let Some(waiter) = self.remove(index) else { return };
        self.take(&waiter.owner, waiter.bytes);
        // A receiver that is gone finds in `Waiting::leave` that it was granted, and gives it back.
        let _ = waiter.granted.send(());
    }

    /// Grants what can be granted, in order.
    fn settle(&mut self, total: u64) {
        let mut index = 0;
        while let Some(waiter) = self.waiters.get(index) {
            let share = self.owners.get(&waiter.owner);
            let (used, waiting) = share.map_or((0, 0), |share| (share.used, share.waiting));
            let others_wait = self.waiting_owners > usize::from(waiting > 0);
            if others_wait && used > 0 && used + waiter.bytes > total / 2 {
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
