//! TagResource, UntagResource, ListTagsForResource. A stream's tags are those of AddTagsToStream.

use millstream_api::kinesis::{
    ListTagsForResourceInput, ListTagsForResourceOutput, Operation, Tag, TagResourceInput, UntagResourceInput,
};
use millstream_api::{Context, Error};

use crate::resolve::ResourceAddress;
use crate::resources::{labels, labels_mut};
use crate::service::Kinesis;
use crate::tags::{Tagging, check_tags, is_reserved};
use crate::texts;

impl Kinesis {
    pub(crate) async fn tag_resource(&self, context: &Context, input: TagResourceInput<'_>) -> Result<(), Error> {
        let (stream, address) = self.resource(context, Operation::TagResource, &input.resource_arn)?;
        check_words(&address, Tagging::Add, input.tags.iter().flat_map(|(k, v)| [&**k, &**v]))?;
        let tags: Vec<(String, String)> =
            input.tags.into_iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        if let Some((key, _)) = tags.iter().find(|(key, _)| is_reserved(key)) {
            return Err(texts::reserved_tag_key(key));
        }
        let limit = stream.limits.tags;
        let tagged = self.change(&stream, move |record, _| {
            let labels = labels_mut(record, &address)?;
            labels.tags.extend(tags);
            if limit.allows(labels.tags.len() as u64) {
                return Ok(());
            }
            Err(match &address {
                ResourceAddress::Stream(stream) => texts::too_many_tags(&stream.name, &stream.account),
                ResourceAddress::Consumer(consumer) => texts::too_many_consumer_tags(consumer, limit),
            }
            .into())
        });
        Ok(tagged.await?)
    }

    pub(crate) async fn untag_resource(&self, context: &Context, input: UntagResourceInput<'_>) -> Result<(), Error> {
        let (stream, address) = self.resource(context, Operation::UntagResource, &input.resource_arn)?;
        check_words(&address, Tagging::Remove, input.tag_keys.iter().map(|key| &**key))?;
        let keys: Vec<String> = input.tag_keys.into_iter().map(|key| key.into_owned()).collect();
        let untagged = self.change(&stream, move |record, _| {
            let labels = labels_mut(record, &address)?;
            for key in &keys {
                labels.tags.remove(key);
            }
            Ok(())
        });
        Ok(untagged.await?)
    }

    pub(crate) fn list_tags_for_resource(
        &self,
        context: &Context,
        input: ListTagsForResourceInput<'_>,
    ) -> Result<ListTagsForResourceOutput, Error> {
        let (stream, address) = self.resource(context, Operation::ListTagsForResource, &input.resource_arn)?;
        let view = stream.view();
        let tags = labels(&view.record, &address)?.tags;
        let tags = tags.iter().map(|(key, value)| Tag { key: key.clone(), value: Some(value.clone()) }).collect();
        Ok(ListTagsForResourceOutput { tags: Some(tags) })
    }
}

/// Checks the characters of tag keys and values, in the words that go with the resource.
fn check_words<'a>(
    address: &ResourceAddress,
    tagging: Tagging,
    words: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Error> {
    if let ResourceAddress::Consumer(consumer) = address
        && words.clone().any(|word| word.contains('%'))
    {
        return Err(texts::consumer_tags_with_illegal_characters(consumer));
    }
    check_tags(address.stream(), tagging, words)
}
