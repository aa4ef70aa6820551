//! Runtimes, task spawning and timers for code that runs on tokio (the server and the binary; domain code spawns nothing
//! and waits through [`Timer`]).
#![allow(clippy::disallowed_methods)] // the one place where they are wrapped

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::{Job, Timer};

thread_local! {
    /// What waits for the end of this thread's turn; `None` on threads without turns.
    static TURN: RefCell<Option<Vec<Job>>> = const { RefCell::new(None) };
}

/// A runtime for one thread that works in turns: a turn ends when every task has been polled that was ready when the first
/// work was left for its end, and what these made ready at once. That is when [`crate::Pool::at_turn_end`]'s work is done,
/// however much has become ready meanwhile.
pub struct Turns(tokio::runtime::Runtime);

impl Turns {
    /// A runtime that does nothing yet.
    ///
    /// # Errors
    /// The system's, as for want of file descriptors.
    pub fn new() -> io::Result<Turns> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_io().enable_time().build().map(Turns)
    }

    /// Runs `work` on the calling thread, to its end.
    pub fn run(self, work: impl Future<Output = ()>) {
        TURN.set(Some(Vec::new()));
        self.0.block_on(work);
        drop(self.0);
        // The turn under way had no end, and tasks that were dropped with the runtime may have left something.
        end_turn();
        TURN.set(None);
    }
}

/// Leaves `work` for the end of this thread's turn, or gives it back if the thread has no turns.
pub(crate) fn leave_for_turn_end(work: Job) -> Option<Job> {
    let is_first = TURN.with_borrow_mut(|turn| match turn {
        Some(left) => {
            left.push(work);
            Ok(left.len() == 1)
        }
        None => Err(work),
    });
    match is_first {
        Ok(true) => {
            // Without a runtime it is shutting down, which ends the turn as well.
            if let Ok(runtime) = Handle::try_current() {
                drop(runtime.spawn(end_turn_behind_others()));
            }
            None
        }
        Ok(false) => None,
        Err(work) => Some(work),
    }
}

/// Ends the turn when the tasks that are ready now have been polled. A hook on the thread's parking would not do: a thread
/// that always has something ready does not park.
async fn end_turn_behind_others() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        // Tokio's own way to yield waits for a look at the outside world. This goes to the end of the queue.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    end_turn();
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
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::Pool;
    use crate::real::ThreadPool;

    /// Runs `work` as requests run: as one task among others.
    async fn in_a_task(work: impl Future<Output = ()> + Send + 'static) {
        tokio::task::spawn(work).await.unwrap();
    }

    #[test]
    fn what_is_left_for_the_end_of_a_turn_waits_for_all_that_is_ready() {
        let (done, order) = mpsc::channel();
        let pool = ThreadPool::new(1);
        Turns::new().unwrap().run(in_a_task(async move {
            let (say, last) = (done.clone(), done.clone());
            let (woken, wake) = tokio::sync::oneshot::channel::<()>();
            spawn(async move {
                done.send("another task").unwrap();
                drop(woken);
            });
            pool.at_turn_end(Box::new(move || say.send("turn ended").unwrap()));
            wake.await.unwrap_err();
            last.send("still the same turn").unwrap();
            sleep(Duration::from_millis(1)).await;
            last.send("the next turn").unwrap();
        }));
        let order: Vec<_> = order.iter().collect();
        assert_eq!(order, ["another task", "still the same turn", "turn ended", "the next turn"]);
    }

    #[test]
    fn a_task_that_is_always_ready_does_not_keep_a_turn_from_ending() {
        const MANY: usize = 10_000;
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, end) = (Arc::clone(&ended), Arc::clone(&ended));
        let (done, polls) = mpsc::channel();
        let pool = ThreadPool::new(1);
        Turns::new().unwrap().run(in_a_task(async move {
            let busy = tokio::task::spawn(async move {
                let mut polled = 0;
                poll_fn(|context| {
                    polled += 1;
                    if seen.load(Ordering::Relaxed) || polled == MANY {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
                done.send(polled).unwrap();
            });
            pool.at_turn_end(Box::new(move || end.store(true, Ordering::Relaxed)));
            busy.await.unwrap();
        }));
        assert!(ended.load(Ordering::Relaxed));
        let polls = polls.recv().unwrap();
        assert!(polls < 5, "{polls} polls of another task passed before the turn ended");
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
