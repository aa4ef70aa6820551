//! A world that replays from a seed: a clock that is moved by hand, a disk that forgets what was not synced, and a pool
//! whose jobs run one at a time in an order drawn from the seed.

mod actors;
mod disk;
mod rng;
mod trace;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

pub use actors::Actors;
pub use disk::{Crash, DiskImage, Fault, ReadFault, SimDisk};
pub use rng::SimRandom;
pub use trace::Trace;

use crate::{Clock, Env, Job, Pool, Random, RandomExt, ServerClock, Timer};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct SimClock {
    wall: AtomicU64,
    monotonic: Arc<AtomicU64>,
    /// Those who wait for it to move, and until when.
    sleepers: Arc<Mutex<Vec<(Duration, Waker)>>>,
}

impl SimClock {
    /// A clock whose wall time is `wall` ms.
    pub fn new(wall: u64) -> SimClock {
        SimClock { wall: AtomicU64::new(wall), monotonic: Arc::default(), sleepers: Arc::default() }
    }

    /// Lets `ms` pass.
    pub fn advance(&self, ms: u64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
        self.monotonic.fetch_add(ms, Ordering::Relaxed);
        let now = self.monotonic();
        let due = {
            let mut sleepers = self.sleepers.lock();
            let (due, waiting) = std::mem::take(&mut *sleepers).into_iter().partition(|(until, _)| *until <= now);
            *sleepers = waiting;
            due
        };
        let due: Vec<(Duration, Waker)> = due;
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// How long it takes until the first of those who wait is due; `None` if nobody waits.
    pub fn until_next_sleeper(&self) -> Option<Duration> {
        let next = self.sleepers.lock().iter().map(|(until, _)| *until).min()?;
        Some(next.saturating_sub(self.monotonic()))
    }

    /// Steps the wall clock alone.
    pub fn step_wall(&self, ms: i64) {
        self.wall.fetch_add(ms as u64, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn wall(&self) -> u64 {
        self.wall.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(Ordering::Relaxed))
    }
}

/// Sleeps until the clock was moved far enough.
impl Timer for SimClock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (monotonic, sleepers) = (Arc::clone(&self.monotonic), Arc::clone(&self.sleepers));
        let due = self.monotonic() + duration;
        Box::pin(poll_fn(move |context| {
            // Under the lock: the clock moves before it looks for sleepers.
            let mut sleepers = sleepers.lock();
            if Duration::from_millis(monotonic.load(Ordering::Relaxed)) >= due {
                return Poll::Ready(());
            }
            sleepers.push((due, context.waker().clone()));
            Poll::Pending
        }))
    }
}

/// Jobs that wait until [`SimEnv::step`] runs one of them, drawn at random.
#[derive(Default)]
pub struct SimPool {
    jobs: Mutex<Vec<Job>>,
}

impl Pool for SimPool {
    fn spawn(&self, job: Job) {
        self.jobs.lock().push(job);
    }

    fn spawn_background(&self, job: Job) {
        self.spawn(job);
    }

    fn has_waiting(&self) -> bool {
        // Long jobs then give way at every chance, so that the simulation sees all interleavings.
        true
    }

    fn at_turn_end(&self, work: Job) {
        // At some time later, so that it sees what happens until then as well.
        self.spawn(work);
    }
}

/// A simulated machine: its disk outlives a restart, its clock and randomness go on.
pub struct SimEnv {
    /// The disk.
    pub disk: Arc<SimDisk>,
    /// The machine's clock.
    pub clock: Arc<SimClock>,
    /// Draws from the seed.
    pub random: Arc<SimRandom>,
    /// What happens.
    pub trace: Trace,
    pool: Arc<SimPool>,
    env: Env,
}

impl SimEnv {
    /// A fresh machine.
    pub fn new(seed: u64) -> SimEnv {
        let random = Arc::new(SimRandom::new(seed));
        let clock = Arc::new(SimClock::new(1_750_000_000_000));
        let trace = Trace::default();
        // What faults do is drawn from a sequence of its own, so that looking closer changes nothing else.
        let chance = Arc::new(SimRandom::new(!seed));
        let disk = SimDisk::with_parts(chance, Arc::clone(&clock), trace.clone());
        SimEnv::boot(Arc::new(disk), clock, random, trace)
    }

    /// A machine that boots at `wall` ms on what a crash leaves of a disk. It keeps no trace.
    pub fn on_image(image: &DiskImage, how: Crash, seed: u64, wall: u64) -> SimEnv {
        let random = Arc::new(SimRandom::new(seed));
        let clock = Arc::new(SimClock::new(wall));
        let trace = Trace::off();
        let chance = Arc::new(SimRandom::new(!seed));
        let disk = SimDisk::of_image(image, chance, Arc::clone(&clock), trace.clone());
        disk.crash(how, &random);
        SimEnv::boot(Arc::new(disk), clock, random, trace)
    }

    fn boot(disk: Arc<SimDisk>, clock: Arc<SimClock>, random: Arc<SimRandom>, trace: Trace) -> SimEnv {
        let pool = Arc::new(SimPool::default());
        let env = Env {
            disk: Arc::clone(&disk) as _,
            clock: Arc::new(ServerClock::new(Arc::clone(&clock) as Arc<dyn Clock>)),
            timer: Arc::clone(&clock) as _,
            random: Arc::clone(&random) as _,
            pool: Arc::clone(&pool) as _,
        };
        SimEnv { disk, clock, random, trace, pool, env }
    }

    /// The environment to hand to components. Valid until [`SimEnv::restart`].
    pub fn env(&self) -> Env {
        self.env.clone()
    }

    /// Ends the process as `crash` says and boots anew on the disk that is left. Waiting jobs never run.
    pub fn restart(self, crash: Crash) -> SimEnv {
        // What is dropped now must not reach the disk any more.
        self.disk.crash_now();
        let left = std::mem::take(&mut *self.pool.jobs.lock());
        drop(left);
        self.disk.crash(crash, &self.random);
        self.trace.note(|| format!("the machine starts again after {crash:?}"));
        self.clock.sleepers.lock().clear();
        SimEnv::boot(self.disk, self.clock, self.random, self.trace)
    }

    /// Runs one waiting job; false if there is none.
    pub fn step(&self) -> bool {
        let job = {
            let mut jobs = self.pool.jobs.lock();
            if jobs.is_empty() {
                return false;
            }
            let pick = (self.random.u64() % jobs.len() as u64) as usize;
            jobs.swap_remove(pick)
        };
        job();
        true
    }

    /// How many jobs wait.
    pub fn waiting_jobs(&self) -> usize {
        self.pool.jobs.lock().len()
    }

    /// Runs jobs until none waits.
    pub fn settle(&self) {
        while self.step() {}
    }

    /// Polls `future` and runs jobs until it is ready. `None` if it waits and no job is left: a lost wake-up, or jobs
    /// that the disk's crash has ended.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Some(value);
            }
            if !self.step() {
                return None;
            }
        }
    }

    /// Draws a number below `limit`.
    pub fn below(&self, limit: u64) -> u64 {
        self.random.u64() % limit.max(1)
    }
}

impl Random for SimEnv {
    fn fill(&self, bytes: &mut [u8]) {
        self.random.fill(bytes);
    }
}
