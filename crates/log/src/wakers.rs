//! Tasks that wait for the same thing, woken with few system calls.
//!
//! Waking a task of another thread's runtime costs a system call, waking one of the same runtime does not. So of the tasks
//! that wait on one thread only one is woken from elsewhere; when it is polled, on that thread, or gives up, it wakes the
//! others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// The tasks that wait.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    groups: Vec<Group>,
}

/// Those of one thread.
#[derive(Debug)]
struct Group {
    thread: u64,
    waiting: Vec<(u64, Waker)>,
}

/// A place among those that wait. Whoever has one is to give it back: by [`Wakers::take`] once what was waited for is
/// there, else by [`Wakers::forget`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    thread: u64,
    id: u64,
}

/// A number for the present thread.
fn thread_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static KEY: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    KEY.with(|key| *key)
}

impl Wakers {
    /// Has the present task wait, or wait on with another waker.
    pub(crate) fn wait(&mut self, known: Option<Ticket>, waker: &Waker) -> Ticket {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let new = || Ticket { thread: thread_key(), id: NEXT.fetch_add(1, Ordering::Relaxed) };
        let ticket = known.unwrap_or_else(new);
        let group = match self.groups.iter().position(|g| g.thread == ticket.thread) {
            Some(at) => &mut self.groups[at],
            None => {
                self.groups.push(Group { thread: ticket.thread, waiting: Vec::new() });
                let last = self.groups.len() - 1;
                &mut self.groups[last]
            }
        };
        let old = known.and_then(|_| group.waiting.iter_mut().find(|(other, _)| *other == ticket.id));
        match old {
            Some((_, old)) => old.clone_from(waker),
            None => group.waiting.push((ticket.id, waker.clone())),
        }
        ticket
    }

    /// One task of each thread, to be woken: what they wait for is there.
    pub(crate) fn firsts(&mut self) -> Vec<Waker> {
        self.groups.iter_mut().filter_map(|g| g.waiting.pop()).map(|(_, waker)| waker).collect()
    }

    /// The tasks that count on the ticket's to wake them.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Vec<Waker> {
        let group = self.groups.iter_mut().find(|g| g.thread == ticket.thread);
        group.map_or_else(Vec::new, |g| g.waiting.drain(..).map(|(_, waker)| waker).collect())
    }

    /// The ticket's task waits no more.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        if let Some(group) = self.groups.iter_mut().find(|g| g.thread == ticket.thread) {
            group.waiting.retain(|(other, _)| *other != ticket.id);
        }
    }
}
