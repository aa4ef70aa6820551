//! The faults that are set, and which of them a call meets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millstream_api::{Error, ErrorCode};
use millstream_env::Env;
use millstream_kinesis::texts;
use parking_lot::Mutex;

use crate::action::Action;
use crate::call::Call;
use crate::fault::{Fault, RecordFailure, Shown, Wanted};
use crate::journal::{Journal, Page};

/// How many faults are kept, those that have ended included.
const MOST: usize = 1_000;

/// How much older than it may be an iterator is said to be that a fault expires, ms.
const EXPIRED_AGE: u64 = 301_000;

/// What becomes of a call.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    /// How long it waits before anything else happens to it.
    pub(crate) delay: Duration,
    pub(crate) ending: Ending,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Ending {
    /// The service answers it.
    Answered,
    /// This answers it.
    Failed(Error),
    /// Nobody answers it.
    HungUp,
    /// The service is given the records without a failure here, in order.
    Partly(Vec<Option<Failure>>),
}

/// How a record of a PutRecords fails.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Every fault that was set and not removed.
pub(crate) struct Faults {
    env: Env,
    /// How many may still be applied, or were when that was last looked at.
    running: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were set.
    faults: Vec<Fault>,
    journal: Journal,
    last_id: u64,
}

impl Faults {
    pub(crate) fn new(env: Env) -> Faults {
        Faults { env, running: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// Whether no call can meet a fault.
    pub(crate) fn is_quiet(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }

    /// Sets a fault.
    pub(crate) fn add(&self, wanted: Wanted) -> Result<Shown, String> {
        let now = self.env.clock.now();
        let mut state = self.state.lock();
        let fault = Fault::new(format!("fault-{}", state.last_id + 1), wanted, now)?;
        if state.faults.len() >= MOST {
            let ended = state.faults.iter().position(|fault| !fault.is_running(now));
            let ended = ended.ok_or_else(|| format!("there are {MOST} faults already: remove some"))?;
            state.faults.remove(ended);
        }
        state.last_id += 1;
        let shown = fault.show(now);
        state.faults.push(fault);
        self.count(&state, now);
        Ok(shown)
    }

    /// Every fault, oldest first.
    pub(crate) fn list(&self) -> Vec<Shown> {
        let now = self.env.clock.now();
        self.state.lock().faults.iter().map(|fault| fault.show(now)).collect()
    }

    /// Removes the faults that `gone` names; how many.
    pub(crate) fn remove(&self, gone: impl Fn(&Fault) -> bool) -> usize {
        let mut state = self.state.lock();
        let before = state.faults.len();
        state.faults.retain(|fault| !gone(fault));
        self.count(&state, self.env.clock.now());
        before - state.faults.len()
    }

    /// Removes all, and what is known of them.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.journal.clear();
        self.count(&state, self.env.clock.now());
    }

    /// What was done after that entry of the journal.
    pub(crate) fn journal(&self, after: u64) -> Page {
        self.state.lock().journal.after(after)
    }

    /// What becomes of a call: the delays add up; then the first fault that answers it does so; if there is none, single
    /// records may fail.
    pub(crate) fn judge(&self, call: &Call<'_>) -> Verdict {
        let now = self.env.clock.now();
        let random = &*self.env.random;
        let mut state = self.state.lock();
        let State { faults, journal, .. } = &mut *state;
        let mut delay = Duration::ZERO;
        let mut ending = Ending::Answered;
        let mut meets: Vec<&mut Fault> =
            faults.iter_mut().filter(|fault| fault.is_running(now) && fault.is_for(call)).collect();
        for fault in meets.iter_mut().filter(|fault| fault.action == Action::Delay) {
            if fault.strikes(random) {
                let more = fault.draw_delay(random);
                delay += more;
                journal.add(fault, call, call.shards.clone(), now, format!("delayed by {} ms", more.as_millis()));
            }
        }
        let answers = |fault: &&mut &mut Fault| !matches!(fault.action, Action::Delay | Action::PutRecords);
        for fault in meets.iter_mut().filter(answers) {
            let Some(answer) = answer(fault, call, now) else { continue };
            if fault.strikes(random) {
                let done = match &answer {
                    Ending::Failed(error) => error.to_string(),
                    _ => "the connection was closed without an answer".to_owned(),
                };
                journal.add(fault, call, call.shards.clone(), now, done);
                ending = answer;
                break;
            }
        }
        if ending == Ending::Answered
            && let Some(placed) = &call.placed
        {
            let mut failing: Vec<Option<Failure>> = vec![None; placed.len()];
            for fault in meets.iter_mut().filter(|fault| fault.action == Action::PutRecords) {
                let mut failed = Vec::new();
                for (shard, failure) in placed.iter().zip(&mut failing) {
                    if failure.is_none() && fault.is_for_shard(*shard) && fault.strikes(random) {
                        *failure = Some(record_failure(fault, call, *shard));
                        failed.push(*shard);
                    }
                }
                if !failed.is_empty() {
                    let done = format!("{} of {} records: {}", failed.len(), placed.len(), fault.record_failure.code());
                    failed.sort_unstable();
                    failed.dedup();
                    journal.add(fault, call, failed, now, done);
                }
            }
            if failing.iter().any(Option::is_some) {
                ending = Ending::Partly(failing);
            }
        }
        self.count(&state, now);
        Verdict { delay, ending }
    }

    fn count(&self, state: &State, now: u64) {
        let running = state.faults.iter().filter(|fault| fault.is_running(now)).count();
        self.running.store(running, Ordering::Relaxed);
    }
}

/// How a fault ends the call; `None` if it can't.
fn answer(fault: &Fault, call: &Call<'_>, now: u64) -> Option<Ending> {
    let error = match fault.action {
        Action::Throughput => {
            let (stream, shard) = (call.stream.as_ref()?, fault.shard_in(call)?);
            texts::shard_rate_exceeded(shard, &stream.name, &stream.account)
        }
        Action::ExpiredIterator => {
            let issued = call.iterator_issued?.min(now.saturating_sub(EXPIRED_AGE));
            texts::expired_iterator(issued, now)
        }
        // Observed on AWS without a message.
        Action::Internal => Error::bare(ErrorCode::InternalFailure),
        Action::Throttle => Error::new(ErrorCode::ThrottlingException, "Rate exceeded"),
        Action::Unavailable => Error::bare(ErrorCode::ServiceUnavailable),
        Action::LimitExceeded => match &call.stream {
            Some(stream) => texts::stream_rate_exceeded(&stream.name, &stream.account),
            None => texts::account_rate_exceeded(&call.context.account),
        },
        Action::DropConnection => return Some(Ending::HungUp),
        Action::Delay | Action::PutRecords => return None,
    };
    Some(Ending::Failed(error))
}

fn record_failure(fault: &Fault, call: &Call<'_>, shard: u32) -> Failure {
    let message = match (fault.record_failure, &call.stream) {
        (RecordFailure::Throughput, Some(stream)) => texts::shard_rate_message(shard, &stream.name, &stream.account),
        _ => texts::internal_failure().message.unwrap_or_default(),
    };
    Failure { code: fault.record_failure.code(), message }
}
