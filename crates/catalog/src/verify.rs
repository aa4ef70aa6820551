use std::path::Path;

use millstream_env::Env;
use redb::backends::InMemoryBackend;
use redb::{ReadableDatabase, ReadableTableMetadata, StorageBackend, TableDefinition, TableHandle};

use crate::CatalogError;

/// A table that [`verify`] has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// How many records it has.
    pub records: u64,
}

/// Reads the whole catalog file and checks its checksums and structure, without changing it: the work is done on a
/// copy in memory, also what a crash has left to repair. Blocks.
///
/// # Errors
/// [`CatalogError::Corrupt`] with what was found.
pub fn verify(env: &Env, path: &Path) -> Result<Vec<Table>, CatalogError> {
    let corrupt =
        |e: &dyn std::fmt::Display| CatalogError::Corrupt { what: path.display().to_string(), why: e.to_string() };
    let bytes = env.disk.read_file(path).map_err(|e| CatalogError::from_io(&e))?;
    let image = InMemoryBackend::new();
    image.set_len(bytes.len() as u64).and_then(|()| image.write(0, &bytes)).map_err(|e| corrupt(&e))?;
    let mut database = redb::Builder::new().create_with_backend(image).map_err(|e| corrupt(&e))?;
    let sound = database.check_integrity().map_err(|e| corrupt(&e))?;
    if !sound {
        return Err(corrupt(&"its pages do not agree with their checksums"));
    }
    let transaction = database.begin_read().map_err(|e| corrupt(&e))?;
    let mut tables = Vec::new();
    for handle in transaction.list_tables().map_err(|e| corrupt(&e))? {
        let name = handle.name().to_owned();
        let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(&name);
        let records = transaction.open_table(definition).map_err(|e| corrupt(&e))?.len().map_err(|e| corrupt(&e))?;
        tables.push(Table { name, records });
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}
