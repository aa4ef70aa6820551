//! Runs plans that are due.

use std::sync::Arc;

use millstream_catalog::CatalogError;
use millstream_log::{AppendError, LogError, ReadError, StreamLog};

use super::{Closings, Reshard, Work};
use crate::change::ChangeError;
use crate::rebuild::descriptor;
use crate::service::Kinesis;
use crate::state::StreamRecord;
use crate::stream::Stream;

/// Why a plan did not come to its end. It is tried again later; what it has done already is done again or found done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("its log is missing")]
    NoLog,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("its descriptor could not be written: {0}")]
    Descriptor(#[from] serde_json::Error),
}

impl Kinesis {
    /// Runs the stream's plan if it has one that is due, and the plan that it leads to. The caller holds
    /// [`Stream::driving`].
    pub(crate) async fn drive(&self, stream: &Arc<Stream>) -> Result<(), PlanError> {
        // A change of the capacity mode may be followed by a reshard; nothing else has a second plan.
        self.drive_once(stream).await?;
        self.drive_once(stream).await
    }

    async fn drive_once(&self, stream: &Arc<Stream>) -> Result<(), PlanError> {
        let view = stream.view_owned();
        let gone = self.streams().by_incarnation(stream.incarnation).is_none();
        match &view.record.plan {
            Some(plan) if plan.due_ms <= self.now() && !gone => match &plan.work {
                Work::Create => self.finish_create(stream).await,
                Work::Delete => self.finish_delete(stream).await,
                Work::Reshard(reshard) => self.finish_reshard(stream, &view.record, reshard).await,
                Work::Settings(setting) => self.finish_setting(stream, setting).await,
            },
            _ => Ok(()),
        }
    }

    async fn finish_reshard(
        &self,
        stream: &Arc<Stream>,
        record: &StreamRecord,
        reshard: &Reshard,
    ) -> Result<(), PlanError> {
        let log = stream.log().ok_or(PlanError::NoLog)?;
        let mut closings = reshard.closings(record, self.now() / 1000);
        // An earlier attempt may have closed them: then its seconds count.
        adopt(&mut closings, &**log).await?;
        loop {
            let outcome = reshard.outcome(record, &closings, self.now());
            let shards = closings.iter().map(|(shard, second)| (*shard, *second)).collect();
            log.close_shards(shards, descriptor(&outcome)?, self.log.epoch()).await?;
            // The closing of an attempt that nobody waited for may have been under way, and have come first. Then the
            // descriptor just written is wrong, and is written again.
            if !adopt(&mut closings, &**log).await? {
                break;
            }
        }
        let at_ms = self.now();
        let reshard = reshard.clone();
        let changed = self.change(stream, move |record, _| {
            if record.plan.as_ref().is_some_and(|plan| plan.work == Work::Reshard(reshard.clone())) {
                *record = reshard.outcome(record, &closings, at_ms);
            }
            Ok(())
        });
        Ok(changed.await?)
    }
}

/// Puts the seconds at which the log has closed shards in the place of those planned. Whether any differed.
async fn adopt(closings: &mut Closings, log: &dyn StreamLog) -> Result<bool, PlanError> {
    let mut differed = false;
    for (shard, position) in log.positions().await? {
        if let (Some(second), Some(noted)) = (closings.get_mut(&shard), position.closed) {
            differed |= *second != noted;
            *second = noted;
        }
    }
    Ok(differed)
}

impl From<ChangeError> for PlanError {
    fn from(error: ChangeError) -> PlanError {
        match error {
            ChangeError::Catalog(error) => PlanError::Catalog(error),
            // Plans refuse nothing, and are not driven once their stream is gone.
            ChangeError::Refused(error) | ChangeError::Gone(error) => {
                PlanError::Catalog(CatalogError::Unavailable(error.to_string().into()))
            }
        }
    }
}
