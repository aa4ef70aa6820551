//! On-demand streams grow and shrink: once a minute each is looked at, and [`crate::autoscale`] decides.
//!
//! A change of shards is a reshard plan as any other, due at once: the stream is UPDATING for as long as the log's one
//! commit takes, and takes records all the time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_catalog::CatalogError;

use crate::autoscale::{Capacity, Decision, FEWEST, OpenShard, Situation, decide, steps};
use crate::change::ChangeError;
use crate::load::{History, MINUTE, Minute};
use crate::service::Kinesis;
use crate::shards::plan_reshard;
use crate::state::{Mode, Status, StreamRecord};
use crate::stream::Stream;

/// How often histories that have changed are saved, ms. A kill forgets as much of them.
const SAVE_EVERY: u64 = 10 * MINUTE;

impl Kinesis {
    /// Looks at a stream if a minute has passed since it was looked at last, and splits or merges its shards if it is time.
    pub(crate) async fn scale_if_due(&self, stream: &Arc<Stream>) {
        let now = self.now();
        let due = stream.load.due.load(Ordering::Relaxed);
        let next = (now / MINUTE + 1) * MINUTE;
        // Of ticks that overlap one goes on.
        if now < due || stream.load.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let view = stream.view_owned();
        if view.record.mode != Mode::OnDemand {
            return stream.load.forget();
        }
        if view.status() != Status::Active {
            return;
        }
        let (decision, open) = self.judge(stream, &view.record, now);
        if decision == Decision::Keep {
            return;
        }
        let version = view.record.version;
        let changed = self.change(stream, move |record, _| {
            // Something else has come first; the next minute judges again.
            if record.version != version {
                return Ok(());
            }
            if let Some(steps) = steps(&decision, &open, record.next_index).filter(|steps| !steps.is_empty()) {
                plan_reshard(record, &steps, now);
            }
            Ok(())
        });
        match changed.await {
            Ok(()) => self.drive_now(stream).await,
            // It was deleted meanwhile.
            Err(ChangeError::Gone(_)) => {}
            Err(error) => {
                tracing::warn!(stream = %stream.address.arn(), ?error, "an on-demand stream could not be scaled");
            }
        }
    }

    fn judge(&self, stream: &Stream, record: &StreamRecord, now: u64) -> (Decision, Vec<OpenShard>) {
        let capacity = Capacity::of(&stream.limits, &record.region);
        let shards = record.open_shards().map(|shard| OpenShard {
            index: shard.index,
            range: shard.range,
            made_ms: shard.parent.map(|_| shard.opened_ms),
        });
        let open: Vec<OpenShard> = shards.collect();
        let floor_shards = self.warm_throughput(record).unwrap_or(0);
        let decision = stream.load.learn(record.incarnation, now, |history, recent| {
            history.retain(|shard| record.shard(shard).is_some_and(|shard| shard.is_open()));
            let recent: Vec<&Minute> = recent.iter().collect();
            decide(&Situation { open: &open, history, recent: &recent, capacity, floor_shards, now_ms: now })
        });
        if decision != Decision::Keep {
            tracing::info!(stream = %stream.address.arn(), shards = open.len(), ?decision, "on-demand scaling");
        }
        (decision, open)
    }

    /// How many shards an on-demand stream takes for what was written to it: it is not merged below that.
    pub(crate) fn shards_in_need(&self, stream: &Stream, record: &StreamRecord) -> u32 {
        if record.mode != Mode::OnDemand {
            return FEWEST;
        }
        let (capacity, now) = (Capacity::of(&stream.limits, &record.region), self.now());
        let peak = stream.load.learn(record.incarnation, now, |history, _| history.peak(now));
        capacity.shards_for(peak).max(FEWEST)
    }

    /// Saves the histories that have changed, if that is due; at once with `always`.
    pub(crate) async fn save_loads(&self, always: bool) {
        let now = self.now();
        if !always && now.saturating_sub(self.loads_saved.load(Ordering::Relaxed)) < SAVE_EVERY {
            return;
        }
        self.loads_saved.store(now, Ordering::Relaxed);
        let streams = Arc::clone(&self.streams());
        let unsaved: Vec<(u64, Option<History>)> =
            streams.all().iter().filter_map(|stream| Some((stream.incarnation, stream.load.take_unsaved()?))).collect();
        if unsaved.is_empty() {
            return;
        }
        let touched: Vec<u64> = unsaved.iter().map(|(incarnation, _)| *incarnation).collect();
        let saved = self.exclusively(move |streams, catalog| {
            let present = streams.load();
            catalog.transact_blocking(|tx| {
                for (incarnation, history) in &unsaved {
                    match history {
                        // A stream that has gone meanwhile has taken its history with it.
                        Some(_) if present.by_incarnation(*incarnation).is_none() => {}
                        Some(history) => tx.put(history)?,
                        None => tx.delete::<History>(&History::key_of(*incarnation))?,
                    }
                }
                Ok::<(), CatalogError>(())
            })?;
            Ok(())
        });
        let saved = saved.await;
        if let Err(error) = saved {
            tracing::warn!(?error, "the peaks of on-demand streams were not saved");
            for stream in touched.iter().filter_map(|incarnation| streams.by_incarnation(*incarnation)) {
                stream.load.keep_unsaved();
            }
        }
    }
}
