//! The Kinesis Producer Library (KPL) packs many *user records* into one Kinesis record, to pay for fewer of them. The
//! service stores such a record as it is and never looks inside; its consumers take it apart, as the Kinesis Client Library
//! does. Here is that step, for those of our own consumers that hand records to people and functions.
//!
//! An aggregated record is
//!
//! | bytes | content |
//! |---|---|
//! | 4 | `F3 89 9A C2` |
//! | n | a protobuf message: a table of partition keys, one of explicit hash keys, and the user records, which point into them |
//! | 16 | MD5 of the message |
//!
//! Whatever is not exactly that is an ordinary record, however it begins.

mod message;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use message::AggregatedRecord;
use prost::Message;

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST: usize = 16;

/// One of the records that an aggregated record carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    /// The partition key that the producer gave. Records with the same one share it, since a few bytes can name a long key
    /// again.
    pub partition_key: Arc<str>,
    /// The explicit hash key that the producer gave: a decimal number below 2^128. Shared likewise.
    pub explicit_hash_key: Option<Arc<str>>,
    /// The data: a part of the aggregated record's bytes.
    pub data: Bytes,
    /// Its place in the aggregated record, counted from 0. With the record's sequence number it names a user record.
    pub sub_sequence_number: u64,
}

impl UserRecord {
    /// The hash key that decides to which shard the user record belongs: the explicit one, or the MD5 of the partition key.
    ///
    /// The KPL guesses shards when it aggregates. After a reshard an aggregated record can be on a shard that does not have
    /// a user record's hash key; the KCL drops such a user record, since the producer has noticed and put it again.
    pub fn hash_key(&self) -> u128 {
        let explicit = self.explicit_hash_key.as_deref().and_then(|key| key.parse().ok());
        explicit.unwrap_or_else(|| u128::from_be_bytes(Md5::digest(self.partition_key.as_bytes()).into()))
    }
}

/// The user records of an aggregated record, in order; `None` if `data` is an ordinary record, to be taken as it is.
///
/// A record that has the form of an aggregated one, digest included, and whose user records point beside its tables is
/// taken for an ordinary one too, whole: nothing of it is lost.
pub fn deaggregate(data: &Bytes) -> Option<Vec<UserRecord>> {
    let inner = data.len().checked_sub(MAGIC.len() + DIGEST).filter(|length| *length > 0)?;
    if data[..MAGIC.len()] != MAGIC {
        return None;
    }
    let message = data.slice(MAGIC.len()..MAGIC.len() + inner);
    if Md5::digest(&message)[..] != data[MAGIC.len() + inner..] {
        return None;
    }
    // The fields borrow from `data`: nothing is copied but the keys, once each.
    let AggregatedRecord { partition_keys, explicit_hash_keys, records } = AggregatedRecord::decode(message).ok()?;
    let shared = |keys: Vec<String>| keys.into_iter().map(Arc::from).collect::<Vec<Arc<str>>>();
    let (partition_keys, explicit_hash_keys) = (shared(partition_keys), shared(explicit_hash_keys));
    (0..)
        .zip(records)
        .map(|(sub_sequence_number, record)| {
            let explicit_hash_key = match record.explicit_hash_key_index {
                Some(index) => Some(Arc::clone(explicit_hash_keys.get(usize::try_from(index).ok()?)?)),
                None => None,
            };
            Some(UserRecord {
                partition_key: Arc::clone(partition_keys.get(usize::try_from(record.partition_key_index).ok()?)?),
                explicit_hash_key,
                data: record.data,
                sub_sequence_number,
            })
        })
        .collect()
}
