//! UpdateMaxRecordSize.

use millstream_api::kinesis::{Operation, UpdateMaxRecordSizeInput};
use millstream_api::{Context, Error};

use crate::plans::{Plan, Setting, Work};
use crate::service::Kinesis;
use crate::shards::check_active;
use crate::state::Status;
use crate::texts;

impl Kinesis {
    pub(crate) async fn update_max_record_size(
        &self,
        context: &Context,
        input: UpdateMaxRecordSizeInput<'_>,
    ) -> Result<(), Error> {
        let arn = input.stream_arn.as_deref().ok_or_else(texts::stream_arn_required)?;
        let stream = self.resolve(context, Operation::UpdateMaxRecordSize, None, Some(arn))?;
        // The model's bounds have been checked: 1024 to 10240.
        let kib = u32::try_from(input.max_record_size_in_kib).unwrap_or(1024);
        let (address, due_ms) = (stream.address.clone(), self.plan_due_from_now());
        let planned = self.change(&stream, move |record, _| {
            check_active(record, &address)?;
            if record.max_record_kib != kib {
                record.plan = Some(Plan { due_ms, work: Work::Settings(Setting::MaxRecordSize(kib)) });
                record.status = Status::Updating;
            }
            Ok(())
        });
        planned.await?;
        self.planned(&stream).await;
        Ok(())
    }
}
