//! The one clock of domain time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::Clock;

mod virtual_time;

pub use virtual_time::Rate;
use virtual_time::VirtualTime;

/// A difference to the wall clock beyond which it is a *step*, not a drift: reported, and not followed at once.
const STEP: i64 = 2 * 60 * 1000;

/// How far from the newest durable stamp a start may lie before retention waits.
const FAR_START: i64 = 24 * 60 * 60 * 1000;

/// A stepped wall clock is believed after it has been steady for as long as the step was, within these bounds.
const STEADY_MIN: i64 = 10 * 60 * 1000;
const STEADY_MAX: i64 = 24 * 60 * 60 * 1000;

/// The newest record on disk may be this much newer than the newest stamp, ms: twice the time between two stamps.
const STAMP_LAG: u64 = 10 * 60 * 1000;

/// Slewing changes the clock's rate by at most one part in this many.
const SLEW: i64 = 20;

/// Domain time: driven by the monotonic clock, slewed towards wall time, never going back.
///
/// A wall clock that steps by minutes, or a start far from the newest durable stamp, makes it *suspect*: [`now`] goes on
/// undisturbed and [`retention_now`] lags behind on the last time that was trusted, so that nothing is deleted because
/// of a wrong clock. The step is believed once it was [`confirm`]ed, or the wall clock was steady for as long as the
/// step was (at least 10 minutes, at most a day). What is not believed is remembered over restarts ([`Doubt`]), and a wall
/// clock that was put right again does not make true what it once claimed.
///
/// Tests may move domain time ahead of the machine's, by steps and by a rate ([`ServerClock::move_ahead`]). What is trusted
/// and what is suspect is judged without it: a virtual step is no wrong clock.
///
/// [`now`]: ServerClock::now
/// [`retention_now`]: ServerClock::retention_now
/// [`confirm`]: ServerClock::confirm
pub struct ServerClock {
    clock: Arc<dyn Clock>,
    /// Server time minus monotonic time, ms.
    offset: AtomicI64,
    /// The latest time given out, so that slewing backwards never shows.
    latest: AtomicU64,
    /// How far retention time lags behind server time, ms.
    retention_lag: AtomicI64,
    /// [`Doubt::before`].
    doubt_before: AtomicU64,
    /// What tests have put before server time.
    ahead: VirtualTime,
    watch: Mutex<Watch>,
}

/// What [`ServerClock::tick`] remembers.
struct Watch {
    last_tick: Duration,
    /// Whether the clock is far ahead of a wall clock that is believed: it runs at half speed until it is not.
    ahead: bool,
    suspicion: Option<Suspicion>,
}

/// A step that is not believed yet.
struct Suspicion {
    /// Wall minus server time, when it was last seen to move.
    difference: i64,
    since: Duration,
    what: String,
}

/// How far domain time is ahead of what can be trusted. To be kept beside the newest stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Domain time minus trusted time, ms; 0 if all is trusted.
    pub lag: u64,
    /// Records with older arrival times than this, ms since the epoch, were stamped before domain time leapt ahead: they
    /// expire by trusted time. Later ones expire by the clock that stamped them.
    pub before: u64,
}

/// Whether the clock is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// Server time follows wall time.
    Trusted,
    /// Retention is paused; the text says why.
    Suspect(String),
}

impl ServerClock {
    /// A clock that starts at the present wall time and is trusted.
    pub fn new(clock: Arc<dyn Clock>) -> ServerClock {
        let monotonic = clock.monotonic();
        let offset = clock.wall() as i64 - monotonic.as_millis() as i64;
        ServerClock {
            clock,
            offset: AtomicI64::new(offset),
            latest: AtomicU64::new(0),
            retention_lag: AtomicI64::new(0),
            doubt_before: AtomicU64::new(0),
            ahead: VirtualTime::default(),
            watch: Mutex::new(Watch { last_tick: monotonic, ahead: false, suspicion: None }),
        }
    }

    /// Tells the clock the newest stamp found on disk, without what tests had moved it ahead by then, and the doubt that
    /// was kept with it. Server time starts no earlier than the stamp; a start far from it, or one with a doubt, makes the
    /// clock suspect. Call once, before serving, and after [`ServerClock::move_ahead`].
    pub fn start_after(&self, newest_stamp: u64, doubt: Doubt) {
        let now = self.real();
        let gap = now as i64 - newest_stamp as i64;
        if gap < 0 {
            self.offset.fetch_add(-gap, Ordering::Relaxed);
        }
        let far = !(-STEP..=FAR_START).contains(&gap);
        if !far && doubt.lag == 0 {
            return;
        }
        // The time that passed between the stamp and the start is known from a clock that is not trusted only.
        self.retention_lag.store(gap.max(0) + doubt.lag as i64, Ordering::Relaxed);
        let trusted = newest_stamp.saturating_sub(doubt.lag) + self.ahead();
        let before = if gap > 0 { trusted + STAMP_LAG } else { doubt.before };
        self.doubt_before.store(before, Ordering::Relaxed);
        let what = if far {
            let relation = if gap < 0 { "behind" } else { "ahead of" };
            format!("the clock is {} {relation} the newest stamp on disk", human(gap.unsigned_abs()))
        } else {
            format!("before the start the clock had leapt ahead by {}", human(doubt.lag))
        };
        let difference = self.clock.wall() as i64 - self.real() as i64;
        let mut watch = self.watch.lock();
        watch.suspicion = Some(Suspicion { difference, since: self.clock.monotonic(), what });
    }

