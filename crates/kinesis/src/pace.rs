//! Pacing: limits on how fast callers may go, which say nothing of what they may have in the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::limits::{Limit, Limits};
use crate::service::Kinesis;

/// Call rates, and the number of streams in transition, are not limited until this is dropped. See [`Kinesis::unpaced`].
pub struct Unpaced(Arc<Kinesis>);

impl Kinesis {
    /// Lifts what only paces callers until the answer is dropped, for every caller: meant for the time before the first
    /// request is taken, in which the configuration's streams are made. Quotas stay.
    pub fn unpaced(self: &Arc<Self>) -> Unpaced {
        self.paced.store(false, Ordering::Relaxed);
        Unpaced(Arc::clone(self))
    }

    pub(crate) fn is_paced(&self) -> bool {
        self.paced.load(Ordering::Relaxed)
    }

    /// The limits that count now.
    pub(crate) fn present_limits(&self) -> Arc<Limits> {
        if self.is_paced() {
            return Arc::clone(&self.limits.all);
        }
        Arc::new(Limits { streams_in_transition: Limit::NONE, ..Limits::clone(&self.limits.all) })
    }
}

impl Drop for Unpaced {
    fn drop(&mut self) {
        self.0.paced.store(true, Ordering::Relaxed);
    }
}
