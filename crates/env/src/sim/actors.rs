//! Futures that run side by side in an order drawn from the seed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::SimEnv;

/// Concurrent actors on a simulated machine: each is a future that is polled only when it was woken. One turn polls an actor
/// or runs one of the machine's waiting jobs, whichever is drawn.
#[derive(Default)]
pub struct Actors<'a> {
    actors: Vec<Actor<'a>>,
}

struct Actor<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    woken: Arc<Woken>,
    waker: Waker,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Actors<'a> {
    /// None yet.
    pub fn new() -> Actors<'a> {
        Actors::default()
    }

    /// Adds an actor.
    pub fn add(&mut self, future: impl Future<Output = ()> + 'a) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        self.actors.push(Actor { future: Box::pin(future), woken, waker });
    }

    /// Whether all have ended.
    pub fn have_ended(&self) -> bool {
        self.actors.is_empty()
    }

    /// Polls an actor that was woken, or runs a job of the machine. False if there is neither: all wait for time to pass, or
    /// for something that will never come.
    pub fn turn(&mut self, machine: &SimEnv) -> bool {
        let ready: Vec<usize> =
            (0..self.actors.len()).filter(|n| self.actors[*n].woken.0.load(Ordering::Relaxed)).collect();
        let jobs = machine.waiting_jobs();
        if ready.is_empty() && jobs == 0 {
            return false;
        }
        let pick = machine.below((ready.len() + jobs) as u64) as usize;
        let Some(n) = ready.get(pick) else { return machine.step() };
        self.poll(*n);
        true
    }

    /// Polls actors that were woken, and those that they wake, without running any job: what was said to them before the
    /// machine crashed has reached them.
    pub fn hear(&mut self) {
        const TURNS: usize = 100;
        for _ in 0..TURNS {
            let woken = |actor: &Actor<'_>| actor.woken.0.load(Ordering::Relaxed);
            let Some(n) = self.actors.iter().position(woken) else { return };
            self.poll(n);
        }
    }

    fn poll(&mut self, n: usize) {
        let actor = &mut self.actors[n];
        actor.woken.0.store(false, Ordering::Relaxed);
        if let Poll::Ready(()) = actor.future.as_mut().poll(&mut Context::from_waker(&actor.waker)) {
            drop(self.actors.swap_remove(n));
        }
    }
}