    /// What is to be kept beside a stamp of [`ServerClock::now`].
    pub fn doubt(&self) -> Doubt {
        Doubt {
            lag: self.retention_lag.load(Ordering::Relaxed).max(0) as u64,
            before: self.doubt_before.load(Ordering::Relaxed),
        }
    }

    /// Domain time in ms since the Unix epoch. Never goes back.
    pub fn now(&self) -> u64 {
        let monotonic = self.clock.monotonic();
        let now = self.real_at(monotonic).saturating_add(self.ahead.at(monotonic));
        self.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Server time without what tests have put before it.
    fn real(&self) -> u64 {
        self.real_at(self.clock.monotonic())
    }

    fn real_at(&self, monotonic: Duration) -> u64 {
        (monotonic.as_millis() as i64 + self.offset.load(Ordering::Relaxed)).max(0) as u64
    }

    /// The time that is trusted: [`ServerClock::now`], or less while the clock is suspect.
    pub fn retention_now(&self) -> u64 {
        self.now().saturating_sub(self.doubt().lag)
    }

    /// Records that arrived before this are older than `retention`, ms.
    pub fn horizon(&self, retention: u64) -> u64 {
        let (now, doubt) = (self.now(), self.doubt());
        let trusted = now.saturating_sub(doubt.lag).saturating_sub(retention);
        // Once all that was stamped before the leap has expired, what came after it goes by the time that it was given.
        if trusted < doubt.before { trusted } else { now.saturating_sub(retention) }
    }

    /// Time since a fixed point of this process.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// How long it takes until domain time reaches `due`, in ms since the epoch; zero if it has.
    pub fn until(&self, due: u64) -> Duration {
        self.ahead.rate().shrink(Duration::from_millis(due.saturating_sub(self.now())))
    }

    /// How far tests have moved domain time ahead of the machine's, ms.
    pub fn ahead(&self) -> u64 {
        self.ahead.at(self.clock.monotonic())
    }

    /// How fast domain time goes.
    pub fn rate(&self) -> Rate {
        self.ahead.rate()
    }

    /// Moves domain time ahead by `ms`, at once and for good.
    pub fn move_ahead(&self, ms: u64) {
        self.ahead.step(ms);
    }

    /// Lets domain time go at another rate from now on. What a faster one has gained stays.
    pub fn set_rate(&self, rate: Rate) {
        self.ahead.set_rate(rate, self.clock.monotonic());
    }

    /// Whether the clock is trusted.
    pub fn state(&self) -> ClockState {
        match &self.watch.lock().suspicion {
            None => ClockState::Trusted,
            Some(s) => ClockState::Suspect(s.what.clone()),
        }
    }

    /// An operator says that the wall clock is right: it is followed at once, as far as time does not go back.
    pub fn confirm(&self) {
        let mut watch = self.watch.lock();
        self.believe(&mut watch);
    }

    /// Compares with the wall clock and slews. Call about every 250 ms.
    pub fn tick(&self) {
        let mut watch = self.watch.lock();
        let monotonic = self.clock.monotonic();
        let mut elapsed = monotonic.saturating_sub(watch.last_tick).as_millis() as i64;
        if elapsed >= SLEW {
            watch.last_tick = monotonic;
        } else {
            // Too short to slew by a whole millisecond: counted with the next tick.
            elapsed = 0;
        }
        let difference = self.clock.wall() as i64 - self.real() as i64;
        let ahead = watch.ahead;
        match &mut watch.suspicion {
            Some(suspicion) => {
                if (difference - suspicion.difference).abs() > STEP {
                    *suspicion = Suspicion { difference, since: monotonic, what: stepped(difference) };
                }
                let steady = monotonic.saturating_sub(suspicion.since).as_millis() as i64;
                let lag = self.retention_lag.load(Ordering::Relaxed);
                if steady >= difference.abs().max(lag).clamp(STEADY_MIN, STEADY_MAX) {
                    self.believe(&mut watch);
                }
            }
            None if ahead && difference < -STEP => {
                self.offset.fetch_sub(elapsed / 2, Ordering::Relaxed);
                // Trusted time goes on at its own rate.
                let lag = self.retention_lag.load(Ordering::Relaxed);
                self.retention_lag.store((lag - elapsed / 2).max(0), Ordering::Relaxed);
            }
            None if difference.abs() > STEP => {
                watch.suspicion = Some(Suspicion { difference, since: monotonic, what: stepped(difference) });
            }
            None => {
                watch.ahead = false;
                self.retention_lag.store(0, Ordering::Relaxed);
                let most = elapsed / SLEW;
                self.offset.fetch_add(difference.clamp(-most, most), Ordering::Relaxed);
            }
        }
    }

    fn believe(&self, watch: &mut Watch) {
        let difference = self.clock.wall() as i64 - self.real() as i64;
        // Forwards at once; backwards by going slowly: time that stood still would stop all that waits for it.
        self.offset.fetch_add(difference.max(0), Ordering::Relaxed);
        watch.ahead = difference < 0;
        // A wall clock behind server time does not vouch for more than it shows.
        let lag = self.retention_lag.load(Ordering::Relaxed);
        self.retention_lag.store(lag.min((-difference).max(0)), Ordering::Relaxed);
        watch.suspicion = None;
    }
}

/// What the wall clock did, from how far it is from server time.
fn stepped(difference: i64) -> String {
    if difference.abs() <= STEP {
        return "the wall clock stepped, and is back where it was".to_owned();
    }
    let direction = if difference > 0 { "forwards" } else { "back" };
    format!("the wall clock stepped {direction} by {}", human(difference.unsigned_abs()))
}

fn human(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests;
