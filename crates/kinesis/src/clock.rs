//! The newest time that is on disk, so that a start can tell whether the machine's clock is plausible; and domain time as
//! tests move it.

use std::sync::atomic::{AtomicU64, Ordering};

use millstream_catalog::{Catalog, CatalogError, Key, Record};
use millstream_env::{Doubt, Env, Rate};
use serde::{Deserialize, Serialize};

use crate::open::OpenError;
use crate::service::Kinesis;

/// How often the stamp is written, ms: a kill makes the next start believe that it was down for this much longer.
const EVERY: u64 = 5 * 60 * 1000;

/// With a faster rate a stamp claims, ahead of time, what domain time can gain until the next one is written: [`EVERY`],
/// and what passes in this many ms of the machine.
const STAMP_LATEST: u64 = 2_000;

/// The one record of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockStamp {
    /// Domain time.
    now_ms: u64,
    /// How much of it tests have added.
    #[serde(default)]
    ahead_ms: u64,
    /// [`Doubt::lag`].
    #[serde(default)]
    doubt_lag_ms: u64,
    /// [`Doubt::before`].
    #[serde(default)]
    doubt_before_ms: u64,
}

impl Record for ClockStamp {
    const TABLE: &'static str = "kinesis.clock";
    const VERSION: u8 = 1;

    fn key(&self) -> Key {
        Key::all().text("stamp")
    }
}

/// When the stamp was written last.
#[derive(Debug, Default)]
pub(crate) struct Stamped {
    at: AtomicU64,
    /// Held over reading the clock and writing the stamp: a stamp must not cover a later one.
    writing: tokio::sync::Mutex<()>,
}

/// Where domain time stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Domain time, ms since the epoch.
    pub now_ms: u64,
    /// How far tests have moved it ahead of the machine's time, ms.
    pub ahead_ms: u64,
    /// How fast it goes.
    pub rate: Rate,
}

/// Lets the clock start after the newest stamp; see [`millstream_env::ServerClock::start_after`]. What tests have added to
/// it goes on to count, which only a server for tests may do.
pub(crate) fn start_clock(env: &Env, catalog: &Catalog, may_be_ahead: bool) -> Result<(), OpenError> {
    let stamp = catalog.transact_blocking(|tx| tx.scan::<ClockStamp>(&Key::all()))?.first().copied();
    if let Some(ClockStamp { now_ms, ahead_ms, doubt_lag_ms, doubt_before_ms }) = stamp {
        if ahead_ms > 0 && !may_be_ahead {
            return Err(OpenError::VirtualClock { ahead_seconds: ahead_ms.div_ceil(1000) });
        }
        env.clock.move_ahead(ahead_ms);
        let doubt = Doubt { lag: doubt_lag_ms, before: doubt_before_ms };
        env.clock.start_after(now_ms.saturating_sub(ahead_ms), doubt);
    }
    Ok(())
}

impl Kinesis {
    /// Writes the stamp if it is due; at once with `always`. A failure shows in the catalog's own problem report.
    pub(crate) async fn stamp_clock(&self, always: bool) {
        let is_due = |now: u64| always || now.saturating_sub(self.stamped.at.load(Ordering::Relaxed)) >= EVERY;
        if !is_due(self.now()) {
            return;
        }
        let _writing = self.stamped.writing.lock().await;
        if !is_due(self.now()) {
            return;
        }
        if let Err(error) = self.write_stamp(0, self.env.clock.rate()).await {
            tracing::warn!(%error, "the clock's stamp was not written");
        }
    }

    /// The last stamp of a run. From here on the rate is the machine's, so that no time passes that it does not know of.
    pub(crate) async fn stamp_clock_at_stop(&self) {
        self.env.clock.set_rate(Rate::REAL);
        self.stamp_clock(true).await;
    }

    /// Writes the stamp of a clock that is about to be `step` ms further and to go at `rate`.
    async fn write_stamp(&self, step: u64, rate: Rate) -> Result<(), CatalogError> {
        let (now, ahead) = (self.now(), self.env.clock.ahead());
        self.stamped.at.store(now, Ordering::Relaxed);
        let claimed = match rate {
            Rate::REAL => step,
            rate => step.saturating_add(EVERY).saturating_add(STAMP_LATEST * rate.thousandths() / 1000),
        };
        let doubt = self.env.clock.doubt();
        let stamp = ClockStamp {
            now_ms: now.saturating_add(claimed),
            ahead_ms: ahead.saturating_add(claimed),
            doubt_lag_ms: doubt.lag,
            doubt_before_ms: doubt.before,
        };
        self.catalog.transact(move |tx| tx.put(&stamp)).await
    }

    /// Where domain time stands.
    pub fn clock(&self) -> ClockReading {
        let clock = &self.env.clock;
        ClockReading { now_ms: clock.now(), ahead_ms: clock.ahead(), rate: clock.rate() }
    }

    /// Moves domain time ahead by `step` ms, and lets it go at `rate` from now on, if one is given. What is due then is
    /// done when this returns. For tests: a data directory whose clock was moved can't be served without
    /// [`virtual_clock`](crate::KinesisConfig::virtual_clock) any more.
    ///
    /// # Errors
    /// The catalog's: the clock has not moved then. It moves only once a restart would know of it, since no time that
    /// was given out may be given out again.
    pub async fn move_clock(&self, step: u64, rate: Option<Rate>) -> Result<ClockReading, CatalogError> {
        {
            let _writing = self.stamped.writing.lock().await;
            let clock = &self.env.clock;
            let rate = rate.unwrap_or(clock.rate());
            let mut pause = Pause::begin(self);
            self.write_stamp(step, rate).await?;
            clock.move_ahead(step);
            pause.then = rate;
            pause.is_stamped = true;
        }
        self.tick().await;
        self.wake.notify_one();
        self.streams().all().iter().for_each(|stream| stream.announce_time());
        Ok(self.clock())
    }
}

/// While the stamp is being written domain time gains nothing that it does not know of. Dropped on every way out, also if
/// the request is dropped meanwhile: time then goes on as before.
struct Pause<'a> {
    kinesis: &'a Kinesis,
    /// The rate from the end of the pause on.
    then: Rate,
    is_stamped: bool,
}

impl Pause<'_> {
    fn begin(kinesis: &Kinesis) -> Pause<'_> {
        let then = kinesis.env.clock.rate();
        kinesis.env.clock.set_rate(Rate::REAL);
        Pause { kinesis, then, is_stamped: false }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if !self.is_stamped {
            // What the stamp claims for the rate, if it was written at all, is not what this one needs.
            self.kinesis.stamped.at.store(0, Ordering::Relaxed);
        }
        self.kinesis.env.clock.set_rate(self.then);
    }
}
