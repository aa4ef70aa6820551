//! The newest time that is on disk, so that a start can tell whether the machine's clock is plausible.

use std::sync::atomic::{AtomicU64, Ordering};

use millstream_catalog::{Catalog, CatalogError, Key, Record};
use millstream_env::Env;
use serde::{Deserialize, Serialize};

use crate::service::Kinesis;

/// How often the stamp is written, ms: a kill makes the next start believe that it was down for this much longer.
const EVERY: u64 = 5 * 60 * 1000;

/// The one record of its table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct ClockStamp {
    now_ms: u64,
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
pub(crate) struct Stamped(AtomicU64);

/// Lets the clock start after the newest stamp; see [`millstream_env::ServerClock::start_after`].
pub(crate) fn start_clock(env: &Env, catalog: &Catalog) -> Result<(), CatalogError> {
    let stamp = catalog.transact_blocking(|tx| tx.scan::<ClockStamp>(&Key::all()))?.first().copied();
    if let Some(stamp) = stamp {
        env.clock.start_after(stamp.now_ms);
    }
    Ok(())
}

impl Kinesis {
    /// Writes the stamp if it is due; at once with `always`. A failure shows in the catalog's own problem report.
    pub(crate) async fn stamp_clock(&self, always: bool) {
        let now = self.now();
        let last = self.stamped.0.load(Ordering::Relaxed);
        if !always && now.saturating_sub(last) < EVERY {
            return;
        }
        self.stamped.0.store(now, Ordering::Relaxed);
        let written: Result<(), CatalogError> =
            self.catalog.transact(move |tx| tx.put(&ClockStamp { now_ms: now })).await;
        if let Err(error) = written {
            tracing::warn!(%error, "the clock's stamp was not written");
        }
    }
}
