//! What happens without a request: plans that are due, retention, the log's own periodic work. Nothing here sleeps; the
//! binary calls [`Kinesis::tick`] when [`Kinesis::wake`] says so, at [`Kinesis::next_due`], and every 250 ms; and, in a loop
//! of its own, [`Kinesis::tick_log`], so that no slow change holds up the log.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use millstream_env::ServerClock;
use millstream_log::LogProblem;
use tokio::sync::{MutexGuard, Notify};

use crate::plans::PlanError;
use crate::rebuild::Mismatch;
use crate::service::Kinesis;
use crate::state::{Status, StreamRecord};
use crate::stream::Stream;

/// How long a plan that failed waits for its next attempt, ms.
const RETRY: u64 = 1_000;

/// How many streams one tick trims, so that a tick stays short.
const TRIMS_PER_TICK: usize = 32;

/// How long after the start the streams found then are trimmed first, ms: the first of them, and over how long the others
/// are spread. Soon, since a server that is often restarted must drop segments too.
const TRIMS_AFTER_START: (u64, u64) = (10_000, 60_000);

/// What went wrong and was not put right since.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// By incarnation: plans that failed.
    pub(crate) plans: BTreeMap<u64, Trouble>,
    /// By incarnation: consumers whose status could not be changed.
    pub(crate) consumers: BTreeMap<u64, Trouble>,
    /// By incarnation: retention that failed.
    pub(crate) retention: BTreeMap<u64, Trouble>,
    /// What was found at start.
    pub(crate) found: Vec<Mismatch>,
}

#[derive(Debug)]
pub(crate) struct Trouble {
    what: String,
    pub(crate) retry_ms: u64,
}

impl Kinesis {
    /// Has the log do its own periodic work. Waits for nothing.
    pub fn tick_log(&self) {
        self.log.tick();
    }

    /// Does what is due, the log's own work aside. Several calls may overlap; a plan that another call or a request is
    /// working on is left to it.
    pub async fn tick(&self) {
        let now = self.now();
        let streams = Arc::clone(&self.streams());
        {
            // Of a stream that has gone meanwhile nothing is wrong any more.
            let mut troubles = self.troubles.lock();
            troubles.plans.retain(|incarnation, _| streams.by_incarnation(*incarnation).is_some());
            troubles.consumers.retain(|incarnation, _| streams.by_incarnation(*incarnation).is_some());
            troubles.retention.retain(|incarnation, _| streams.by_incarnation(*incarnation).is_some());
            troubles.found.retain(|found| found.stream.is_none_or(|stream| streams.by_incarnation(stream).is_some()));
        }
        let plans: Vec<&Arc<Stream>> =
            streams.all().iter().filter(|s| self.plan_due(s).is_some_and(|due| due <= now)).collect();
        all(plans.into_iter().map(|stream| self.drive_if_free(stream)).collect()).await;
        let consumers: Vec<&Arc<Stream>> =
            streams.all().iter().filter(|s| self.consumers_due(s).is_some_and(|due| due <= now)).collect();
        all(consumers.into_iter().map(|stream| self.settle_consumers_and_note(stream)).collect()).await;
        let mut trims = Vec::new();
        for stream in streams.all() {
            if trims.len() < TRIMS_PER_TICK && stream.trim_due.load(Ordering::Relaxed) <= now {
                stream.trim_due.store(now.saturating_add(self.retention_interval()), Ordering::Relaxed);
                trims.push(self.trim_and_note(stream));
            }
        }
        all(trims).await;
        let watched: Vec<&Arc<Stream>> =
            streams.all().iter().filter(|s| s.load.due.load(Ordering::Relaxed) <= now).collect();
        all(watched.into_iter().map(|stream| self.scale_if_due(stream)).collect()).await;
        self.save_loads(false).await;
        self.stamp_clock(false).await;
    }

    /// When the next plan, consumer or trim is due, ms since the epoch; `None` if nothing is planned. May lie in the past.
    pub fn next_due(&self) -> Option<u64> {
        self.streams()
            .all()
            .iter()
            .flat_map(|stream| {
                let trim = stream.trim_due.load(Ordering::Relaxed);
                [self.plan_due(stream), self.consumers_due(stream), Some(trim)]
            })
            .flatten()
            .min()
    }

    /// How long it takes until [`Kinesis::next_due`], at the rate at which domain time goes; zero if it is over.
    pub fn until_next_due(&self) -> Option<Duration> {
        self.next_due().map(|due| self.env.clock.until(due))
    }

    /// Notified when a plan is made, so that the driver looks at [`Kinesis::next_due`] again.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Ends every open commit, syncs and closes the log. Puts after it are refused.
    pub async fn close(&self) {
        self.stamp_clock_at_stop().await;
        self.save_loads(true).await;
        self.log.close().await;
    }

