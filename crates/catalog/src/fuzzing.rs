//! A door for the fuzzing targets, and for nobody else: a record's stored form. It may change at any time.

use crate::{CatalogError, Record, record};

/// Reads a record from its stored form.
///
/// # Errors
/// [`CatalogError::Corrupt`] or [`CatalogError::Newer`].
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, CatalogError> {
    record::decode(b"", bytes)
}

/// A record's stored form.
///
/// # Errors
/// [`CatalogError::Corrupt`] if it has none.
pub fn encode<R: Record>(record: &R) -> Result<Vec<u8>, CatalogError> {
    record::encode(record)
}
