//! From a ResourceARN to what it names, and what streams and consumers have in common: tags and a policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_api::kinesis::Operation;
use millstream_api::{Context, Error};

use crate::change::ChangeError;
use crate::consumers::WantedConsumer;
use crate::hooks::Resource;
use crate::resolve::{ResourceAddress, check_world};
use crate::service::Kinesis;
use crate::state::{ConsumerStatus, Status, StreamRecord};
use crate::stream::Stream;
use crate::texts;

/// What a resource's record keeps for the operations that take a ResourceARN.
pub(crate) struct Labels<'a> {
    /// Tags.
    pub(crate) tags: &'a BTreeMap<String, String>,
    /// Resource policy, as it was put.
    pub(crate) policy: &'a Option<String>,
}

/// The same, to change it.
pub(crate) struct LabelsMut<'a> {
    /// Tags.
    pub(crate) tags: &'a mut BTreeMap<String, String>,
    /// Resource policy, as it was put.
    pub(crate) policy: &'a mut Option<String>,
}

impl Kinesis {
    /// The stream that a ResourceARN names, or whose consumer it names, after asking whether the caller may do
    /// `operation` on it. Whether the consumer is there is for [`labels`] to say.
    pub(crate) fn resource(
        &self,
        context: &Context,
        operation: Operation,
        arn: &str,
    ) -> Result<(Arc<Stream>, ResourceAddress), Error> {
        let address = ResourceAddress::from_arn(arn).ok_or_else(|| match kind_to_come(arn) {
            Some(kind) => texts::resource_kind_unsupported(operation.name(), kind),
            None => texts::invalid_resource_arn(arn),
        })?;
        let of_stream = address.stream();
        check_world(context, operation, of_stream, arn)?;
        let on = match &address {
            ResourceAddress::Stream(stream) => Resource::Stream(stream),
            ResourceAddress::Consumer(consumer) => Resource::Consumer(consumer),
        };
        self.allow(context, operation, on)?;
        self.admit_stream_call(operation, of_stream)?;
        let stream = self.find(of_stream)?;
        Ok((stream, address))
    }
}

/// The plural of a kind of resource that the ARN names and that is not there yet.
fn kind_to_come(arn: &str) -> Option<&'static str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    [("queue/", "queues"), ("channel/", "channels")].into_iter().find_map(|(prefix, kind)| {
        let id = resource.strip_prefix(prefix)?;
        (!id.is_empty()).then_some(kind)
    })
}

/// What the resource's record keeps, in whatever state it is.
pub(crate) fn labels<'a>(record: &'a StreamRecord, address: &ResourceAddress) -> Result<Labels<'a>, Error> {
    match address {
        ResourceAddress::Stream(_) => Ok(Labels { tags: &record.tags, policy: &record.policy }),
        ResourceAddress::Consumer(consumer) => {
            let found = WantedConsumer::Address(consumer.clone()).find(record)?;
            Ok(Labels { tags: &found.tags, policy: &found.policy })
        }
    }
}

/// What the resource's record keeps, to be changed: a stream's from ACTIVE on, also while it is updating; a consumer's
/// while it is ACTIVE.
pub(crate) fn labels_mut<'a>(
    record: &'a mut StreamRecord,
    address: &ResourceAddress,
) -> Result<LabelsMut<'a>, ChangeError> {
    match address {
        ResourceAddress::Stream(stream) => match record.status {
            Status::Active | Status::Updating => Ok(LabelsMut { tags: &mut record.tags, policy: &mut record.policy }),
            status => Err(texts::stream_not_active(&stream.name, &stream.account, status.as_str()).into()),
        },
        ResourceAddress::Consumer(consumer) => {
            let found = WantedConsumer::Address(consumer.clone()).find_mut(record)?;
            match found.status {
                ConsumerStatus::Active => Ok(LabelsMut { tags: &mut found.tags, policy: &mut found.policy }),
                ConsumerStatus::Creating | ConsumerStatus::Deleting => {
                    Err(texts::consumer_of_arn_not_active(consumer).into())
                }
            }
        }
    }
}
