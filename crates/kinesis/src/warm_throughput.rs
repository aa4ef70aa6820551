//! UpdateStreamWarmThroughput.

use millstream_api::kinesis::{Operation, UpdateStreamWarmThroughputInput, UpdateStreamWarmThroughputOutput};
use millstream_api::{Context, Error};

use crate::service::{Kinesis, unsupported};

impl Kinesis {
    pub(crate) async fn update_stream_warm_throughput(
        &self,
        _: &Context,
        _: UpdateStreamWarmThroughputInput<'_>,
    ) -> Result<UpdateStreamWarmThroughputOutput, Error> {
        unsupported(Operation::UpdateStreamWarmThroughput)
    }
}
