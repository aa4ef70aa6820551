//! AddTagsToStream, RemoveTagsFromStream, ListTagsForStream.

use std::borrow::Cow;
use std::collections::BTreeMap;

use millstream_api::kinesis::{
    AddTagsToStreamInput, ListTagsForStreamInput, ListTagsForStreamOutput, Operation, RemoveTagsFromStreamInput, Tag,
};
use millstream_api::{Context, Error};

use crate::change::ChangeError;
use crate::limits::Limit;
use crate::resolve::Address;
use crate::service::Kinesis;
use crate::state::{Status, StreamRecord};
use crate::texts;

/// Most tags in one answer of ListTagsForStream.
const PAGE: usize = 50;

impl Kinesis {
    pub(crate) async fn add_tags_to_stream(
        &self,
        context: &Context,
        input: AddTagsToStreamInput<'_>,
    ) -> Result<(), Error> {
        let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let stream = self.resolve(context, Operation::AddTagsToStream, name, arn)?;
        let address = stream.address.clone();
        check_tags(&address, Tagging::Add, input.tags.iter().flat_map(|(k, v)| [&**k, &**v]))?;
        let tags: Vec<(String, String)> =
            input.tags.into_iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        if let Some((key, _)) = tags.iter().find(|(key, _)| is_reserved(key)) {
            return Err(texts::reserved_tag_key(key));
        }
        let limit = stream.limits.tags;
        let tagged = self.change(&stream, move |record, _| {
            check_taggable(record, &address)?;
            record.tags.extend(tags);
            if !limit.allows(record.tags.len() as u64) {
                return Err(texts::too_many_tags(&address.name, &address.account).into());
            }
            Ok(())
        });
        Ok(tagged.await?)
    }

    pub(crate) async fn remove_tags_from_stream(
        &self,
        context: &Context,
        input: RemoveTagsFromStreamInput<'_>,
    ) -> Result<(), Error> {
        let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let stream = self.resolve(context, Operation::RemoveTagsFromStream, name, arn)?;
        let address = stream.address.clone();
        check_tags(&address, Tagging::Remove, input.tag_keys.iter().map(|key| &**key))?;
        let keys: Vec<String> = input.tag_keys.into_iter().map(|key| key.into_owned()).collect();
        let untagged = self.change(&stream, move |record, _| {
            check_taggable(record, &address)?;
            for key in &keys {
                record.tags.remove(key);
            }
            Ok(())
        });
        Ok(untagged.await?)
    }

    pub(crate) fn list_tags_for_stream(
        &self,
        context: &Context,
        input: ListTagsForStreamInput<'_>,
    ) -> Result<ListTagsForStreamOutput, Error> {
        let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let stream = self.resolve(context, Operation::ListTagsForStream, name, arn)?;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
        let after = input.exclusive_start_tag_key.as_deref();
        let view = stream.view();
        let mut rest = view.record.tags.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let tags = rest.by_ref().take(limit).map(|(k, v)| Tag { key: k.clone(), value: Some(v.clone()) }).collect();
        Ok(ListTagsForStreamOutput { tags, has_more_tags: rest.next().is_some() })
    }
}

/// What tags are checked for: the texts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tagging {
    /// They are added.
    Add,
    /// They are removed.
    Remove,
}

/// Checks the characters of tag keys and values, in AWS's two steps.
pub(crate) fn check_tags<'a>(
    address: &Address,
    tagging: Tagging,
    words: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Error> {
    if words.clone().any(|word| !word.chars().all(is_valid)) {
        return Err(texts::tags_with_invalid_characters());
    }
    // The second step is stricter than the first one's text says.
    if words.into_iter().any(|word| word.contains('%')) {
        return Err(match tagging {
            Tagging::Add => texts::add_tags_with_illegal_characters(&address.name, &address.account),
            Tagging::Remove => texts::remove_tags_with_illegal_characters(&address.name, &address.account),
        });
    }
    Ok(())
}

/// The tags that a stream, or one of its consumers, is created with, checked.
pub(crate) fn tags_of_new(
    stream: &Address,
    limit: Limit,
    tags: Option<BTreeMap<Cow<'_, str>, Cow<'_, str>>>,
) -> Result<BTreeMap<String, String>, Error> {
    let tags: BTreeMap<String, String> =
        tags.into_iter().flatten().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    check_tags(stream, Tagging::Add, tags.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]))?;
    if let Some(key) = tags.keys().find(|key| is_reserved(key)) {
        return Err(texts::reserved_tag_key(key));
    }
    if !limit.allows(tags.len() as u64) {
        return Err(texts::too_many_tags(&stream.name, &stream.account));
    }
    Ok(tags)
}

fn is_valid(c: char) -> bool {
    let is_blank = c.is_whitespace() && !c.is_control();
    c.is_alphabetic() || c.is_numeric() || is_blank || "_./=+-%@:".contains(c)
}

/// Keys that begin so are AWS's own.
pub(crate) fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

/// Tags can be changed from ACTIVE on, also while the stream is updating.
fn check_taggable(record: &StreamRecord, address: &Address) -> Result<(), ChangeError> {
    match record.status {
        Status::Active | Status::Updating => Ok(()),
        status => Err(texts::stream_not_active(&address.name, &address.account, status.as_str()).into()),
    }
}
