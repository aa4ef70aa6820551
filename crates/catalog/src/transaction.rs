use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::record::{decode, encode};
use crate::{CatalogError, Key, Record, Versioned};

/// One transaction: sees its own changes, and all of them or none become durable.
pub struct Transaction {
    inner: WriteTransaction,
    changed: bool,
}

fn table<R: Record>() -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(R::TABLE)
}

fn failed(error: impl Into<redb::Error>) -> CatalogError {
    CatalogError::Unavailable(error.into().to_string().into())
}

impl Transaction {
    pub(crate) fn new(inner: WriteTransaction) -> Transaction {
        Transaction { inner, changed: false }
    }

    pub(crate) fn changed(&self) -> bool {
        self.changed
    }

    pub(crate) fn into_inner(self) -> WriteTransaction {
        self.inner
    }

    /// The record with that key.
    pub fn get<R: Record>(&mut self, key: &Key) -> Result<Option<R>, CatalogError> {
        let table = self.inner.open_table(table::<R>()).map_err(failed)?;
        let found = table.get(key.bytes()).map_err(failed)?;
        found.map(|value| decode(key.bytes(), value.value())).transpose()
    }

    /// Every record whose key begins with the parts of `prefix`, by key.
    pub fn scan<R: Record>(&mut self, prefix: &Key) -> Result<Vec<R>, CatalogError> {
        let table = self.inner.open_table(table::<R>()).map_err(failed)?;
        let mut records = Vec::new();
        for entry in table.range(prefix.bytes()..).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            if !key.value().starts_with(prefix.bytes()) {
                break;
            }
            records.push(decode(key.value(), value.value())?);
        }
        Ok(records)
    }

    /// Writes the record, replacing one with the same key.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), CatalogError> {
        let bytes = encode(record)?;
        self.changed = true;
        let mut table = self.inner.open_table(table::<R>()).map_err(failed)?;
        table.insert(record.key().bytes(), bytes.as_slice()).map_err(failed)?;
        Ok(())
    }

    /// Removes the record with that key; no error if there is none.
    pub fn delete<R: Record>(&mut self, key: &Key) -> Result<(), CatalogError> {
        self.changed = true;
        let mut table = self.inner.open_table(table::<R>()).map_err(failed)?;
        table.remove(key.bytes()).map_err(failed)?;
        Ok(())
    }

    /// Writes a record that must not exist yet.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if one with its key does.
    pub fn insert<R: Record>(&mut self, record: &R) -> Result<(), CatalogError> {
        if self.get::<R>(&record.key())?.is_some() {
            return Err(CatalogError::Conflict);
        }
        self.put(record)
    }

    /// Replaces a record that still has the version that `record` carries, and raises the version by one, also in
    /// `record`.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if the record is gone or has another version.
    pub fn compare_and_set<R: Versioned>(&mut self, record: &mut R) -> Result<(), CatalogError> {
        match self.get::<R>(&record.key())? {
            Some(stored) if stored.version() == record.version() => {
                record.set_version(record.version() + 1);
                self.put(record)
            }
            _ => Err(CatalogError::Conflict),
        }
    }
}
