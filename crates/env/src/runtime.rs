//! Runtimes, task spawning and timers for code that runs on tokio (the server and the binary; domain code spawns nothing
//! and waits through [`Timer`]).
#![allow(clippy::disallowed_methods)] // the one place where they are wrapped

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use crate::{Job, Timer};

thread_local! {
    /// What waits for the end of this thread's turn; `None` on threads without turns.
    static TURN: RefCell<Option<Vec<Job>>> = const { RefCell::new(None) };
}

/// A runtime for one thread that works in turns: a turn ends when every task that was ready has been polled and the thread
/// would wait for the outside world. That is when [`crate::Pool::at_turn_end`]'s work is done.
pub struct Turns(tokio::runtime::Runtime);

impl Turns {
    /// A runtime that does nothing yet.
    ///
    /// # Errors
    /// The system's, as for want of file descriptors.
    pub fn new() -> io::Result<Turns> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_io().enable_time().on_thread_park(end_turn).build().map(Turns)
    }

    /// Runs `work` on the calling thread, to its end.
    pub fn run(self, work: impl Future<Output = ()>) {
        TURN.set(Some(Vec::new()));
        self.0.block_on(work);
        drop(self.0);
        // Tasks that were dropped with the runtime may have left something.
        end_turn();
        TURN.set(None);
    }
}

/// Leaves `work` for the end of this thread's turn, or gives it back if the thread has no turns.
pub(crate) fn leave_for_turn_end(work: Job) -> Option<Job> {
    TURN.with_borrow_mut(|turn| match turn {
        Some(left) => {
            left.push(work);
            None
        }
        None => Some(work),
    })
}

fn end_turn() {
    loop {
        let left = TURN.with_borrow_mut(|turn| turn.as_mut().map(std::mem::take)).unwrap_or_default();
        if left.is_empty() {
            return;
        }
        for work in left {
            work();
        }
    }
}

/// Runs `task` on the current runtime, detached.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::task::spawn(task));
}

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + duration).await;
}

/// The result of `work`, or `None` if it takes longer than `limit`.
pub async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// The timer of the runtime that polls.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeTimer;

impl Timer for RuntimeTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::Pool;
    use crate::real::ThreadPool;

    #[test]
    fn what_is_left_for_the_end_of_a_turn_waits_for_all_that_is_ready() {
        let (done, order) = mpsc::channel();
        let pool = ThreadPool::new(1);
        Turns::new().unwrap().run(async move {
            let (say, last) = (done.clone(), done.clone());
            pool.at_turn_end(Box::new(move || say.send("turn ended").unwrap()));
            let (woken, wake) = tokio::sync::oneshot::channel::<()>();
            spawn(async move {
                done.send("another task").unwrap();
                drop(woken);
            });
            wake.await.unwrap_err();
            last.send("still the same turn").unwrap();
            sleep(Duration::from_millis(1)).await;
            last.send("the next turn").unwrap();
        });
        let order: Vec<_> = order.iter().collect();
        assert_eq!(order, ["another task", "still the same turn", "turn ended", "the next turn"]);
    }

    #[test]
    fn a_thread_without_turns_does_it_at_once() {
        let (done, order) = mpsc::channel();
        ThreadPool::new(1).at_turn_end(Box::new(move || done.send(()).unwrap()));
        assert!(order.try_recv().is_ok());
    }

    #[test]
    fn what_is_left_when_the_runtime_ends_is_done() {
        let (done, order) = mpsc::channel();
        let pool = ThreadPool::new(1);
        Turns::new().unwrap().run(async move { pool.at_turn_end(Box::new(move || done.send(()).unwrap())) });
        assert!(order.try_recv().is_ok());
    }
}
