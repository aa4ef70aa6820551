//! What is written to an on-demand stream: minute by minute as long as the scaler looks back, and the peaks of 30 days.
//!
//! Minutes are those of domain time. A put adds to the present minute under one lock per stream and request, as the
//! append itself does. The peaks are coarse, and saved now and then (`on_demand.rs`), so that a restart does not forget
//! them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicU64;

use millstream_catalog::{Catalog, CatalogError, Key, Record};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::state::{Mode, ShardIndex, StreamRecord};

/// A minute, ms.
pub const MINUTE: u64 = 60 * 1000;

/// Minutes that are kept shard by shard.
pub const RECENT: usize = 3;

/// The span of one peak, ms: 6 hours.
const SLOT: u64 = 6 * 60 * MINUTE;

/// How many of them are kept: 30 days.
const SLOTS: u64 = 120;

/// What was written within a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Records.
    pub records: u64,
    /// Bytes of data and partition keys.
    pub bytes: u64,
}

impl Volume {
    fn add(&mut self, more: Volume) {
        self.records += more.records;
        self.bytes += more.bytes;
    }

    /// The larger of both in each respect.
    #[must_use]
    pub fn max(self, other: Volume) -> Volume {
        Volume { records: self.records.max(other.records), bytes: self.bytes.max(other.bytes) }
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Volume) -> Volume {
        self.add(other);
        self
    }
}

/// A minute that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minute {
    /// Its number since the epoch.
    pub number: u64,
    /// What each shard took.
    pub shards: BTreeMap<ShardIndex, Volume>,
}

/// A maximum, and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Peak {
    slot: u64,
    volume: Volume,
}

/// The peaks of an on-demand stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    incarnation: u64,
    /// Since when it is kept, ms since the epoch: the stream's creation, or its switch to on-demand mode.
    pub since_ms: u64,
    /// The stream's largest minute in each span of 6 hours, oldest first; spans without traffic are left out.
    peaks: VecDeque<Peak>,
    /// Each shard's largest minute, and when it was.
    shards: BTreeMap<ShardIndex, Peak>,
}

impl Record for History {
    const TABLE: &'static str = "kinesis.loads";
    const VERSION: u8 = 1;

    fn key(&self) -> Key {
        History::key_of(self.incarnation)
    }
}

impl History {
    /// The key of a stream's record.
    pub(crate) fn key_of(incarnation: u64) -> Key {
        Key::all().number(incarnation)
    }

    /// The history of a stream that starts at that time, ms since the epoch.
    pub fn new(incarnation: u64, since_ms: u64) -> History {
        History { incarnation, since_ms, ..History::default() }
    }

    /// Takes a minute into account that has ended. Whether that has changed anything.
    pub fn learn(&mut self, minute: &Minute) -> bool {
        let slot = minute.number * MINUTE / SLOT;
        let (mut total, mut has_changed) = (Volume::default(), false);
        for (shard, volume) in &minute.shards {
            total.add(*volume);
            let new = Peak { slot, volume: *volume };
            let peak = self.shards.entry(*shard).or_insert_with(|| {
                has_changed = true;
                new
            });
            // A shard's second largest minute is not known: when its peak is too old, it starts anew.
            let next = if is_kept(peak.slot, slot) { peak_of(*peak, new) } else { new };
            has_changed |= *peak != next;
            *peak = next;
        }
        match self.peaks.back_mut().filter(|last| last.slot == slot) {
            Some(last) => {
                has_changed |= last.volume.max(total) != last.volume;
                last.volume = last.volume.max(total);
            }
            None => {
                has_changed = true;
                self.peaks.push_back(Peak { slot, volume: total });
            }
        }
        while self.peaks.front().is_some_and(|first| !is_kept(first.slot, slot)) {
            self.peaks.pop_front();
        }
        has_changed
    }

    /// Forgets shards that no longer take records.
    pub fn retain(&mut self, is_open: impl Fn(ShardIndex) -> bool) {
        self.shards.retain(|shard, _| is_open(*shard));
    }

    /// The largest minute of the last 30 days.
    pub fn peak(&self, now_ms: u64) -> Volume {
        let kept = self.peaks.iter().filter(|peak| is_kept(peak.slot, now_ms / SLOT));
        kept.fold(Volume::default(), |most, peak| most.max(peak.volume))
    }

    /// The largest minute of a shard in the last 30 days.
    pub fn shard_peak(&self, shard: ShardIndex, now_ms: u64) -> Volume {
        let peak = self.shards.get(&shard).filter(|peak| is_kept(peak.slot, now_ms / SLOT));
        peak.map_or(Volume::default(), |peak| peak.volume)
    }

