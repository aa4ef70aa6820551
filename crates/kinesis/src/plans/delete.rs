//! DeleteStream: the record is DELETING; delete the log, then the record.

use std::sync::Arc;

use super::drive::PlanError;
use crate::service::Kinesis;
use crate::stream::Stream;

impl Kinesis {
    pub(super) async fn finish_delete(&self, stream: &Arc<Stream>) -> Result<(), PlanError> {
        self.log.delete(&stream.log_id()).await?;
        Ok(self.remove(std::slice::from_ref(stream)).await?)
    }
}
