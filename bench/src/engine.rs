//! Loads: callers, paced, counted and watched, all on one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::error::BenchError;
use crate::pace::{Pace, Schedule};
use crate::process::{Moved, Process, Spent};
use crate::results::{Cpu, Latency, Memory, Sample};

/// How long a load may go on after its time was over.
const GRACE: Duration = Duration::from_secs(60);
/// Between two looks at the server's memory.
const MEMORY_EVERY: Duration = Duration::from_millis(100);

/// Someone who makes a request, sends it and judges the answer.
pub trait Caller {
    /// One request. `intended` is when it should have been sent.
    fn call(&mut self, intended: Instant) -> impl Future<Output = Result<Called, BenchError>>;
}

/// How a request came out. A wrong answer is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// As it should: so many records, of so many bytes of data and keys.
    Good {
        /// Records.
        records: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The server had too much to do and said so.
    Refused,
    /// There is nothing more for this caller to do.
    Over,
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After a warm-up that does not count, and this long.
    Time {
        /// Not counted.
        warm_up: Duration,
        /// Counted.
        time: Duration,
    },
    /// When this many records were counted, or all callers are done; everything counts.
    Records(u64),
}

/// A load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How it is paced.
    pub pace: Pace,
    /// When it ends.
    pub until: Until,
    /// Whether it goes on after a wrong answer, which is counted then. Only overload may.
    pub tolerant: bool,
}

/// What a load gave.
#[derive(Debug)]
pub struct Tally {
    /// Requests that came out well in the counted time.
    pub requests: u64,
    /// Their records.
    pub records: u64,
    /// Their bytes of data and keys.
    pub bytes: u64,
    /// Refusals in the counted time.
    pub refused: u64,
    /// Wrong answers in the counted time.
    pub errors: u64,
    /// The first wrong answer.
    pub first_error: Option<BenchError>,
    /// Requests that a flood could not send.
    pub unsent: u64,
    /// The counted time.
    pub time: Duration,
    /// How long the good ones took, in microseconds.
    pub latency: Histogram<u64>,
    /// What became of the server meanwhile.
    pub watched: Watched,
}

/// What was seen of the server's and the generator's processes in the counted time.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The server's processor time.
    pub spent: Spent,
    /// The generator's.
    pub own: f64,
    /// The server's bytes to and from the device.
    pub moved: Moved,
    /// The server's memory, if there is a server.
    pub memory: Option<Memory>,
}

/// What the callers share.
struct Shared {
    started: Instant,
    until: Until,
    tolerant: bool,
    counted: RefCell<Counted>,
    stopped: Cell<bool>,
}

struct Counted {
    requests: u64,
    records: u64,
    bytes: u64,
    refused: u64,
    errors: u64,
    first_error: Option<BenchError>,
    latency: Histogram<u64>,
}

impl Shared {
    fn over(&self) -> bool {
        self.stopped.get()
            || match self.until {
                Until::Time { warm_up, time } => self.started.elapsed() >= warm_up + time,
                Until::Records(records) => self.counted.borrow().records >= records,
            }
    }

    fn end(&self) -> Instant {
        match self.until {
            Until::Time { warm_up, time } => self.started + warm_up + time,
            // As good as never.
            Until::Records(_) => self.started + Duration::from_secs(365 * 24 * 3600),
        }
    }

    fn counts(&self, at: Instant) -> bool {
        match self.until {
            Until::Time { warm_up, time } => {
                let at = at.duration_since(self.started);
                at >= warm_up && at < warm_up + time
            }
            Until::Records(_) => true,
        }
    }

    /// Notes a request that was to be sent at `intended` and is answered now.
    fn note(&self, intended: Instant, open: bool, called: Result<Called, BenchError>) {
        let now = Instant::now();
        let mut counted = self.counted.borrow_mut();
        // In an open loop the latencies of all requests that were meant for the counted time count, however late.
        if self.counts(if open { intended } else { now })
            && let Ok(Called::Good { .. }) = called
        {
            let taken = now.duration_since(intended).as_micros();
            counted.latency.saturating_record(u64::try_from(taken).unwrap_or(u64::MAX));
        }
        let counts = self.counts(now);
        match called {
            Ok(Called::Good { records, bytes }) if counts => {
                counted.requests += 1;
                counted.records += records;
                counted.bytes += bytes;
            }
            Ok(Called::Refused) if counts => counted.refused += 1,
            Ok(_) => {}
            Err(error) => {
                counted.errors += u64::from(counts);
                counted.first_error.get_or_insert(error);
                if !self.tolerant {
                    self.stopped.set(true);
                }
            }
        }
    }
}

