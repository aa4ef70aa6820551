//! What tests ask a server for: faults on demand, a clock that can be moved, and a reset.
//!
//! [`Controls`] stands before the service and answers the calls that a [fault](faults) says it should, and
//! [`Controls::answer`] is the way in for those who set them. The binary wires it in with `--test-controls` only; without,
//! there is nothing of it in a call's way. With it, a call that meets no fault costs one atomic load more.

mod action;
mod call;
mod duration;
mod fault;
mod faults;
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod partial;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use millstream_api::kinesis::{Input, Output, Service};
use millstream_api::{BoxFuture, Context, Error};
use millstream_env::{Env, runtime};
use millstream_kinesis::Kinesis;
pub use routes::{Answer, Verb};

use crate::call::Call;
use crate::faults::{Ending, Faults, Verdict};

/// The service, and what tests do to it.
pub struct Controls {
    kinesis: Arc<Kinesis>,
    faults: Faults,
    /// Held over a move of the clock and over a reset: one ends before the next begins.
    changing: tokio::sync::Mutex<()>,
}

impl Controls {
    /// Stands before `kinesis`, without any fault.
    pub fn new(env: Env, kinesis: Arc<Kinesis>) -> Controls {
        Controls { faults: Faults::new(env), kinesis, changing: tokio::sync::Mutex::new(()) }
    }

    async fn disturb(&self, context: &Context, input: Input<'_>) -> Result<Output, Error> {
        let verdict = self.faults.judge(&Call::of(&self.kinesis, context, &input));
        let Verdict { delay, ending } = verdict;
        if !delay.is_zero() {
            runtime::sleep(delay).await;
        }
        match (ending, input) {
            (Ending::Answered, input) => self.kinesis.call(context, input).await,
            (Ending::Failed(error), _) => Err(error),
            (Ending::HungUp, _) => {
                context.hang_up.ask();
                // Nobody is left to read it.
                Err(millstream_kinesis::texts::internal_failure())
            }
            (Ending::Partly(failing), Input::PutRecords(input)) => self.put_partly(context, input, failing).await,
            (Ending::Partly(_), input) => self.kinesis.call(context, input).await,
        }
    }
}

impl Service for Controls {
    fn call<'a>(&'a self, context: &'a Context, input: Input<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        if self.faults.is_quiet() {
            return self.kinesis.call(context, input);
        }
        Box::pin(self.disturb(context, input))
    }
}
