//! The catalog as it was at one moment, to be kept elsewhere.

use std::path::Path;

use millstream_env::Env;
use redb::{ReadableDatabase, ReadableTable, TableDefinition, TableHandle};

use crate::backend::Failure;
use crate::{Catalog, CatalogError, create, open};

/// A key and what is stored under it.
type Stored = (Vec<u8>, Vec<u8>);

/// Every record of every table, as it is stored, also of tables that nobody here knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogCopy {
    tables: Vec<(String, Vec<Stored>)>,
}

impl Catalog {
    /// Reads all that is in the catalog now, in one transaction. Blocks.
    ///
    /// # Errors
    /// [`CatalogError::Poisoned`] and [`CatalogError::DiskFull`] as for a change: what the catalog holds is not known then.
    pub fn copy(&self) -> Result<CatalogCopy, CatalogError> {
        let mut state = self.state.lock();
        self.ready(&mut state)?;
        let Some(database) = &state.database else { return Err(CatalogError::Closing) };
        let read = || -> Result<CatalogCopy, redb::Error> {
            let transaction = database.begin_read()?;
            let mut tables = Vec::new();
            for handle in transaction.list_tables()? {
                let name = handle.name().to_owned();
                let table = transaction.open_table(definition(&name))?;
                let mut records = Vec::new();
                for entry in table.iter()? {
                    let (key, value) = entry?;
                    records.push((key.value().to_vec(), value.value().to_vec()));
                }
                tables.push((name, records));
            }
            tables.sort();
            Ok(CatalogCopy { tables })
        };
        read().map_err(|e| CatalogError::Unavailable(e.to_string().into()))
    }
}

impl CatalogCopy {
    /// Makes a catalog of it in the file `path`, which must not exist. Durable when it returns. Blocks.
    ///
    /// # Errors
    /// [`CatalogError::DiskFull`], or [`CatalogError::Unavailable`] with what the disk says.
    pub fn write(&self, env: &Env, path: &Path) -> Result<(), CatalogError> {
        let failure = Failure::default();
        let written = create(env, path, &failure).and_then(|()| {
            let database = open(env, path, &failure)?;
            self.fill(&database).map_err(|e| CatalogError::Unavailable(e.to_string().into()))
        });
        match written {
            _ if failure.is_full() => Err(CatalogError::DiskFull),
            // Closing the store writes, too, and has no other way to say that it failed.
            Ok(()) if failure.seen() => Err(CatalogError::Unavailable(failure.text().unwrap_or_default().into())),
            written => written,
        }
    }

    fn fill(&self, database: &redb::Database) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        for (name, records) in &self.tables {
            let mut table = transaction.open_table(definition(name))?;
            for (key, value) in records {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}
