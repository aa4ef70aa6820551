//! What the outside world gives to Millstream: time, timers, randomness, a disk and threads.
//!
//! Everything else in the workspace receives an [`Env`] instead of reaching for the operating system, so that the same
//! code runs on a real machine and in a simulation that replays from a seed. `clippy.toml` enforces it.

mod clock;
mod counted;
mod disk;
mod pool;
mod random;
pub mod real;
pub mod runtime;
mod server_clock;
pub mod sim;
mod timer;

use std::sync::Arc;

pub use clock::Clock;
pub use counted::counted;
pub use disk::{Disk, DiskEntry, DiskFile, OpenMode};
pub use pool::{Job, Pool};
pub use random::{Random, RandomExt};
pub use server_clock::{ClockState, Doubt, Rate, ServerClock};
pub use timer::Timer;

/// The outside world, handed to every component.
#[derive(Clone)]
pub struct Env {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// Domain time (slewed, never back); see [`ServerClock`].
    pub clock: Arc<ServerClock>,
    /// Waiting for time to pass.
    pub timer: Arc<dyn Timer>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
    /// Threads for blocking work.
    pub pool: Arc<dyn Pool>,
}

impl Env {
    /// The machine this process runs on, with `io_threads` threads for blocking work.
    pub fn real(io_threads: usize) -> Env {
        Env {
            disk: Arc::new(real::RealDisk),
            clock: Arc::new(ServerClock::new(Arc::new(real::RealClock::new()))),
            timer: Arc::new(runtime::RuntimeTimer),
            random: Arc::new(real::RealRandom),
            pool: Arc::new(real::ThreadPool::new(io_threads)),
        }
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}
