//! ListShards.

use std::sync::Arc;

use millstream_api::kinesis::{ListShardsInput, ListShardsOutput, Operation, ShardFilter, ShardFilterType};
use millstream_api::{Context, Error, Timestamp};

use crate::describe::shard_shape;
use crate::resolve::Address;
use crate::service::Kinesis;
use crate::shards::shard_named;
use crate::state::{ShardIndex, ShardRecord, Status, StreamRecord};
use crate::stream::Stream;
use crate::texts;
use crate::token::PageToken;

/// Most shards in one answer, whatever MaxResults says.
const PAGE: usize = 1000;

/// Which shards are listed. A shard lives from its opening up to, not including, its closing, and its children are opened
/// at the moment of its closing: so the shards of one moment always tile the hash key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Open,
    /// Open at that moment, ms since the epoch.
    At(u64),
    /// Open at that moment or later.
    From(u64),
}

impl Wanted {
    fn takes(self, shard: &ShardRecord) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Open => shard.is_open(),
            Wanted::At(ms) => shard.opened_ms <= ms && shard.closed.is_none_or(|closed| closed.at_ms > ms),
            Wanted::From(ms) => shard.closed.is_none_or(|closed| closed.at_ms >= ms),
        }
    }

    fn to_text(self) -> String {
        match self {
            Wanted::All => "all".to_owned(),
            Wanted::Open => "open".to_owned(),
            Wanted::At(ms) => format!("at {ms}"),
            Wanted::From(ms) => format!("from {ms}"),
        }
    }

    fn from_text(text: &str) -> Option<Wanted> {
        match text.split_once(' ') {
            None if text == "all" => Some(Wanted::All),
            None if text == "open" => Some(Wanted::Open),
            Some(("at", ms)) => ms.parse().ok().map(Wanted::At),
            Some(("from", ms)) => ms.parse().ok().map(Wanted::From),
            _ => None,
        }
    }
}

impl Kinesis {
    pub(crate) fn list_shards(&self, context: &Context, input: ListShardsInput<'_>) -> Result<ListShardsOutput, Error> {
        check_members(&input)?;
        let (stream, wanted, after) = match &input.next_token {
            Some(token) => self.next_page(context, token)?,
            None => self.first_page(context, &input)?,
        };
        let view = stream.view();
        let record = &view.record;
        check_listable(record, &stream.address)?;
        let limit = input.max_results.and_then(|most| usize::try_from(most).ok()).unwrap_or(PAGE).min(PAGE);
        let mut listed = self
            .listed_shards(record)
            .filter(|s| after.is_none_or(|after| s.index > after) && wanted.takes(s))
            .peekable();
        let page: Vec<&ShardRecord> = listed.by_ref().take(limit).collect();
        let last = page.last().filter(|_| listed.peek().is_some());
        Ok(ListShardsOutput {
            shards: Some(page.iter().map(|s| shard_shape(s)).collect()),
            next_token: last.map(|last| {
                PageToken {
                    operation: Operation::ListShards.name().into(),
                    account: (&*stream.address.account).into(),
                    // The caller's: an ARN may have named a stream of another.
                    region: (&*context.region).into(),
                    stream: (&*stream.address.name).into(),
                    incarnation: stream.incarnation,
                    position: last.index.to_string().into(),
                    filter: wanted.to_text().into(),
                    issued: self.now(),
                }
                .seal(&self.tokens)
            }),
        })
    }

