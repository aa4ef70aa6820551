//! Opening what a data directory holds: the logs, the catalog, and the service over both.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_catalog::{Catalog, CatalogError};
use millstream_env::Env;
use millstream_kinesis::{Hooks, Kinesis, KinesisConfig, OpenError};
use millstream_log::Log;
use millstream_log::segment::{SegmentConfig, SegmentEngine};

use crate::data_dir::DataDir;

/// Why what a data directory holds cannot be served.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StorageError {
    #[error("{}: the log cannot be opened: {error}", path.display())]
    Log { path: PathBuf, error: io::Error },
    #[error("{}: the catalog cannot be opened: {error}; `millstream check` says more, and `millstream check --repair` can make it again from the logs", path.display())]
    Catalog { path: PathBuf, error: CatalogError },
    #[error("{}: the catalog is missing, and the logs of {logs} streams are there: put it back, or let `millstream check --repair` make it again from the logs", path.display())]
    CatalogMissing { path: PathBuf, logs: usize },
    #[error("the service cannot be opened: {0}")]
    Kinesis(#[from] OpenError),
}

/// Opens the logs, the catalog and the service. Blocks. What is damaged in a way that would show streams or positions that
/// are not those that were acknowledged is refused; what is damaged within a log is met by its readers.
///
/// # Errors
/// The first thing that cannot be opened, by its path.
pub fn open(
    env: &Env,
    data: &DataDir,
    engine: SegmentConfig,
    settings: KinesisConfig,
    hooks: Hooks,
) -> Result<Arc<Kinesis>, StorageError> {
    let log: Arc<dyn Log> =
        SegmentEngine::open(env.clone(), engine).map_err(|error| StorageError::Log { path: data.log(), error })?;
    let path = data.catalog();
    if !env.disk.exists(&path) {
        // A new directory has neither. An empty catalog beside logs would be an account without its streams.
        let logs = log.list().len();
        if logs > 0 {
            return Err(StorageError::CatalogMissing { path, logs });
        }
    }
    let catalog = Catalog::open(env, &path).map_err(|error| StorageError::Catalog { path, error })?;
    Ok(Kinesis::open(env.clone(), log, catalog, settings, hooks)?)
}
