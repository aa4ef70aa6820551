//! The one clock of domain time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::Clock;

/// A difference to the wall clock beyond which it is a *step*, not a drift: reported, and not followed at once.
const STEP: i64 = 2 * 60 * 1000;

/// How far from the newest durable stamp a start may lie before retention waits.
const FAR_START: i64 = 24 * 60 * 60 * 1000;

/// A stepped wall clock is believed after it has been steady for as long as the step was, within these bounds.
const STEADY_MIN: i64 = 10 * 60 * 1000;
const STEADY_MAX: i64 = 24 * 60 * 60 * 1000;

/// Slewing changes the clock's rate by at most one part in this many.
const SLEW: i64 = 20;

/// Domain time: driven by the monotonic clock, slewed towards wall time, never going back.
///
/// A wall clock that steps by minutes, or a start far from the newest durable stamp, makes it *suspect*: [`now`] goes on
/// undisturbed and [`retention_now`] lags behind on the last time that was trusted, so that nothing is deleted because
/// of a wrong clock. The step is believed once it was [`confirm`]ed, or the wall clock was steady for as long as the
/// step was (at least 10 minutes, at most a day).
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
            watch: Mutex::new(Watch { last_tick: monotonic, ahead: false, suspicion: None }),
        }
    }

    /// Tells the clock the newest stamp found on disk. Server time starts no earlier than it; a start far from it makes
    /// the clock suspect. Call once, before serving.
    pub fn start_after(&self, newest_stamp: u64) {
        let now = self.now();
        let gap = now as i64 - newest_stamp as i64;
        if gap < 0 {
            self.offset.fetch_add(-gap, Ordering::Relaxed);
        }
        if !(-STEP..=FAR_START).contains(&gap) {
            let what = format!(
                "the clock is {} {} the newest stamp on disk",
                human(gap.unsigned_abs()),
                if gap < 0 { "behind" } else { "ahead of" }
            );
            self.retention_lag.store(gap.max(0), Ordering::Relaxed);
            let difference = self.clock.wall() as i64 - self.now() as i64;
            let mut watch = self.watch.lock();
            watch.suspicion = Some(Suspicion { difference, since: self.clock.monotonic(), what });
        }
    }

    /// Domain time in ms since the Unix epoch. Never goes back.
    pub fn now(&self) -> u64 {
        let monotonic = self.clock.monotonic().as_millis() as i64;
        let now = (monotonic + self.offset.load(Ordering::Relaxed)).max(0) as u64;
        self.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// The time to judge retention by: [`ServerClock::now`], or less while the clock is suspect.
    pub fn retention_now(&self) -> u64 {
        self.now().saturating_sub(self.retention_lag.load(Ordering::Relaxed).max(0) as u64)
    }

    /// Time since a fixed point of this process.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
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
        let difference = self.clock.wall() as i64 - self.now() as i64;
        let ahead = watch.ahead;
        match &mut watch.suspicion {
            Some(suspicion) => {
                if (difference - suspicion.difference).abs() > STEP {
                    suspicion.difference = difference;
                    suspicion.since = monotonic;
                }
                let steady = monotonic.saturating_sub(suspicion.since).as_millis() as i64;
                let lag = self.retention_lag.load(Ordering::Relaxed);
                if steady >= difference.abs().max(lag).clamp(STEADY_MIN, STEADY_MAX) {
                    self.believe(&mut watch);
                }
            }
            None if ahead && difference < -STEP => {
                self.offset.fetch_sub(elapsed / 2, Ordering::Relaxed);
            }
            None if difference.abs() > STEP => {
                let what = format!(
                    "the wall clock stepped {} by {}",
                    if difference > 0 { "forwards" } else { "back" },
                    human(difference.unsigned_abs())
                );
                watch.suspicion = Some(Suspicion { difference, since: monotonic, what });
            }
            None => {
                watch.ahead = false;
                let most = elapsed / SLEW;
                self.offset.fetch_add(difference.clamp(-most, most), Ordering::Relaxed);
            }
        }
    }

    fn believe(&self, watch: &mut Watch) {
        let difference = self.clock.wall() as i64 - self.now() as i64;
        // Forwards at once; backwards by going slowly: time that stood still would stop all that waits for it.
        self.offset.fetch_add(difference.max(0), Ordering::Relaxed);
        watch.ahead = difference < 0;
        self.retention_lag.store(0, Ordering::Relaxed);
        watch.suspicion = None;
    }
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
mod tests {
    use super::*;
    use crate::sim::SimClock;