/// Runs a load with these callers against a server whose process is watched. It runs within a `LocalSet`.
///
/// # Errors
/// The first wrong answer, unless the load is tolerant.
pub async fn run<C: Caller + 'static>(
    load: Load,
    callers: Vec<C>,
    server: Option<Process>,
) -> Result<(Tally, Vec<C>), BenchError> {
    let started = Instant::now();
    let latency = Histogram::new_with_max(120_000_000, 3).map_err(|error| BenchError::Report(error.to_string()))?;
    let counted = Counted { requests: 0, records: 0, bytes: 0, refused: 0, errors: 0, first_error: None, latency };
    let shared = Rc::new(Shared {
        started,
        until: load.until,
        tolerant: load.tolerant,
        counted: RefCell::new(counted),
        stopped: Cell::new(false),
    });
    let schedule = Rc::new(Schedule::new(load.pace, started)?);
    let watch = tokio::task::spawn_local(watch(Rc::clone(&shared), server));
    let _stop = StopWhenDropped(Rc::clone(&shared));
    let mut tasks = JoinSet::new();
    for caller in callers {
        tasks.spawn_local(one(Rc::clone(&shared), Rc::clone(&schedule), caller));
    }
    let callers = finish(&shared, tasks).await;
    let ended = Instant::now();
    shared.stopped.set(true);
    let watched = watch.await.map_err(std::io::Error::other)?;
    let callers = callers?;
    let time = match load.until {
        Until::Time { time, .. } => time,
        Until::Records(_) => ended - started,
    };
    let mut counted = shared.counted.borrow_mut();
    if !load.tolerant
        && let Some(error) = counted.first_error.take()
    {
        return Err(error);
    }
    let tally = Tally {
        requests: counted.requests,
        records: counted.records,
        bytes: counted.bytes,
        refused: counted.refused,
        errors: counted.errors,
        first_error: counted.first_error.take(),
        unsent: schedule.as_ref().as_ref().map_or(0, Schedule::unsent),
        time,
        latency: counted.latency.clone(),
        watched: watched?,
    };
    Ok((tally, callers))
}

/// Ends what watches when the run is over, also when that was given up from outside.
struct StopWhenDropped(Rc<Shared>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stopped.set(true);
    }
}

/// Waits for all callers; those of a load that is over get some time, and are given up then.
async fn finish<C: 'static>(shared: &Shared, mut tasks: JoinSet<C>) -> Result<Vec<C>, BenchError> {
    let mut callers = Vec::with_capacity(tasks.len());
    loop {
        match tokio::time::timeout(Duration::from_secs(1), tasks.join_next()).await {
            Ok(None) => return Ok(callers),
            Ok(Some(caller)) => callers.push(caller.map_err(std::io::Error::other)?),
            // A wrong answer ends the load at once.
            Err(_) if shared.stopped.get() => return Ok(callers),
            Err(_) if Instant::now() > shared.end() + GRACE => return Err(BenchError::Late(GRACE.as_secs())),
            Err(_) => {}
        }
    }
}

async fn one<C: Caller>(shared: Rc<Shared>, schedule: Rc<Option<Schedule>>, mut caller: C) -> C {
    while !shared.over() {
        let (intended, open) = match schedule.as_ref() {
            None => (Instant::now(), false),
            Some(schedule) => match schedule.turn(shared.end()).await {
                Ok(Some(due)) => (due, true),
                Ok(None) => break,
                Err(error) => {
                    shared.note(Instant::now(), true, Err(error.into()));
                    break;
                }
            },
        };
        let called = caller.call(intended).await;
        let last = matches!(called, Ok(Called::Over)) || (called.is_err() && !shared.tolerant);
        shared.note(intended, open, called);
        if last {
            break;
        }
    }
    caller
}

/// Watches the processes from the end of the warm-up to the end of the load.
async fn watch(shared: Rc<Shared>, server: Option<Process>) -> Result<Watched, BenchError> {
    let (own, nobody) = (Process::own(), Process::new(0));
    let process = server.as_ref().unwrap_or(&nobody);
    let mut over_time = Vec::new();
    let mut look = || over_time.push((shared.started.elapsed().as_secs_f64(), process.resident()));
    look();
    let marks = || (process.spent(), own.spent(), process.moved());
    let mut begin = marks();
    let (from, to) = match shared.until {
        Until::Time { warm_up, time } => (shared.started + warm_up, Some(shared.started + warm_up + time)),
        Until::Records(_) => (shared.started, None),
    };
    let mut warming = from > shared.started;
    let mut end = None;
    while !shared.stopped.get() {
        let next = Instant::now() + MEMORY_EVERY;
        let next = if warming { next.min(from) } else { next };
        let next = if end.is_none() { to.map_or(next, |to| next.min(to)) } else { next };
        tokio::time::sleep_until(next.into()).await;
        let now = Instant::now();
        if warming && now >= from {
            begin = marks();
            warming = false;
        }
        if end.is_none() && to.is_some_and(|to| now >= to) {
            end = Some(marks());
        }
        look();
    }
    let end = end.unwrap_or_else(marks);
    look();
    let peak = server.as_ref().map(Process::peak).transpose()?;
    Ok(Watched {
        spent: end.0.since(begin.0),
        own: end.1.since(begin.1).total(),
        moved: Moved { read: end.2.read - begin.2.read, written: end.2.written - begin.2.written },
        memory: peak.map(|peak| Memory { peak, over_time }),
    })
}

