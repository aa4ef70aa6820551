//! SubscribeToShard.

use millstream_api::kinesis::{Operation, SubscribeToShardInput, SubscribeToShardOutput};
use millstream_api::{Context, Error};

use crate::service::{Kinesis, unsupported};

impl Kinesis {
    pub(crate) async fn subscribe_to_shard(
        &self,
        _: &Context,
        _: SubscribeToShardInput<'_>,
    ) -> Result<SubscribeToShardOutput, Error> {
        unsupported(Operation::SubscribeToShard)
    }
}
