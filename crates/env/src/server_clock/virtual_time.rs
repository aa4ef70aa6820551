//! How far domain time is ahead of the machine's, for tests that would have to wait otherwise.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// How fast domain time goes: so many times as fast as the machine's, in thousandths. Never slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// As the machine's.
    pub const REAL: Rate = Rate(1000);
    /// A day in a second.
    pub const MAX: Rate = Rate(86_400_000);

    /// The rate of that many thousandths; `None` below [`Rate::REAL`] and above [`Rate::MAX`].
    pub fn from_thousandths(thousandths: u64) -> Option<Rate> {
        let rate = Rate(thousandths);
        (Rate::REAL..=Rate::MAX).contains(&rate).then_some(rate)
    }

    /// The rate in thousandths.
    pub fn thousandths(self) -> u64 {
        self.0
    }

    /// The time of the machine in which `domain` time passes.
    pub fn shrink(self, domain: Duration) -> Duration {
        if self == Rate::REAL {
            return domain;
        }
        let nanos = domain.as_nanos().saturating_mul(1000) / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How much more domain time than the machine's passes within `real`, ms.
    fn gain(self, real: Duration) -> u64 {
        let gain = real.as_micros().saturating_mul(u128::from(self.0 - Rate::REAL.0)) / 1_000_000;
        u64::try_from(gain).unwrap_or(u64::MAX)
    }
}

/// What is added to server time. It only grows. Costs two atomic loads while the rate is [`Rate::REAL`].
#[derive(Debug)]
pub(super) struct VirtualTime {
    /// What was added by steps, and by rates that have ended, ms.
    gained: AtomicU64,
    /// Whether the rate is not [`Rate::REAL`].
    scaled: AtomicBool,
    scale: Mutex<Scale>,
}

#[derive(Debug)]
struct Scale {
    rate: Rate,
    /// When the rate began, in monotonic time.
    since: Duration,
}

impl Default for VirtualTime {
    fn default() -> VirtualTime {
        VirtualTime {
            gained: AtomicU64::new(0),
            scaled: AtomicBool::new(false),
            scale: Mutex::new(Scale { rate: Rate::REAL, since: Duration::ZERO }),
        }
    }
}

impl VirtualTime {
    /// What is added at that monotonic time, ms.
    pub(super) fn at(&self, monotonic: Duration) -> u64 {
        if !self.scaled.load(Ordering::Acquire) {
            return self.gained.load(Ordering::Relaxed);
        }
        let scale = self.scale.lock();
        self.gained.load(Ordering::Relaxed) + scale.rate.gain(monotonic.saturating_sub(scale.since))
    }

    pub(super) fn rate(&self) -> Rate {
        if self.scaled.load(Ordering::Acquire) { self.scale.lock().rate } else { Rate::REAL }
    }

    pub(super) fn step(&self, ms: u64) {
        self.gained.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn set_rate(&self, rate: Rate, monotonic: Duration) {
        let mut scale = self.scale.lock();
        self.gained.fetch_add(scale.rate.gain(monotonic.saturating_sub(scale.since)), Ordering::Relaxed);
        *scale = Scale { rate, since: monotonic };
        self.scaled.store(rate != Rate::REAL, Ordering::Release);
    }
}