    const DAY: u64 = 24 * 60 * 60 * 1000;

    fn server(clock: &Arc<SimClock>) -> ServerClock {
        ServerClock::new(Arc::clone(clock) as Arc<dyn Clock>)
    }

    fn run(clock: &SimClock, server: &ServerClock, ms: u64) {
        let mut left = ms;
        while left > 0 {
            let step = left.min(60_000);
            clock.advance(step);
            server.tick();
            left -= step;
        }
    }

    #[test]
    fn follows_small_drift_without_going_back() {
        let clock = Arc::new(SimClock::new(1_000 * DAY));
        let server = server(&clock);
        let before = server.now();
        clock.step_wall(-1_000);
        server.tick();
        assert!(server.now() >= before);
        run(&clock, &server, 120_000);
        assert_eq!(server.now(), crate::Clock::wall(&*clock));
        assert_eq!(server.state(), ClockState::Trusted);
    }

    #[test]
    fn a_wall_step_pauses_retention_until_it_was_steady_for_as_long() {
        let clock = Arc::new(SimClock::new(1_000 * DAY));
        let server = server(&clock);
        let before = server.now();
        clock.step_wall(400 * DAY as i64);
        server.tick();
        assert!(matches!(server.state(), ClockState::Suspect(_)));
        run(&clock, &server, DAY - 60_000);
        assert!(server.retention_now() <= before + DAY);
        run(&clock, &server, 120_000);
        assert_eq!(server.state(), ClockState::Trusted);
        assert!(server.retention_now() > before + 400 * DAY);
    }

    #[test]
    fn a_step_that_is_undone_costs_nothing() {
        let clock = Arc::new(SimClock::new(1_000 * DAY));
        let server = server(&clock);
        clock.step_wall(400 * DAY as i64);
        server.tick();
        run(&clock, &server, 60_000);
        clock.step_wall(-400 * DAY as i64);
        server.tick();
        run(&clock, &server, STEADY_MIN as u64 + 60_000);
        assert_eq!(server.state(), ClockState::Trusted);
        assert!(server.now().abs_diff(crate::Clock::wall(&*clock)) < 1_000);
    }

    #[test]
    fn a_clock_that_was_far_ahead_goes_slowly_and_never_stands_still() {
        let clock = Arc::new(SimClock::new(1_000 * DAY));
        let server = server(&clock);
        server.start_after(1_030 * DAY);
        server.confirm();
        for _ in 0..90 {
            let before = server.now();
            run(&clock, &server, DAY);
            assert!(server.now() >= before + DAY / 2);
        }
        assert!(server.now().abs_diff(crate::Clock::wall(&*clock)) < STEP as u64);
        assert_eq!(server.state(), ClockState::Trusted);
    }

    #[test]
    fn never_starts_before_the_newest_stamp() {
        let clock = Arc::new(SimClock::new(1_000 * DAY));
        let server = server(&clock);
        server.start_after(1_001 * DAY);
        assert!(server.now() >= 1_001 * DAY);
        assert!(matches!(server.state(), ClockState::Suspect(_)));
    }

    #[test]
    fn a_start_long_after_the_newest_stamp_pauses_retention() {
        let clock = Arc::new(SimClock::new(1_000 * DAY));
        let server = server(&clock);
        server.start_after(600 * DAY);
        assert_eq!(server.now(), 1_000 * DAY);
        assert_eq!(server.retention_now(), 600 * DAY);
        server.confirm();
        assert_eq!(server.retention_now(), 1_000 * DAY);
    }
}