impl Tally {
    /// The tally as a sample of `round` whose rate counts requests.
    #[must_use]
    pub fn sample(&self, round: usize) -> Sample {
        let seconds = self.time.as_secs_f64().max(1e-9);
        let per_second = |count: u64| count as f64 / seconds;
        let spent = self.watched.spent;
        let per_million_records = (self.records > 0).then(|| spent.total() / self.records as f64 * 1e6);
        Sample {
            round,
            rate: per_second(self.requests),
            records_per_second: per_second(self.records),
            bytes_per_second: per_second(self.bytes),
            latency: latency(&self.latency),
            cpu: Some(Cpu { user: spent.user, system: spent.system, per_million_records }),
            generator_cpu_seconds: self.watched.own,
            generator_share: self.watched.own / seconds,
            memory: self.watched.memory.clone(),
            refused: self.refused,
            unsent: self.unsent,
            errors: self.errors,
            records_verified: 0,
            device_read_bytes: Some(self.watched.moved.read),
            device_write_bytes: Some(self.watched.moved.written),
        }
    }
}

/// A histogram of microseconds as results show it; `None` when it is empty.
#[must_use]
pub fn latency(histogram: &Histogram<u64>) -> Option<Latency> {
    const POINTS: [f64; 18] =
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0];
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    (!histogram.is_empty()).then(|| Latency {
        count: histogram.len(),
        mean: histogram.mean() / 1000.0,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: histogram.max() as f64 / 1000.0,
        points: POINTS.map(|quantile| (quantile, at(quantile))).to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers at once, but for one call that takes long or is wrong.
    struct Scripted {
        calls: u32,
        at: u32,
        then: fn() -> Result<Called, BenchError>,
    }

    impl Caller for Scripted {
        async fn call(&mut self, _: Instant) -> Result<Called, BenchError> {
            self.calls += 1;
            if self.calls == self.at {
                return (self.then)();
            }
            tokio::task::yield_now().await;
            Ok(Called::Good { records: 2, bytes: 10 })
        }
    }

    fn load(load: Load, at: u32, then: fn() -> Result<Called, BenchError>) -> Result<Tally, BenchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let caller = Scripted { calls: 0, at, then };
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, run(load, vec![caller], None)).map(|(tally, _)| tally)
    }

    const STALL: Duration = Duration::from_millis(60);

    #[test]
    fn an_open_loop_counts_what_a_stall_holds_up() {
        let until = Until::Time { warm_up: Duration::ZERO, time: Duration::from_millis(200) };
        let stall = || {
            std::thread::sleep(STALL);
            Ok(Called::Good { records: 2, bytes: 10 })
        };
        let open = Load { pace: Pace::Open { per_second: 1000.0 }, until, tolerant: false };
        let tally = load(open, 5, stall).unwrap();
        // The moments of the stall's first half were all at least half a stall late, not the stalled call's alone.
        assert!(tally.latency.count_between(29_000, u64::MAX) >= 30);
        assert!(tally.latency.max() >= 60_000);
        let closed = Load { pace: Pace::Closed, ..open };
        let tally = load(closed, 5, stall).unwrap();
        assert!(tally.latency.count_between(59_000, u64::MAX) >= 1);
    }

    #[test]
    fn successes_refusals_and_wrong_answers_are_told_apart() {
        let load_of = |tolerant| Load { pace: Pace::Closed, until: Until::Records(20), tolerant };
        let wrong = || Err(BenchError::Answer("x".to_owned()));
        assert!(matches!(load(load_of(false), 3, wrong), Err(BenchError::Answer(_))));
        let tally = load(load_of(true), 3, wrong).unwrap();
        assert_eq!((tally.requests, tally.records, tally.bytes, tally.errors), (10, 20, 100, 1));
        assert!(tally.first_error.is_some());
        let tally = load(load_of(false), 3, || Ok(Called::Refused)).unwrap();
        assert_eq!((tally.requests, tally.refused, tally.errors), (10, 1, 0));
        assert_eq!(tally.latency.len(), 10);
        let tally = load(load_of(false), 3, || Ok(Called::Over)).unwrap();
        assert_eq!(tally.records, 4);
        let sample = tally.sample(7);
        assert_eq!((sample.round, sample.latency.unwrap().count), (7, 2));
    }
}
