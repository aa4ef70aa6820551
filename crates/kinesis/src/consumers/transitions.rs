//! CREATING → ACTIVE and DELETING → gone: each consumer has its own due time in the stream's record. Unlike a plan it does
//! not exclude other changes of the stream: an edit of the record as it is when the time has come.

use std::sync::Arc;

use crate::plans::PlanError;
use crate::service::Kinesis;
use crate::stream::Stream;

impl Kinesis {
    /// After a request has changed a consumer's status: wakes the driver, or, without a transition delay, brings the
    /// change to its end.
    pub(super) async fn consumers_changed(&self, stream: &Arc<Stream>) {
        if self.config.transition_delay.is_zero() {
            self.settle_consumers_and_note(stream).await;
        }
        self.wake.notify_one();
    }

    /// When the next of the stream's consumers becomes ACTIVE or goes, ms since the epoch.
    pub(crate) fn consumers_due(&self, stream: &Stream) -> Option<u64> {
        let due = stream.view().record.consumers.iter().filter_map(|consumer| consumer.due_ms).min()?;
        let retry = self.troubles.lock().consumers.get(&stream.incarnation).map_or(0, |trouble| trouble.retry_ms);
        Some(due.max(retry))
    }

    /// Lets the consumers whose time has come be ACTIVE, or go.
    pub(crate) async fn settle_consumers(&self, stream: &Arc<Stream>) -> Result<(), PlanError> {
        if self.streams().by_incarnation(stream.incarnation).is_none() {
            return Ok(());
        }
        let now = self.now();
        let settled = self.change(stream, move |record, _| {
            record.settle_consumers(now);
            Ok(())
        });
        Ok(settled.await?)
    }
}
