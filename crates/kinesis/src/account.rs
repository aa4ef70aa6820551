//! DescribeLimits.

use millstream_api::kinesis::{DescribeLimitsInput, DescribeLimitsOutput, Operation};
use millstream_api::{Context, Error};

use crate::describe::to_i32;
use crate::hooks::Resource;
use crate::service::Kinesis;
use crate::streams::{on_demand_streams, provisioned_shards};

impl Kinesis {
    pub(crate) fn describe_limits(
        &self,
        context: &Context,
        _: DescribeLimitsInput,
    ) -> Result<DescribeLimitsOutput, Error> {
        self.allow(context, Operation::DescribeLimits, Resource::Account)?;
        self.admit_account_call(context, Operation::DescribeLimits)?;
        let streams = self.streams();
        let world = streams.of(&context.account, &context.region);
        Ok(DescribeLimitsOutput {
            shard_limit: self.limits.all.shards(&context.region).to_i32(),
            open_shard_count: to_i32(provisioned_shards(world)),
            on_demand_stream_count: to_i32(on_demand_streams(world)),
            on_demand_stream_count_limit: self.limits.all.on_demand_streams.to_i32(),
            // There are none yet; a stream may have two.
            channel_count: Some(0),
            channel_count_limit: Some(self.limits.all.on_demand_streams.to_i32().saturating_mul(2)),
        })
    }
}