    /// Whether it covers 30 days.
    pub fn is_full(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.since_ms) >= SLOTS * SLOT
    }
}

fn is_kept(slot: u64, now: u64) -> bool {
    slot + SLOTS > now
}

/// The larger of both in each respect, as of the later one if it has changed anything.
fn peak_of(old: Peak, new: Peak) -> Peak {
    let volume = old.volume.max(new.volume);
    if volume == old.volume && volume != new.volume { old } else { Peak { slot: new.slot, volume } }
}

/// The tracker of one stream.
#[derive(Debug, Default)]
pub(crate) struct Load {
    window: Mutex<Window>,
    /// When the scaler looks at the stream next, ms since the epoch.
    pub(crate) due: AtomicU64,
    known: Mutex<Known>,
}

/// The minute that goes on, and those that have ended and were not looked at.
#[derive(Debug, Default)]
struct Window {
    number: u64,
    shards: BTreeMap<ShardIndex, Volume>,
    ended: VecDeque<Minute>,
}

impl Window {
    fn roll(&mut self, number: u64) {
        if number <= self.number {
            return;
        }
        if !self.shards.is_empty() {
            // Nobody looks while ticks are held up; then the newest count.
            if self.ended.len() >= 2 * RECENT {
                self.ended.pop_front();
            }
            self.ended.push_back(Minute { number: self.number, shards: std::mem::take(&mut self.shards) });
        }
        self.number = number;
    }
}

/// What the scaler knows of a stream.
#[derive(Debug, Default)]
struct Known {
    /// `None` while the stream is not in on-demand mode, or before it was looked at.
    history: Option<History>,
    /// The latest minutes with traffic, oldest first.
    recent: VecDeque<Minute>,
    /// Whether the history differs from the one that was saved.
    is_dirty: bool,
}

impl Load {
    /// Counts what shards took at `now`, ms since the epoch.
    pub(crate) fn add(&self, now: u64, written: impl Iterator<Item = (ShardIndex, Volume)>) {
        let mut window = self.window.lock();
        window.roll(now / MINUTE);
        for (shard, volume) in written {
            window.shards.entry(shard).or_default().add(volume);
        }
    }

    /// Goes on with a history that was saved.
    pub(crate) fn remember(&self, history: History) {
        self.known.lock().history = Some(history);
    }

    /// Takes the minutes that have ended before `now` into account, and shows what is known then.
    pub(crate) fn learn<T>(
        &self,
        incarnation: u64,
        now: u64,
        look: impl FnOnce(&mut History, &VecDeque<Minute>) -> T,
    ) -> T {
        let mut window = self.window.lock();
        window.roll(now / MINUTE);
        let ended = std::mem::take(&mut window.ended);
        drop(window);
        let mut known = self.known.lock();
        let known = &mut *known;
        let history = known.history.get_or_insert_with(|| {
            known.is_dirty = true;
            History::new(incarnation, now)
        });
        for minute in ended {
            known.is_dirty |= history.learn(&minute);
            known.recent.push_back(minute);
        }
        while known.recent.len() > RECENT {
            known.recent.pop_front();
        }
        look(history, &known.recent)
    }

    /// Forgets everything: the stream is not in on-demand mode.
    pub(crate) fn forget(&self) {
        let mut known = self.known.lock();
        if known.history.is_some() {
            *known = Known { is_dirty: true, ..Known::default() };
            *self.window.lock() = Window::default();
        }
    }

    /// The history to save, if it has changed: `None` inside means that it is to be removed.
    pub(crate) fn take_unsaved(&self) -> Option<Option<History>> {
        let mut known = self.known.lock();
        std::mem::take(&mut known.is_dirty).then(|| known.history.clone())
    }

    /// The history was not saved after all.
    pub(crate) fn keep_unsaved(&self) {
        self.known.lock().is_dirty = true;
    }
}

/// The histories of on-demand streams, by incarnation. Those that belong to no such stream are removed. Blocks.
pub(crate) fn load_histories(
    catalog: &Catalog,
    streams: &[StreamRecord],
) -> Result<HashMap<u64, History>, CatalogError> {
    let on_demand: HashSet<u64> = streams.iter().filter(|s| s.mode == Mode::OnDemand).map(|s| s.incarnation).collect();
    catalog.transact_blocking(|tx| {
        let mut histories = HashMap::new();
        for history in tx.scan::<History>(&Key::all())? {
            if on_demand.contains(&history.incarnation) {
                histories.insert(history.incarnation, history);
            } else {
                tx.delete::<History>(&history.key())?;
            }
        }
        Ok(histories)
    })
}

#[cfg(test)]
mod tests;