    /// What is wrong now, for health reports: one line each, empty if all is well.
    pub fn problems(&self) -> Vec<String> {
        let streams = self.streams();
        let of_log = |LogProblem { log, what }: LogProblem| match log {
            None => what,
            Some(log) => match streams.by_incarnation(log.incarnation) {
                Some(stream) => format!("stream {}: {what}", stream.address.arn()),
                None => format!("log {log}: {what}"),
            },
        };
        let mut problems: Vec<String> = self.log.problems().into_iter().map(of_log).collect();
        problems.extend(self.catalog.problem());
        if let millstream_env::ClockState::Suspect(why) = self.env.clock.state() {
            problems.push(format!(
                "retention is paused: {why}: it goes on when the clock has been steady for a while; if it is wrong, set it right"
            ));
        }
        let troubles = self.troubles.lock();
        problems.extend(troubles.found.iter().map(|found| found.line.clone()));
        let kinds = [&troubles.plans, &troubles.consumers, &troubles.retention];
        problems.extend(kinds.into_iter().flat_map(BTreeMap::values).map(|t| t.what.clone()));
        problems
    }

    /// Records that arrived before this have expired.
    pub(crate) fn horizon(&self, record: &StreamRecord) -> u64 {
        horizon(&self.env.clock, record)
    }

    /// When retention is enforced first on a stream that has just appeared.
    pub(crate) fn first_trim(&self) -> u64 {
        self.now().saturating_add(self.retention_interval())
    }

    fn retention_interval(&self) -> u64 {
        millis(self.config.retention_interval)
    }

    /// After a request has made a plan: wakes the driver, or, without a transition delay, brings the plan to its end.
    pub(crate) async fn planned(&self, stream: &Arc<Stream>) {
        if self.config.transition_delay.is_zero() {
            // The driver looks at every stream: not once more for each that is made. If this fails, it tries again unasked.
            self.drive_now(stream).await;
        } else {
            self.wake.notify_one();
        }
    }

    /// When a plan made now is due.
    pub(crate) fn plan_due_from_now(&self) -> u64 {
        self.now().saturating_add(millis(self.config.transition_delay))
    }

    fn plan_due(&self, stream: &Stream) -> Option<u64> {
        let due = stream.view().record.plan.as_ref()?.due_ms;
        let retry = self.troubles.lock().plans.get(&stream.incarnation).map_or(0, |t| t.retry_ms);
        Some(due.max(retry))
    }

    /// Drives the stream's plan, after whoever drives it now.
    pub(crate) async fn drive_now(&self, stream: &Arc<Stream>) {
        self.drive_and_note(stream, stream.driving.lock().await).await;
    }

    /// Drives the stream's plan, unless somebody does already: waiting for them would hold up everything else.
    async fn drive_if_free(&self, stream: &Arc<Stream>) {
        if let Ok(driving) = stream.driving.try_lock() {
            self.drive_and_note(stream, driving).await;
        }
    }

    async fn drive_and_note(&self, stream: &Arc<Stream>, _driving: MutexGuard<'_, ()>) {
        let result = self.drive(stream).await;
        let failed = result.is_err();
        self.note(stream, "a change is stuck", result, |troubles| &mut troubles.plans);
        if failed {
            // Puts that wait for the shards to come must not wait for ever.
            stream.announce_failure();
        }
    }

    pub(crate) async fn settle_consumers_and_note(&self, stream: &Arc<Stream>) {
        let result = self.settle_consumers(stream).await;
        self.note(stream, "a consumer's status could not be changed", result, |troubles| &mut troubles.consumers);
    }

    async fn trim_and_note(&self, stream: &Arc<Stream>) {
        let result = self.enforce_retention(stream).await;
        self.note(stream, "old records could not be removed", result, |troubles| &mut troubles.retention);
    }

    fn note(
        &self,
        stream: &Stream,
        what: &str,
        result: Result<(), PlanError>,
        of: impl FnOnce(&mut Troubles) -> &mut BTreeMap<u64, Trouble>,
    ) {
        let mut troubles = self.troubles.lock();
        match result {
            Ok(()) => {
                of(&mut troubles).remove(&stream.incarnation);
            }
            Err(error) => {
                let what = format!("stream {}: {what}: {error}", stream.address.arn());
                tracing::warn!("{what}");
                of(&mut troubles).insert(stream.incarnation, Trouble { what, retry_ms: self.now() + RETRY });
            }
        }
    }

    /// Lets the log drop what has expired, and forgets expired shards.
    async fn enforce_retention(&self, stream: &Arc<Stream>) -> Result<(), PlanError> {
        let horizon = self.horizon(&stream.view().record);
        let Some(log) = stream.log().filter(|_| stream.view().status() != Status::Deleting) else { return Ok(()) };
        // Before the stream is as old as its retention there is nothing to drop.
        if stream.view().record.created_ms >= horizon {
            return Ok(());
        }
        log.trim(horizon, self.log.epoch()).await?;
        if stream.view().record.has_expired(horizon) {
            self.change(stream, move |record, _| {
                record.drop_expired(horizon);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

/// Records of the stream that arrived before this have expired.
pub(crate) fn horizon(clock: &ServerClock, record: &StreamRecord) -> u64 {
    clock.horizon(record.retention_ms()).max(record.floor_ms)
}

/// When retention is enforced first on a stream that was there at the start.
pub(crate) fn first_trim_after_start(started: u64, incarnation: u64, retention_interval: Duration) -> u64 {
    let (first, spread) = TRIMS_AFTER_START;
    started.saturating_add((first + incarnation % spread).min(millis(retention_interval)))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Runs futures side by side until all have ended.
pub(crate) async fn all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
