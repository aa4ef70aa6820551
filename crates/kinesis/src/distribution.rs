//! UpdateStreamRecordDistributionStrategy.

use millstream_api::kinesis::{Operation, UpdateStreamRecordDistributionStrategyInput};
use millstream_api::{Context, Error};

use crate::service::{Kinesis, unsupported};

impl Kinesis {
    pub(crate) async fn update_stream_record_distribution_strategy(
        &self,
        _: &Context,
        _: UpdateStreamRecordDistributionStrategyInput<'_>,
    ) -> Result<(), Error> {
        unsupported(Operation::UpdateStreamRecordDistributionStrategy)
    }
}
