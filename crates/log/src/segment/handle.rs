//! What callers hold of a log: the calls of [`StreamLog`], and how each waits for what it needs.

use std::sync::Arc;

use bytes::Bytes;
use metrics::counter;

use super::commit::Committed;
use super::stream::Stream;
use super::{read, trim};
use crate::metrics::REFUSED;
use crate::watchers::Watch;
use crate::{
    AppendError, Appended, Batch, BoxFuture, Epoch, LogId, NotWritten, Offset, Read, ReadError, ReadResult, ShardIndex,
    ShardPosition, StreamLog, TimeMs,
};

/// A handle on a log: what callers hold.
#[derive(Clone)]
pub(crate) struct Handle(pub(crate) Arc<Stream>);

fn count_refusal(error: &AppendError) {
    if let AppendError::NotWritten(refusal) = error {
        counter!(REFUSED, "reason" => refusal.reason()).increment(1);
    }
}

fn as_append_error(e: ReadError) -> AppendError {
    AppendError::NotWritten(match e {
        ReadError::Deleted => NotWritten::Deleted,
        ReadError::Corrupt(why) | ReadError::Unavailable(why) => NotWritten::Unavailable(why),
    })
}

impl StreamLog for Handle {
    fn id(&self) -> &LogId {
        &self.0.id
    }

    fn append(&self, batch: Batch, expected: Epoch) -> BoxFuture<'static, Result<Appended, AppendError>> {
        let stream = Arc::clone(&self.0);
        // Joins at once if the log is open, so that calls join in the order in which they are made.
        let mut batch = Some(batch);
        let joined = if batch.as_ref().is_some_and(Batch::is_empty) {
            Some(Ok((Appended { shards: Vec::new() }, None)))
        } else {
            stream
                .if_open(|log| stream.join_batch(log, batch.take().unwrap_or_default(), expected))
                .map(|joined| joined.map(|joined| stream.joined(joined)))
        };
        Box::pin(async move {
            let joined = match (joined, batch) {
                (Some(joined), _) => joined,
                (None, batch) => stream
                    .opened(|log| stream.join_batch(log, batch.unwrap_or_default(), expected))
                    .await
                    .map_err(as_append_error)
                    .inspect_err(count_refusal)?
                    .map(|joined| stream.joined(joined)),
            };
            let (appended, outcome) = joined.inspect_err(count_refusal)?;
            if let Some(outcome) = outcome {
                Committed::new(outcome).await.inspect_err(count_refusal)?;
            }
            Ok(appended)
        })
    }

    fn close_shards(
        &self,
        shards: Vec<(ShardIndex, u64)>,
        descriptor: Bytes,
        expected: Epoch,
    ) -> BoxFuture<'static, Result<(), AppendError>> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move {
            let outcome = stream
                .opened(|log| stream.join_closings(log, &shards, descriptor, expected))
                .await
                .map_err(as_append_error)??;
            Committed::new(outcome).await
        })
    }

    fn trim(&self, before: TimeMs, expected: Epoch) -> BoxFuture<'static, Result<(), AppendError>> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move {
            stream.opened(|_| ()).await.map_err(as_append_error)?;
            trim::trim(&stream, before, expected).await
        })
    }

    fn read(&self, read: Read) -> BoxFuture<'static, Result<ReadResult, ReadError>> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move { read::read(&stream, read).await })
    }

    fn seek_time(&self, shard: ShardIndex, time: TimeMs) -> BoxFuture<'static, Result<Offset, ReadError>> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move {
            stream.opened(|_| ()).await?;
            read::seek_time(&stream, shard, time).await
        })
    }

    fn position(&self, shard: ShardIndex) -> BoxFuture<'static, Result<ShardPosition, ReadError>> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move { stream.opened(|log| log.content.position(shard)).await })
    }

    fn positions(&self) -> BoxFuture<'static, Result<Vec<(ShardIndex, ShardPosition)>, ReadError>> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move {
            stream.opened(|log| log.content.shards.iter().map(|(i, s)| (*i, s.position())).collect()).await
        })
    }

    fn durable_watch(&self, shard: ShardIndex) -> Watch {
        self.0.watchers.subscribe(shard)
    }

    fn descriptor(&self) -> BoxFuture<'static, Result<Bytes, ReadError>> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move { stream.opened(|log| log.content.descriptor.clone()).await })
    }
}