    fn first_page(
        &self,
        context: &Context,
        input: &ListShardsInput<'_>,
    ) -> Result<(Arc<Stream>, Wanted, Option<ShardIndex>), Error> {
        let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let stream = self.resolve(context, Operation::ListShards, name, arn)?;
        let view = stream.view();
        let record = &view.record;
        if let Some(created) = input.stream_creation_timestamp
            && created.0.div_euclid(1000) != (record.created_ms / 1000) as i64
        {
            return Err(texts::stream_not_found(&stream.address.name, &stream.address.account));
        }
        let mut after = match input.exclusive_start_shard_id.as_deref() {
            Some(id) => Some(shard_named(id, &stream.address)?),
            None => None,
        };
        // Before the stream was there, or further back than can be read, is taken for the earliest moment there is.
        let earliest = self.horizon(record).max(record.created_ms);
        let moment =
            |timestamp: Option<Timestamp>| u64::try_from(timestamp.map_or(0, |t| t.0)).unwrap_or(0).max(earliest);
        let wanted = match &input.shard_filter {
            None => Wanted::All,
            Some(filter) => match filter.r#type {
                ShardFilterType::AtLatest => Wanted::Open,
                ShardFilterType::AtTrimHorizon => Wanted::At(earliest),
                ShardFilterType::AtTimestamp => Wanted::At(moment(filter.timestamp)),
                ShardFilterType::FromTimestamp => Wanted::From(moment(filter.timestamp)),
                ShardFilterType::AfterShardId => {
                    let id = filter.shard_id.as_deref().unwrap_or_default();
                    after = after.max(Some(shard_named(id, &stream.address)?));
                    Wanted::All
                }
                ShardFilterType::FromTrimHorizon | ShardFilterType::Unrecognized(_) => Wanted::All,
            },
        };
        drop(view);
        Ok((stream, wanted, after))
    }

    fn next_page(&self, context: &Context, text: &str) -> Result<(Arc<Stream>, Wanted, Option<ShardIndex>), Error> {
        let token = self.open_page_token(context, Operation::ListShards, text)?;
        let known = self.streams().by_incarnation(token.incarnation).map(|stream| stream.address.clone());
        // A stream that is gone is looked for by its name: that there is none, or another, is the answer.
        let address = known.unwrap_or_else(|| Address {
            account: (&*token.account).into(),
            region: (&*token.region).into(),
            name: (&*token.stream).into(),
        });
        let stream = self.resolve(context, Operation::ListShards, None, Some(&address.arn()))?;
        if stream.incarnation != token.incarnation {
            return Err(texts::invalid_next_token());
        }
        match (Wanted::from_text(&token.filter), token.position.parse()) {
            (Some(wanted), Ok(after)) => Ok((stream, wanted, Some(after))),
            _ => Err(texts::invalid_next_token()),
        }
    }
}

/// Which members may come together.
fn check_members(input: &ListShardsInput<'_>) -> Result<(), Error> {
    if input.next_token.is_some() {
        let others = [
            ("StreamName", input.stream_name.is_some()),
            ("StreamARN", input.stream_arn.is_some()),
            ("ExclusiveStartShardId", input.exclusive_start_shard_id.is_some()),
            ("ShardFilter", input.shard_filter.is_some()),
            ("StreamCreationTimestamp", input.stream_creation_timestamp.is_some()),
        ];
        return match others.into_iter().find(|(_, is_given)| *is_given) {
            Some((member, _)) => Err(texts::next_token_excludes(member)),
            None => Ok(()),
        };
    }
    if input.stream_name.is_none() && input.stream_arn.is_none() {
        return Err(texts::next_token_or_stream_name_required());
    }
    input.shard_filter.as_ref().map_or(Ok(()), check_filter)
}

/// Each type of filter has its own further member, or none.
fn check_filter(filter: &ShardFilter<'_>) -> Result<(), Error> {
    let kind = filter.r#type.as_str();
    let wants_shard = filter.r#type == ShardFilterType::AfterShardId;
    let wants_time = matches!(filter.r#type, ShardFilterType::AtTimestamp | ShardFilterType::FromTimestamp);
    if filter.shard_id.is_some() != wants_shard {
        return Err(texts::shard_filter_member(kind, "ShardId", wants_shard));
    }
    if filter.timestamp.is_some() != wants_time {
        return Err(texts::shard_filter_member(kind, "Timestamp", wants_time));
    }
    Ok(())
}

/// The parts of a stream can be listed while it has them.
pub(crate) fn check_listable(record: &StreamRecord, address: &Address) -> Result<(), Error> {
    match record.status {
        Status::Active | Status::Updating => Ok(()),
        status => Err(texts::stream_not_active(&address.name, &address.account, status.as_str())),
    }
}
