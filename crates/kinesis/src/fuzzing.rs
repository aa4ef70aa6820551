//! A door for the fuzzing targets, and for nobody else: readers that are not called but from within. It may change at any
//! time.

use millstream_catalog::fuzzing::{decode, encode};
use millstream_catalog::{CatalogError, Record};

use crate::account_settings::AccountSettings;
use crate::change::Tombstone;
use crate::clock::ClockStamp;
use crate::load::History;
use crate::policies;
use crate::state::StreamRecord;

/// The tables of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `kinesis.streams`.
    Streams,
    /// `kinesis.tombstones`.
    Tombstones,
    /// `kinesis.account_settings`.
    AccountSettings,
    /// `kinesis.loads`.
    Loads,
    /// `kinesis.clock`.
    Clock,
}

/// Reads a record from its stored form, and gives what is stored of it then.
///
/// # Errors
/// [`CatalogError::Corrupt`] or [`CatalogError::Newer`].
pub fn stored_again(table: Table, bytes: &[u8]) -> Result<Vec<u8>, CatalogError> {
    fn again<R: Record>(bytes: &[u8]) -> Result<Vec<u8>, CatalogError> {
        encode(&decode::<R>(bytes)?)
    }
    match table {
        Table::Streams => again::<StreamRecord>(bytes),
        Table::Tombstones => again::<Tombstone>(bytes),
        Table::AccountSettings => again::<AccountSettings>(bytes),
        Table::Loads => again::<History>(bytes),
        Table::Clock => again::<ClockStamp>(bytes),
    }
}

/// Checks the policy of a stream or of a consumer.
///
/// # Errors
/// What is wrong, in a few words.
pub fn check_policy(policy: &str, of_stream: bool) -> Result<(), String> {
    policies::check(policy, of_stream)
}
