use std::fmt::Display;
use std::path::Path;

use millstream_env::Env;
use redb::backends::InMemoryBackend;
use redb::{DatabaseError, ReadableDatabase, ReadableTableMetadata, StorageBackend, TableDefinition, TableHandle};

use crate::{CatalogError, newer_format};

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
    let bytes = env.disk.read_file(path).map_err(|e| CatalogError::from_io(&e))?;
    Ok(sound(path, bytes)?.1)
}

/// The image of a catalog that is to be opened, every page of it checked, and its tables: `bytes`, but for the choice of the
/// newest commit.
///
/// The store itself takes a file that was closed in order at its word, and may panic over one that has been changed since.
pub(crate) fn sound(path: &Path, bytes: Vec<u8>) -> Result<(Vec<u8>, Vec<Table>), CatalogError> {
    if bytes.is_empty() {
        // The store would begin a new one.
        return Err(CatalogError::Corrupt { what: path.display().to_string(), why: "it is empty".to_owned() });
    }
    if let Some(newest) = with_newest_commit(&bytes)
        && let Ok(tables) = tables_of(path, &newest)
    {
        return Ok((newest, tables));
    }
    let tables = tables_of(path, &bytes)?;
    Ok((bytes, tables))
}

/// Where the file's header says which of the two commit slots counts, and the bit that says it.
const FLAGS: usize = 9;
const SECOND_COUNTS: u8 = 1;
/// Where the slots begin, and where in them the number of the transaction is.
const SLOTS: [usize; 2] = [64, 192];
const TRANSACTION: usize = 104;

/// The same with the other commit slot, if that one is newer than the one that counts. A crash leaves it so between the two
/// steps of a commit: whether it was made is open then, and it counts if all of it is there. But that bit has no checksum,
/// and flipped by damage it would bring an older state of the catalog back.
fn with_newest_commit(bytes: &[u8]) -> Option<Vec<u8>> {
    let transaction = |slot: usize| {
        let at = SLOTS[slot] + TRANSACTION;
        bytes.get(at..at + 8).and_then(|number| number.try_into().ok()).map(u64::from_le_bytes)
    };
    let counts = usize::from(bytes.get(FLAGS)? & SECOND_COUNTS != 0);
    if transaction(1 - counts)? <= transaction(counts)? {
        return None;
    }
    let mut other = bytes.to_vec();
    other[FLAGS] ^= SECOND_COUNTS;
    Some(other)
}

fn tables_of(path: &Path, bytes: &[u8]) -> Result<Vec<Table>, CatalogError> {
    let corrupt = |e: &dyn Display| CatalogError::Corrupt { what: path.display().to_string(), why: e.to_string() };
    let image = InMemoryBackend::new();
    image.set_len(bytes.len() as u64).and_then(|()| image.write(0, bytes)).map_err(|e| corrupt(&e))?;
    let opened = redb::Builder::new().set_check_integrity_on_open(true).create_with_backend(image);
    let database = opened.map_err(|e| match e {
        DatabaseError::UpgradeRequired(found) => newer_format(found),
        e => corrupt(&e),
    })?;
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
