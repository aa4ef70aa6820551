//! The descriptor that a log keeps of its stream, and how a lost catalog is made again from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{Catalog, CatalogError, Key};
use millstream_env::Env;
use millstream_log::{Log, LogId, ReadError};
use serde::{Deserialize, Serialize};

use crate::state::{Status, StreamRecord};
use crate::stream::address_of;
use crate::token::{KeysError, TokenKeys};

/// Version of the descriptor's form.
const FORMAT: u32 = 1;

/// What a log keeps of its stream: the record, as it was when the log was made or shards were last closed. It is
/// written in the very commit that closes the shards, so its shard table is always that of the log.
#[derive(Serialize, Deserialize)]
struct Descriptor<R> {
    format: u32,
    stream: R,
}

/// The descriptor of a stream's log.
pub(crate) fn descriptor(record: &StreamRecord) -> Result<Bytes, serde_json::Error> {
    let settled = StreamRecord { status: Status::Active, plan: None, ..record.clone() };
    serde_json::to_vec(&Descriptor { format: FORMAT, stream: settled }).map(Bytes::from)
}

/// Reads every stream record and compares with the logs that are there: one line for each stream whose log is missing
/// and each log that belongs to no stream. Blocks. For `check`, while nothing is served.
///
/// # Errors
/// [`CatalogError::Corrupt`] or [`CatalogError::Newer`] for a record that cannot be read.
pub fn compare(log: &dyn Log, catalog: &Catalog) -> Result<Vec<String>, CatalogError> {
    let records = catalog.transact_blocking(|tx| tx.scan::<StreamRecord>(&Key::all()))?;
    Ok(mismatches(log, &records).into_iter().map(|mismatch| mismatch.line).collect())
}

/// What is wrong with the keys of iterators and tokens, whose file is `path`, if anything: they are damaged, or missing though
/// there are streams. Blocks. For `check`, while nothing is served.
///
/// # Errors
/// The disk's.
pub fn check_keys(env: &Env, path: &Path, has_streams: bool) -> Result<Option<String>, KeysError> {
    match TokenKeys::check(env, path) {
        Ok(true) => Ok(None),
        Ok(false) => Ok(has_streams.then(|| keys_missing(path))),
        Err(error @ KeysError::Disk { .. }) => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Makes new keys at `path`, where there are none: for `check --repair`.
///
/// # Errors
/// The disk's.
pub fn make_keys(env: &Env, path: &Path) -> Result<(), KeysError> {
    TokenKeys::load(env, path).map(drop)
}

pub(crate) fn keys_missing(path: &Path) -> String {
    format!(
        "token keys {}: the file was missing: iterators and page tokens that were given out are refused",
        path.display()
    )
}

/// The ARN of every stream, by incarnation. Blocks.
///
/// # Errors
/// [`CatalogError::Corrupt`] or [`CatalogError::Newer`] for a record that cannot be read.
pub fn arns(catalog: &Catalog) -> Result<BTreeMap<u64, String>, CatalogError> {
    let records = catalog.transact_blocking(|tx| tx.scan::<StreamRecord>(&Key::all()))?;
    Ok(records.iter().map(|record| (record.incarnation, address_of(record).arn())).collect())
}

/// A stream without its log, or a log without its stream.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// The stream's incarnation; `None` if it is about a log.
    pub(crate) stream: Option<u64>,
    /// For people.
    pub(crate) line: String,
}

/// What does not fit together.
pub(crate) fn mismatches(log: &dyn Log, records: &[StreamRecord]) -> Vec<Mismatch> {
    let ids = log.list();
    let logs: BTreeSet<u64> = ids.iter().map(|id| id.incarnation).collect();
    let known: BTreeSet<u64> = records.iter().map(|record| record.incarnation).collect();
    // Those of streams that come or go are made and deleted by the plan that goes on.
    let settled = |record: &&StreamRecord| matches!(record.status, Status::Active | Status::Updating);
    let missing = records.iter().filter(settled).filter(|record| !logs.contains(&record.incarnation));
    let mut found: Vec<Mismatch> = missing
        .map(|record| Mismatch {
            stream: Some(record.incarnation),
            line: format!(
                "stream {}: its log is missing: put log/streams/{}/{}/{:016x} back, or delete the stream",
                address_of(record).arn(),
                record.account,
                record.region,
                record.incarnation
            ),
        })
        .collect();
    for LogId { account, region, incarnation } in &ids {
        if !known.contains(incarnation) {
            let line = format!(
                "log {incarnation:016x} of account {account} in {region} belongs to no stream: it is left alone; `millstream check --repair` brings its stream back"
            );
            found.push(Mismatch { stream: None, line });
        }
    }
    found
}

/// What [`rebuild`] made of a log that the catalog did not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// The stream is in the catalog again. Its shards are as they were; tags, retention, capacity mode and monitoring
    /// are as they were when its shards last changed.
    Stream {
        /// Its ARN.
        arn: String,
        /// The log it was made from.
        log: LogId,
    },
    /// The catalog has a stream of that name: the log stays aside.
    NameTaken {
        /// The ARN that both claim.
        arn: String,
        /// The log that stays aside.
        log: LogId,
    },
    /// The log's descriptor could not be read: the log stays aside.
    Unreadable {
        /// The log that stays aside.
        log: LogId,
        /// Why.
        why: String,
    },
}

/// Puts every stream whose log exists, but whose record does not, into the catalog again: for `check --repair`, while
/// nothing is served.
///
/// # Errors
/// The catalog's, when it fails.
pub async fn rebuild(log: &Arc<dyn Log>, catalog: &Arc<Catalog>) -> Result<Vec<Rebuilt>, CatalogError> {
    let known: Vec<StreamRecord> = catalog.transact(|tx| tx.scan::<StreamRecord>(&Key::all())).await?;
    let mut report = Vec::new();
    for id in log.list() {
        if known.iter().any(|record| record.incarnation == id.incarnation) {
            continue;
        }
        report.push(match read(log, &id).await {
            Ok(record) => {
                let arn = address_of(&record).arn();
                match catalog.transact(move |tx| tx.insert(&record)).await {
                    Ok(()) => Rebuilt::Stream { arn, log: id },
                    Err(CatalogError::Conflict) => Rebuilt::NameTaken { arn, log: id },
                    Err(e) => return Err(e),
                }
            }
            Err(why) => Rebuilt::Unreadable { log: id, why },
        });
    }
    Ok(report)
}

async fn read(log: &Arc<dyn Log>, id: &LogId) -> Result<StreamRecord, String> {
    let bytes = match log.open(id) {
        Some(stream) => stream.descriptor().await.map_err(|e: ReadError| e.to_string())?,
        None => return Err("it is gone".to_owned()),
    };
    let found: Descriptor<serde_json::Value> = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    if found.format != FORMAT {
        return Err(format!("its descriptor has format {}, this version knows {FORMAT}", found.format));
    }
    let record: StreamRecord = serde_json::from_value(found.stream).map_err(|e| e.to_string())?;
    if record.incarnation != id.incarnation || *record.account != *id.account || *record.region != *id.region {
        return Err("its descriptor is another log's".to_owned());
    }
    Ok(record)
}
