//! CreateStream: the record is there and CREATING; make the log, become ACTIVE.

use std::sync::Arc;

use super::Work;
use super::drive::PlanError;
use crate::rebuild::descriptor;
use crate::service::Kinesis;
use crate::state::Status;
use crate::stream::Stream;

impl Kinesis {
    pub(super) async fn finish_create(&self, stream: &Arc<Stream>) -> Result<(), PlanError> {
        // A log that an earlier attempt has made is as good as a new one: nobody could write to it.
        let log = self.log.create(&stream.log_id(), descriptor(&stream.view().record)?).await?;
        stream.attach(log);
        let changed = self.change(stream, |record, _| {
            // DeleteStream may have come in between.
            if record.plan.as_ref().is_some_and(|plan| plan.work == Work::Create) {
                record.status = Status::Active;
                record.plan = None;
            }
            Ok(())
        });
        Ok(changed.await?)
    }
}
