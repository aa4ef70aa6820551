//! What a request is about, told before it is answered: for those who disturb calls on purpose.

use millstream_api::kinesis::{Operation, PutRecordsInput};
use millstream_api::{Context, Error};

use crate::hash::{md5_hash, parse_hash_key};
use crate::resolve::Address;
use crate::service::Kinesis;
use crate::state::ShardIndex;
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

    /// The shard that a record with these keys would go to now. `None` without such a stream, or for keys that make no
    /// record.
    pub fn shard_of(
        &self,
        stream: &Address,
        partition_key: Option<&str>,
        explicit_hash_key: Option<&str>,
    ) -> Option<ShardIndex> {
        let key = match (partition_key, explicit_hash_key) {
            (_, Some(hash)) => parse_hash_key(hash)?,
            (Some(key), None) => md5_hash(key),
            (None, None) => return None,
        };
        self.streams().get(&stream.account, &stream.region, &stream.name)?.view().routes.route(key)
    }

    /// Checks a PutRecords as it is checked before it is written, and tells where it goes: the stream, and each record's
    /// shard, in order.
    ///
    /// # Errors
    /// What the call itself would answer.
    pub fn place_records(
        &self,
        context: &Context,
        input: &PutRecordsInput<'_>,
    ) -> Result<(Address, Vec<ShardIndex>), Error> {
        let (stream, view, records) = self.check_records(context, input)?;
        let gone = || texts::stream_not_found(&stream.address.name, &stream.address.account);
        let shards: Result<Vec<ShardIndex>, Error> =
            records.iter().map(|record| view.routes.route(record.key).ok_or_else(gone)).collect();
        Ok((stream.address.clone(), shards?))
    }
}
