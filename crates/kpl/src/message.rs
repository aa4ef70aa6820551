//! The protobuf messages inside an aggregated record, as the KPL's documentation gives them.

use bytes::Bytes;

/// The whole.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AggregatedRecord {
    /// Partition keys, each once.
    #[prost(string, repeated, tag = "1")]
    pub(crate) partition_keys: Vec<String>,
    /// Explicit hash keys, each once.
    #[prost(string, repeated, tag = "2")]
    pub(crate) explicit_hash_keys: Vec<String>,
    /// The user records.
    #[prost(message, repeated, tag = "3")]
    pub(crate) records: Vec<Record>,
}

/// A user record. Its tags (field 4) are reserved by the KPL and passed over.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Record {
    /// Index into the partition keys.
    #[prost(uint64, required, tag = "1")]
    pub(crate) partition_key_index: u64,
    /// Index into the explicit hash keys.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) explicit_hash_key_index: Option<u64>,
    /// The data.
    #[prost(bytes = "bytes", required, tag = "3")]
    pub(crate) data: Bytes,
}
