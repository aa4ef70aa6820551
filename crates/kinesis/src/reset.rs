//! Removing all streams at once, for tests that want to begin with nothing.

use std::sync::Arc;

use millstream_catalog::CatalogError;
use millstream_log::LogError;
use parking_lot::Mutex;

use crate::change::ChangeError;
use crate::driver::all;
use crate::plans::{Plan, Work};
use crate::service::Kinesis;
use crate::state::Status;
use crate::stream::Stream;

/// The worlds that are emptied: all of an account, all of a region, one, or every world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worlds {
    /// Only this account's.
    pub account: Option<String>,
    /// Only this region's.
    pub region: Option<String>,
}

impl Worlds {
    /// Whether the world of that account and region is one of them.
    pub fn contain(&self, account: &str, region: &str) -> bool {
        self.account.as_deref().is_none_or(|only| only == account)
            && self.region.as_deref().is_none_or(|only| only == region)
    }
}

/// Why a reset did not come to its end. What it has begun is brought to its end by [`Kinesis::tick`].
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// A log could not be deleted.
    #[error("a stream's log could not be deleted: {0}")]
    Log(#[from] LogError),
    /// The catalog failed.
    #[error("the catalog could not be changed: {0}")]
    Catalog(#[from] CatalogError),
}

impl Kinesis {
    /// Removes every stream of the worlds, whatever state it is in, and the settings of their accounts, and forgets what
    /// was counted against call rates. All is gone when this returns; how many streams that were. Streams that are created
    /// meanwhile may stay.
    ///
    /// The way is DeleteStream's, so that a crash on it leaves streams that are DELETING.
    ///
    /// # Errors
    /// [`ResetError`]; the streams are DELETING then, or as they were.
    pub async fn reset(&self, worlds: &Worlds) -> Result<usize, ResetError> {
        let chosen: Vec<Arc<Stream>> = {
            let streams = self.streams();
            let chosen = streams.all().iter().filter(|s| worlds.contain(&s.address.account, &s.address.region));
            chosen.map(Arc::clone).collect()
        };
        // Taken in the one order of `Streams`, so that two resets don't wait for each other. From here on no plan runs.
        let mut driving = Vec::with_capacity(chosen.len());
        for stream in &chosen {
            driving.push(stream.driving.lock().await);
        }
        let present = Arc::clone(&self.streams());
        let mut gone: Vec<Arc<Stream>> =
            chosen.iter().filter(|s| present.by_incarnation(s.incarnation).is_some()).map(Arc::clone).collect();
        self.call_rates.forget(|account, region| worlds.contain(account, region));
        self.forget_settings(worlds).await?;
        if gone.is_empty() {
            return Ok(0);
        }
        let due_ms = self.now();
        self.change_all(&gone, move |record| {
            if record.status == Status::Creating {
                // It never had shards that anyone could see.
                record.shards.clear();
            }
            record.status = Status::Deleting;
            record.plan = Some(Plan { due_ms, work: Work::Delete });
        })
        .await?;
        let failed: Mutex<Vec<(u64, LogError)>> = Mutex::default();
        let delete = async |stream: &Arc<Stream>| {
            if let Err(error) = self.log.delete(&stream.log_id()).await {
                failed.lock().push((stream.incarnation, error));
            }
        };
        all(gone.iter().map(delete).collect()).await;
        let failed = failed.into_inner();
        gone.retain(|stream| failed.iter().all(|(incarnation, _)| *incarnation != stream.incarnation));
        self.remove(&gone).await?;
        drop(driving);
        match failed.into_iter().next() {
            Some((_, error)) => {
                self.wake.notify_one();
                Err(error.into())
            }
            None => Ok(gone.len()),
        }
    }
}

impl From<ChangeError> for ResetError {
    fn from(error: ChangeError) -> ResetError {
        match error {
            ChangeError::Catalog(error) => ResetError::Catalog(error),
            // A reset refuses nothing, and holds on to the streams that it changes.
            ChangeError::Refused(error) | ChangeError::Gone(error) => {
                ResetError::Catalog(CatalogError::Unavailable(error.to_string().into()))
            }
        }
    }
}
