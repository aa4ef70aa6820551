//! TagResource, UntagResource, ListTagsForResource.

use millstream_api::kinesis::{
    ListTagsForResourceInput, ListTagsForResourceOutput, Operation, TagResourceInput, UntagResourceInput,
};
use millstream_api::{Context, Error};

use crate::service::{Kinesis, unsupported};

impl Kinesis {
    pub(crate) async fn tag_resource(&self, _: &Context, _: TagResourceInput<'_>) -> Result<(), Error> {
        unsupported(Operation::TagResource)
    }

    pub(crate) async fn untag_resource(&self, _: &Context, _: UntagResourceInput<'_>) -> Result<(), Error> {
        unsupported(Operation::UntagResource)
    }

    pub(crate) fn list_tags_for_resource(
        &self,
        _: &Context,
        _: ListTagsForResourceInput<'_>,
    ) -> Result<ListTagsForResourceOutput, Error> {
        unsupported(Operation::ListTagsForResource)
    }
}
