//! Changes of the catalog, and of what the data plane sees of it: one at a time, in one order.

use std::sync::Arc;

use millstream_api::{Error, ErrorCode};
use millstream_catalog::{Catalog, CatalogError, Key, Record, Versioned};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::load::History;
use crate::resolve::Address;
use crate::service::Kinesis;
use crate::state::StreamRecord;
use crate::stream::{Stream, Streams};
use crate::texts;

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeError {
    /// The request asks for what can't be; this is the answer.
    Refused(Error),
    /// The stream is gone.
    Gone(Error),
    /// The catalog failed.
    Catalog(CatalogError),
}

impl From<Error> for ChangeError {
    fn from(error: Error) -> ChangeError {
        ChangeError::Refused(error)
    }
}

impl From<CatalogError> for ChangeError {
    fn from(error: CatalogError) -> ChangeError {
        ChangeError::Catalog(error)
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Error {
        match error {
            ChangeError::Refused(error) | ChangeError::Gone(error) => error,
            ChangeError::Catalog(error) => {
                tracing::error!(%error, "a change of the catalog failed");
                Error::bare(ErrorCode::InternalFailure)
            }
        }
    }
}

impl Record for StreamRecord {
    const TABLE: &'static str = "kinesis.streams";
    // Version 1 knew no consumers and no policies: an older Millstream would drop them.
    const VERSION: u8 = 2;

    fn upgrade(from: u8, value: Value) -> Result<Value, String> {
        match from {
            1 => Ok(value),
            _ => Err(format!("version {from} is not known")),
        }
    }

    fn key(&self) -> Key {
        Key::all().text(&self.account).text(&self.region).text(&self.name)
    }
}

impl Versioned for StreamRecord {
    fn version(&self) -> u64 {
        self.version
    }

    fn set_version(&mut self, version: u64) {
        self.version = version;
    }
}

/// What is remembered of a deleted stream: a stream created under its name must be later than all its shards, or its
/// sequence numbers could be taken for theirs. And later than all its consumers, for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    account: String,
    region: String,
    name: String,
    latest_second: u64,
}

/// How far a tombstone's second must lie in the past before the tombstone goes.
const TOMBSTONE_KEPT: u64 = 24 * 60 * 60;

impl Record for Tombstone {
    const TABLE: &'static str = "kinesis.tombstones";
    const VERSION: u8 = 1;

    fn key(&self) -> Key {
        Key::all().text(&self.account).text(&self.region).text(&self.name)
    }
}

