//! UpdateMaxRecordSize.

use millstream_api::kinesis::{Operation, UpdateMaxRecordSizeInput};
use millstream_api::{Context, Error};

use crate::service::{Kinesis, unsupported};

impl Kinesis {
    pub(crate) async fn update_max_record_size(
        &self,
        _: &Context,
        _: UpdateMaxRecordSizeInput<'_>,
    ) -> Result<(), Error> {
        unsupported(Operation::UpdateMaxRecordSize)
    }
}
