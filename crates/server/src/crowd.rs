//! The connections there are, and which of them could go: those without a request in flight, longest first. A new one that
//! finds no place is given that of the first of these: clients that only hold connections keep nobody out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Why a connection is ended that made room for a new one.
pub(crate) const CROWDED: &str = "crowded";

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// Connections that have buffers: those at rest have none.
    served: AtomicUsize,
    /// How often a connection has been without a request.
    turns: AtomicU64,
    /// Those that are, by when that began.
    idle: Mutex<BTreeMap<u64, Arc<Notify>>>,
}

impl Crowd {
    /// A connection's seat, which is idle at first.
    pub(crate) fn seat(self: &Arc<Self>) -> Seat {
        let crowd = Arc::clone(self);
        let seat = Seat { crowd, is_served: AtomicBool::new(false), turn: AtomicU64::new(BUSY), asked: Arc::default() };
        seat.rest();
        seat
    }

    /// Asks the one to go that has been idle for the longest time.
    pub(crate) fn thin_out(&self) {
        if let Some((_, asked)) = self.idle.lock().pop_first() {
            asked.notify_one();
        }
    }
}

/// The turn of a connection that has a request.
const BUSY: u64 = 0;

/// A connection's place among the others.
#[derive(Debug)]
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    is_served: AtomicBool,
    turn: AtomicU64,
    asked: Arc<Notify>,
}

impl Seat {
    /// The connection has no request in flight. Says nothing new if it had none before.
    pub(crate) fn rest(&self) {
        if self.turn.load(Ordering::Relaxed) == BUSY {
            let turn = self.crowd.turns.fetch_add(1, Ordering::Relaxed) + 1;
            self.turn.store(turn, Ordering::Relaxed);
            self.crowd.idle.lock().insert(turn, Arc::clone(&self.asked));
        }
    }

    /// A request has begun.
    pub(crate) fn work(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        if turn != BUSY {
            self.turn.store(BUSY, Ordering::Relaxed);
            self.crowd.idle.lock().remove(&turn);
        }
    }

    /// The connection is given buffers; says how many have some, with this one.
    pub(crate) fn take_buffers(&self) -> usize {
        let new = usize::from(!self.is_served.swap(true, Ordering::Relaxed));
        self.crowd.served.fetch_add(new, Ordering::Relaxed) + new
    }

    /// It has none any more.
    pub(crate) fn give_buffers_back(&self) {
        if self.is_served.swap(false, Ordering::Relaxed) {
            self.crowd.served.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Waits until the connection is to make room.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.work();
        self.give_buffers_back();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_asked(seat: &Seat) -> bool {
        pin!(seat.asked()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_has_been_idle_for_longest_goes_first() {
        let crowd = Arc::new(Crowd::default());
        let seats: Vec<Seat> = (0..4).map(|_| crowd.seat()).collect();
        seats[0].work();
        seats[1].work();
        seats[1].rest();
        seats[1].rest();
        let order: Vec<usize> = (0..3)
            .map(|_| {
                crowd.thin_out();
                (0..4).find(|at| is_asked(&seats[*at])).unwrap()
            })
            .collect();
        assert_eq!(order, [2, 3, 1], "the first has a request in flight");
        crowd.thin_out();
        assert!(!seats.iter().any(is_asked), "none is idle and has not been asked");
    }

    #[test]
    fn who_has_left_is_not_asked() {
        let crowd = Arc::new(Crowd::default());
        let (gone, seat) = (crowd.seat(), crowd.seat());
        drop(gone);
        crowd.thin_out();
        assert!(is_asked(&seat));
        drop(seat);
        assert_eq!(crowd.idle.lock().len(), 0);
    }

    #[test]
    fn those_with_buffers_are_counted() {
        let crowd = Arc::new(Crowd::default());
        let (first, second, _at_rest) = (crowd.seat(), crowd.seat(), crowd.seat());
        assert_eq!((first.take_buffers(), second.take_buffers(), second.take_buffers()), (1, 2, 2));
        first.give_buffers_back();
        first.give_buffers_back();
        assert_eq!(second.take_buffers(), 1);
        drop(second);
        assert_eq!(first.take_buffers(), 1);
    }
}
