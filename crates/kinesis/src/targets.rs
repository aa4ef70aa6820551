//! What a request is about, told before it is answered: for those who disturb calls on purpose.

use millstream_api::kinesis::{Operation, PutRecordsInput};
use millstream_api::{Context, Error};

use crate::hash::{md5_hash, parse_hash_key};
use crate::records::Place;
use crate::resolve::Address;
use crate::service::Kinesis;
use crate::state::{Distribution, ShardIndex};
use crate::texts;
use crate::token::{PageToken, ShardIterator};

/// At this time no token has expired.
const BEFORE_ALL: u64 = 0;

impl Kinesis {
    /// Opens a shard iterator, also one that has expired. `None` if it is not one of ours.
    pub fn peek_iterator(&self, iterator: &str) -> Option<ShardIterator<'static>> {
        ShardIterator::open(iterator, &self.tokens, BEFORE_ALL).ok()
    }

    /// The stream whose listing by `operation` a page token goes on with, also if it has expired. `None` if it is not one
    /// of ours, or not about a stream.
    pub fn peek_page_token(&self, operation: Operation, token: &str) -> Option<Address> {
        let token = PageToken::open(token, operation.name(), &self.tokens, BEFORE_ALL).ok()?;
        (!token.stream.is_empty()).then(|| Address {
            account: (&*token.account).into(),
            region: (&*token.region).into(),
            name: (&*token.stream).into(),
        })
    }

    /// The shard that a record with these keys would go to now. `None` without such a stream, for keys that make no record,
    /// and where the service itself spreads the records.
    pub fn shard_of(
        &self,
        stream: &Address,
        partition_key: Option<&str>,
        explicit_hash_key: Option<&str>,
    ) -> Option<ShardIndex> {
        let streams = self.streams();
        let stream = streams.get(&stream.account, &stream.region, &stream.name)?;
        let view = stream.view();
        let key = match (view.record.distribution, partition_key, explicit_hash_key) {
            (Distribution::Auto, ..) => return stream.shard_in_turn(&view, 0),
            (Distribution::UserPartitionKey, _, Some(hash)) => parse_hash_key(hash)?,
            (Distribution::UserPartitionKey, Some(key), None) => md5_hash(key),
            (Distribution::UserPartitionKey, None, None) => return None,
        };
        view.routes.route(key)
    }

    /// Checks a PutRecords as it is checked before it is written, and tells where it goes: the stream, and each record's
    /// shard, in order. Where the service itself spreads the records it is a shard that the record could go to.
    ///
    /// # Errors
    /// What the call itself would answer.
    pub fn place_records(
        &self,
        context: &Context,
        input: &PutRecordsInput<'_>,
    ) -> Result<(Address, Vec<ShardIndex>), Error> {
        let checked = self.check_records(context, input)?;
        let (stream, view) = (&checked.stream, &checked.view);
        let gone = || texts::stream_not_found(&stream.address.name, &stream.address.account);
        let places = checked.records.iter().enumerate().map(|(ahead, record)| match record.place {
            Place::At(key) => view.routes.route(key),
            Place::Anywhere => stream.shard_in_turn(view, ahead),
        });
        let shards: Result<Vec<ShardIndex>, Error> = places.map(|shard| shard.ok_or_else(gone)).collect();
        Ok((stream.address.clone(), shards?))
    }
}
