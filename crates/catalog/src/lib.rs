//! Control-plane state: typed tables and transactions over one embedded store (redb).
//!
//! The catalog knows no records: each owner defines its own ([`Record`]) with a table name, an ordered key and a format
//! version. A transaction is whole or not at all, and durable when it returns. There is one writer at a time.
//!
//! A commit whose outcome is unknown poisons the catalog for the life of the process, as the log does: after a failed
//! sync nothing may be assumed of what the disk holds until it is read again.

mod backend;
mod copy;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod record;
mod transaction;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_env::{Env, OpenMode};
use parking_lot::Mutex;
use redb::{Database, Durability};

use crate::backend::{Backend, Failure};
pub use copy::CatalogCopy;
pub use error::CatalogError;
pub use record::{Key, Record, Versioned};
pub use transaction::Transaction;
pub use verify::{Table, verify};

/// Memory that the store may use for pages, bytes.
const CACHE: usize = 16 << 20;

/// The embedded store.
pub struct Catalog {
    env: Env,
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    database: Option<Database>,
    failure: Failure,
    poisoned: Option<Arc<str>>,
}

impl Catalog {
    /// Opens the catalog in the file `path`, or makes an empty one. Blocks. The caller makes sure that no other process
    /// has it open.
    ///
    /// # Errors
    /// [`CatalogError::Corrupt`] if any page of the file is damaged, [`CatalogError::DiskFull`],
    /// [`CatalogError::Unavailable`] if the disk fails.
    pub fn open(env: &Env, path: &Path) -> Result<Arc<Catalog>, CatalogError> {
        let failure = Failure::default();
        if env.disk.exists(path) {
            settle(env, path)?;
        } else {
            create(env, path, &failure)?;
        }
        let database = open(env, path, &failure)?;
        let state = State { database: Some(database), failure, poisoned: None };
        Ok(Arc::new(Catalog { env: env.clone(), path: path.to_path_buf(), state: Mutex::new(state) }))
    }

    /// Runs `work` in a transaction on the environment's pool; what it did is durable when `Ok` comes back. An `Err` of
    /// `work` undoes all of it. Once begun it ends, also if the returned future is dropped.
    pub async fn transact<T, E>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Transaction) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
    {
        let catalog = Arc::clone(self);
        match self.env.pool.run(move || catalog.transact_blocking(work)).await {
            Some(result) => result,
            None => Err(CatalogError::Closing.into()),
        }
    }

    /// The same on the calling thread, which it blocks: for start-up and for jobs that are on the pool already.
    pub fn transact_blocking<T, E: From<CatalogError>>(
        &self,
        work: impl FnOnce(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.state.lock();
        self.ready(&mut state)?;
        let Some(database) = &state.database else { return Err(CatalogError::Closing.into()) };
        let begun = database.begin_write().map_err(redb::Error::from);
        let mut inner = match begun {
            Ok(inner) => inner,
            Err(e) => return Err(failed(&mut state, e, false).into()),
        };
        // Opening after a crash is then a matter of reading the last commit.
        inner.set_quick_repair(true);
        if let Err(e) = inner.set_durability(Durability::Immediate) {
            return Err(failed(&mut state, e.into(), false).into());
        }
        let mut transaction = Transaction::new(inner);
        let result = work(&mut transaction);
        let changed = transaction.changed();
        let inner = transaction.into_inner();
        match result {
            Ok(value) if changed => match inner.commit() {
                Ok(()) => Ok(value),
                Err(e) => Err(failed(&mut state, e.into(), true).into()),
            },
            result => {
                // Nothing was written, so there is nothing that a failure here could leave behind.
                drop(inner.abort());
                if state.failure.seen() {
                    return Err(failed(&mut state, redb::Error::PreviousIo, false).into());
                }
                result
            }
        }
    }

    /// Why writes are refused, if they are.
    pub fn problem(&self) -> Option<String> {
        let state = self.state.lock();
        match &state.poisoned {
            Some(why) => Some(format!("the catalog takes no changes until a restart: {why}")),
            None if state.failure.is_full() => Some("the disk is full: the catalog takes no changes".to_owned()),
            None => None,
        }
    }

    /// Makes the catalog usable again after the disk was full, or says why it is not.
    fn ready(&self, state: &mut State) -> Result<(), CatalogError> {
        if let Some(why) = &state.poisoned {
            return Err(CatalogError::Poisoned(Arc::clone(why)));
        }
        if state.database.is_some() && !state.failure.seen() {
            return Ok(());
        }
        // The store takes nothing more after a failure; a fresh one starts from the last commit. Only a full disk
        // leads here, so no sync has failed and the page cache can be believed.
        state.database = None;
        state.failure = Failure::default();
        match open(&self.env, &self.path, &state.failure) {
            Ok(database) => {
                state.database = Some(database);
                Ok(())
            }
            Err(CatalogError::DiskFull) => Err(CatalogError::DiskFull),
            Err(e) => {
                let why: Arc<str> = e.to_string().into();
                state.poisoned = Some(Arc::clone(&why));
                Err(CatalogError::Poisoned(why))
            }
        }
    }
}