impl Kinesis {
    /// Changes a stream's record: `work` sees it as it is now, and every stream, and edits it. The change is durable and
    /// visible when this returns. Once begun it ends, also if the request is dropped.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        stream: &Arc<Stream>,
        work: impl FnOnce(&mut StreamRecord, &Streams) -> Result<T, ChangeError> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let stream = Arc::clone(stream);
        self.exclusively(move |streams, catalog| {
            let Address { account, name, .. } = &stream.address;
            let present = streams.load();
            if present.by_incarnation(stream.incarnation).is_none() {
                return Err(ChangeError::Gone(texts::stream_not_found(name, account)));
            }
            let view = stream.view_owned();
            let mut record = view.record.clone();
            let answer = work(&mut record, &present)?;
            if record != view.record {
                catalog.transact_blocking(|tx| tx.compare_and_set(&mut record))?;
                stream.show(record);
            }
            Ok(answer)
        })
        .await
    }

    /// Adds a stream: `work` gets the earliest second that its shards may have, and every stream, and makes the record.
    pub(crate) async fn add(
        &self,
        address: Address,
        work: impl FnOnce(u64, &Streams) -> Result<StreamRecord, ChangeError> + Send + 'static,
    ) -> Result<Arc<Stream>, ChangeError> {
        let now_second = self.now() / 1000;
        let (trim_due, limits) = (self.first_trim(), self.limits.clone());
        self.exclusively(move |streams, catalog| {
            let key = Key::all().text(&address.account).text(&address.region).text(&address.name);
            let present = streams.load_full();
            let earlier = catalog.transact_blocking(|tx| tx.get::<Tombstone>(&key))?;
            let second = earlier.map_or(now_second, |t| now_second.max(t.latest_second + 1));
            let record = work(second, &present)?;
            catalog.transact_blocking(|tx| {
                tx.insert(&record)?;
                tx.delete::<Tombstone>(&key)
            })?;
            let stream = Arc::new(Stream::new(record, &limits, trim_due));
            streams.store(Arc::new(Streams::clone(&present).with(Arc::clone(&stream))));
            Ok(stream)
        })
        .await
    }

    /// Changes the records of several streams at once, all or none; those that are gone are left out. The caller holds each
    /// one's [`Stream::driving`].
    pub(crate) async fn change_all(
        &self,
        streams: &[Arc<Stream>],
        work: impl Fn(&mut StreamRecord) + Send + 'static,
    ) -> Result<(), ChangeError> {
        let mut changed = streams.to_vec();
        self.exclusively(move |streams, catalog| {
            changed.retain(|stream| streams.load().by_incarnation(stream.incarnation).is_some());
            let mut records: Vec<StreamRecord> = changed.iter().map(|stream| stream.view().record.clone()).collect();
            records.iter_mut().for_each(&work);
            catalog.transact_blocking(|tx| records.iter_mut().try_for_each(|record| tx.compare_and_set(record)))?;
            for (stream, record) in changed.iter().zip(records) {
                stream.show(record);
            }
            Ok(())
        })
        .await
    }

    /// Removes streams whose logs are gone, and leaves tombstones. The caller holds each one's [`Stream::driving`].
    pub(crate) async fn remove(&self, gone: &[Arc<Stream>]) -> Result<(), ChangeError> {
        let mut gone = gone.to_vec();
        let now_second = self.now() / 1000;
        self.exclusively(move |streams, catalog| {
            // A removal goes on when its request is dropped, but nobody holds `driving` then: it may have come first, and a
            // new stream may have the name and with it the record's key.
            gone.retain(|stream| streams.load().by_incarnation(stream.incarnation).is_some());
            catalog.transact_blocking(|tx| {
                for old in tx.scan::<Tombstone>(&Key::all())? {
                    if old.latest_second + TOMBSTONE_KEPT < now_second {
                        tx.delete::<Tombstone>(&old.key())?;
                    }
                }
                for stream in &gone {
                    let record = &stream.view().record;
                    let consumers = record.consumers.iter().map(|consumer| consumer.second()).max().unwrap_or(0);
                    tx.delete::<StreamRecord>(&record.key())?;
                    tx.delete::<History>(&History::key_of(record.incarnation))?;
                    tx.put(&Tombstone {
                        account: record.account.clone(),
                        region: record.region.clone(),
                        name: record.name.clone(),
                        latest_second: record.latest_second.max(record.latest_consumer_second).max(consumers),
                    })?;
                }
                Ok::<(), CatalogError>(())
            })?;
            let mut left = Streams::clone(&streams.load());
            left.drop_all(|stream| gone.iter().any(|one| one.incarnation == stream.incarnation));
            streams.store(Arc::new(left));
            for stream in &gone {
                stream.announce_failure();
            }
            Ok(())
        })
        .await
    }

    /// Runs `work` on the pool while no other change is made.
    pub(crate) async fn exclusively<T: Send + 'static>(
        &self,
        work: impl FnOnce(&arc_swap::ArcSwap<Streams>, &Catalog) -> Result<T, ChangeError> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let guard = Arc::clone(&self.changing).lock_owned().await;
        let (streams, catalog) = (Arc::clone(&self.streams), Arc::clone(&self.catalog));
        let ended = self.env.pool.run(move || {
            let _guard = guard;
            work(&streams, &catalog)
        });
        ended.await.unwrap_or(Err(CatalogError::Closing.into()))
    }
}