/// Judges a failed store operation; poisons the catalog unless the disk was merely full.
fn failed(state: &mut State, error: redb::Error, committing: bool) -> CatalogError {
    if state.failure.is_full() {
        return CatalogError::DiskFull;
    }
    let why: Arc<str> = state.failure.text().unwrap_or_else(|| error.to_string()).into();
    state.poisoned = Some(Arc::clone(&why));
    if committing { CatalogError::Unknown(why) } else { CatalogError::Poisoned(why) }
}

fn open(env: &Env, path: &Path, failure: &Failure) -> Result<Database, CatalogError> {
    let backend = Backend::open(env, path, failure.clone())?;
    redb::Builder::new().set_cache_size(CACHE).create_with_backend(backend).map_err(|e| match e {
        redb::DatabaseError::UpgradeRequired(found) => newer_format(found),
        _ if failure.is_full() => CatalogError::DiskFull,
        _ if failure.seen() => CatalogError::Unavailable(e.to_string().into()),
        e => CatalogError::Corrupt { what: path.display().to_string(), why: e.to_string() },
    })
}

fn newer_format(found: u8) -> CatalogError {
    CatalogError::Newer { table: "the catalog's file format".to_owned(), found, known: 3 }
}

/// Checks every page of what the file holds, and makes it durable. A killed process may leave in the page cache what it never
/// synced, or what a failed sync has only marked as clean: it is written anew before anything is built on it. The file is
/// small.
fn settle(env: &Env, path: &Path) -> Result<(), CatalogError> {
    let unavailable = |e: std::io::Error| CatalogError::from_io(&e);
    let found = env.disk.read_file(path).map_err(unavailable)?;
    let (bytes, _) = verify::sound(path, found)?;
    match env.disk.write_file(path, &bytes).map_err(unavailable) {
        Err(CatalogError::DiskFull) => {
            // Without room for a second copy, what was merely not synced is synced where it is.
            let file = env.disk.open(path, OpenMode::Write).map_err(unavailable)?;
            file.sync_data().map_err(unavailable)?;
            match path.parent() {
                Some(dir) => env.disk.sync_dir(dir).map_err(unavailable),
                None => Ok(()),
            }
        }
        done => done,
    }
}

/// Makes an empty store under another name and renames it, so that a crash leaves none or a whole one.
fn create(env: &Env, path: &Path, failure: &Failure) -> Result<(), CatalogError> {
    let mut temporary = path.to_path_buf().into_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let unavailable = |e: std::io::Error| CatalogError::from_io(&e);
    if env.disk.exists(&temporary) {
        env.disk.remove_file(&temporary).map_err(unavailable)?;
    }
    drop(env.disk.open(&temporary, OpenMode::CreateNew).map_err(unavailable)?);
    drop(open(env, &temporary, failure)?);
    if failure.seen() {
        return Err(CatalogError::Unavailable(failure.text().unwrap_or_default().into()));
    }
    env.disk.rename(&temporary, path).map_err(unavailable)?;
    match path.parent() {
        Some(dir) => env.disk.sync_dir(dir).map_err(unavailable),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
