//! The streams, consumers and tags of the configuration, made at the start by the service's own operations, so that its
//! rules hold for them too. What is there already is brought to what the configuration says, but no stream is resharded
//! and nothing is removed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millstream_api::kinesis::{
    AddTagsToStreamInput, ConsumerStatus, CreateStreamInput, DecreaseStreamRetentionPeriodInput,
    DescribeStreamConsumerInput, DescribeStreamSummaryInput, IncreaseStreamRetentionPeriodInput, Input, Output,
    RegisterStreamConsumerInput, Service, StreamDescriptionSummary, StreamMode, StreamModeDetails, StreamStatus,
    UpdateMaxRecordSizeInput,
};
use millstream_api::{Context, Error, ErrorCode, HangUp, RequestId};
use millstream_env::{ServerClock, runtime};

use crate::config::{Capacity, StreamEntry};

/// How often a stream in transition is looked at.
const POLL: Duration = Duration::from_millis(10);
/// How long all of it may take, beside the transitions.
const PATIENCE: Duration = Duration::from_secs(60);
/// Transitions that one stream may go through: its deletion, creation, retention, record size, and its consumers.
const TRANSITIONS: u32 = 5;

/// Why a stream is not as the configuration wants it.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The service refused.
    #[error("streams: \"{name}\": {error}")]
    Refused {
        /// The entry.
        name: String,
        /// The service's answer.
        error: Error,
    },
    /// It takes too long.
    #[error("streams: \"{name}\": {what}")]
    Stuck {
        /// The entry.
        name: String,
        /// What it waits for.
        what: String,
    },
}

/// What can be said of an entry without the service: whether every request that it takes has the form that AWS's model
/// demands.
///
/// # Errors
/// The service's ValidationException.
pub fn check(entry: &StreamEntry) -> Result<(), Error> {
    create(entry).validate()?;
    if let Some(hours) = entry.retention_hours {
        let input = IncreaseStreamRetentionPeriodInput {
            stream_name: Some(Cow::Borrowed(&entry.name)),
            retention_period_hours: hours,
            ..Default::default()
        };
        Input::IncreaseStreamRetentionPeriod(input).validate()?;
    }
    let arn = format!("arn:aws:kinesis:{}:{}:stream/{}", entry.region, entry.account, entry.name);
    entry.consumers.iter().try_for_each(|consumer| register(&arn, consumer).validate())
}

/// Makes every stream of `entries`, brings those that are there to what is written, and waits until all are ACTIVE.
/// `transition` is how long one of their transitions takes. Needs a tokio runtime with time, and something that drives
/// the service meanwhile.
///
/// # Errors
/// [`ProvisionError`] for the first entry that can't be had. Those before it may be there.
pub async fn apply(
    service: &dyn Service,
    clock: &ServerClock,
    transition: Duration,
    entries: &[StreamEntry],
) -> Result<(), ProvisionError> {
    let deadline = clock.monotonic() + PATIENCE + transition.saturating_mul(TRANSITIONS);
    let targets: Vec<Target<'_>> = entries.iter().map(|entry| Target::new(service, clock, deadline, entry)).collect();
    // Side by side, so that their transitions overlap.
    all(targets.iter().map(Target::bring).collect()).await
}

/// Runs futures side by side until all have succeeded, or one has failed.
async fn all<F: Future<Output = Result<(), ProvisionError>>>(futures: Vec<F>) -> Result<(), ProvisionError> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        let mut failed = None;
        running.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                failed = failed.take().or(result.err());
                false
            }
        });
        match failed {
            Some(error) => Poll::Ready(Err(error)),
            None if running.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}

/// One entry on its way.
struct Target<'a> {
    service: &'a dyn Service,
    clock: &'a ServerClock,
    /// In the clock's monotonic time.
    deadline: Duration,
    entry: &'a StreamEntry,
    context: Context,
}

impl<'a> Target<'a> {
    fn new(service: &'a dyn Service, clock: &'a ServerClock, deadline: Duration, entry: &'a StreamEntry) -> Self {
        let context = Context {
            account: Arc::from(entry.account.as_str()),
            region: Arc::from(entry.region.as_str()),
            access_key: Arc::from(entry.account.as_str()),
            request_id: RequestId::default(),
            hang_up: HangUp::default(),
        };
        Target { service, clock, deadline, entry, context }
    }

    /// Brings the stream to what the entry says.
    async fn bring(&self) -> Result<(), ProvisionError> {
        self.create().await?;
        self.compare_capacity(&self.active().await?);
        self.set_retention().await?;
        self.set_record_size().await?;
        self.tag().await?;
        self.register_consumers().await?;
        self.active().await?;
        self.consumers_active(&self.entry.consumers).await
    }

    async fn call(&self, input: Input<'_>) -> Result<Output, Error> {
        self.service.call(&self.context, input).await
    }

    fn refused(&self, error: Error) -> ProvisionError {
        ProvisionError::Refused { name: self.entry.name.clone(), error }
    }

    /// Waits a little for `what`, unless that has taken too long.
    async fn wait_for(&self, what: &str) -> Result<(), ProvisionError> {
        if self.clock.monotonic() >= self.deadline {
            return Err(ProvisionError::Stuck {
                name: self.entry.name.clone(),
                what: format!("{what} takes too long"),
            });
        }
        runtime::sleep(POLL).await;
        Ok(())
    }

    /// The stream, if there is one.
    async fn describe(&self) -> Result<Option<StreamDescriptionSummary>, ProvisionError> {
        let name = Some(Cow::Borrowed(self.entry.name.as_str()));
        let input = DescribeStreamSummaryInput { stream_name: name, ..Default::default() };
        match self.call(Input::DescribeStreamSummary(input)).await {
            Ok(Output::DescribeStreamSummary(output)) => Ok(Some(output.stream_description_summary)),
            Err(error) if error.code == ErrorCode::ResourceNotFoundException => Ok(None),
            Ok(_) => Err(self.refused(Error::bare(ErrorCode::InternalFailure))),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// The stream once it is ACTIVE.
    async fn active(&self) -> Result<StreamDescriptionSummary, ProvisionError> {
        loop {
            match self.describe().await? {
                Some(summary) if summary.stream_status == StreamStatus::Active => return Ok(summary),
                Some(summary) => self.wait_for(&format!("its status {}", summary.stream_status.as_str())).await?,
                None => {
                    let what = "it is gone again".to_owned();
                    return Err(ProvisionError::Stuck { name: self.entry.name.clone(), what });
                }
            }
        }
    }

    /// Creates the stream, unless it is there.
    async fn create(&self) -> Result<(), ProvisionError> {
        loop {
            match self.describe().await? {
                Some(summary) if summary.stream_status == StreamStatus::Deleting => {
                    self.wait_for("the deletion of its predecessor").await?;
                }
                Some(_) => return Ok(()),
                None => {
                    self.call(create(self.entry)).await.map_err(|error| self.refused(error))?;
                    let StreamEntry { account, region, name, capacity, .. } = self.entry;
                    tracing::info!(stream = name, account, region, %capacity, "stream created, as the configuration says");
                    return Ok(());
                }
            }
        }
    }

    /// Warns of a stream that has another mode or number of shards. That is for its users to change: resharding it at
    /// each start would undo what they did.
    fn compare_capacity(&self, summary: &StreamDescriptionSummary) {
        let is_on_demand = summary.stream_mode_details.as_ref().is_some_and(|d| d.stream_mode == StreamMode::OnDemand);
        let present = if is_on_demand { Capacity::OnDemand } else { Capacity::Shards(summary.open_shard_count) };
        if present != self.entry.capacity {
            tracing::warn!(
                stream = summary.stream_arn,
                wanted = %self.entry.capacity,
                %present,
                "the stream differs from the configuration and is left as it is"
            );
        }
    }

    async fn set_retention(&self) -> Result<(), ProvisionError> {
        let Some(hours) = self.entry.retention_hours else { return Ok(()) };
        let present = self.active().await?.retention_period_hours;
        let name = Some(Cow::Borrowed(self.entry.name.as_str()));
        let input = if hours < present {
            let input = DecreaseStreamRetentionPeriodInput {
                stream_name: name,
                retention_period_hours: hours,
                ..Default::default()
            };
            Input::DecreaseStreamRetentionPeriod(input)
        } else {
            let input = IncreaseStreamRetentionPeriodInput {
                stream_name: name,
                retention_period_hours: hours,
                ..Default::default()
            };
            Input::IncreaseStreamRetentionPeriod(input)
        };
        if hours != present {
            self.call(input).await.map_err(|error| self.refused(error))?;
        }
        Ok(())
    }

    async fn set_record_size(&self) -> Result<(), ProvisionError> {
        let Some(kib) = self.entry.max_record_size_kib else { return Ok(()) };
        let summary = self.active().await?;
        if summary.max_record_size_in_kib != Some(kib) {
            let input = UpdateMaxRecordSizeInput {
                stream_arn: Some(Cow::Borrowed(&summary.stream_arn)),
                max_record_size_in_kib: kib,
                ..Default::default()
            };
            self.call(Input::UpdateMaxRecordSize(input)).await.map_err(|error| self.refused(error))?;
        }
        Ok(())
    }

    /// Adds its tags. That those it has already are added again changes nothing.
    async fn tag(&self) -> Result<(), ProvisionError> {
        if let Some(tags) = tags(self.entry) {
            let stream_name = Some(Cow::Borrowed(self.entry.name.as_str()));
            let input = AddTagsToStreamInput { stream_name, tags, ..Default::default() };
            self.call(Input::AddTagsToStream(input)).await.map_err(|error| self.refused(error))?;
        }
        Ok(())
    }

    /// Registers its consumers that are not there.
    async fn register_consumers(&self) -> Result<(), ProvisionError> {
        if self.entry.consumers.is_empty() {
            return Ok(());
        }
        let arn = self.active().await?.stream_arn;
        for (number, consumer) in self.entry.consumers.iter().enumerate() {
            while self.consumer(&arn, consumer).await? == Some(ConsumerStatus::Deleting) {
                self.wait_for("the deletion of a consumer's predecessor").await?;
            }
            if self.consumer(&arn, consumer).await?.is_some() {
                continue;
            }
            match self.call(register(&arn, consumer)).await {
                // Only so many may be CREATING at once: those that are have their time.
                Err(error) if error.code == ErrorCode::LimitExceededException && number > 0 => {
                    self.consumers_active(&self.entry.consumers[..number]).await?;
                    self.call(register(&arn, consumer)).await.map_err(|error| self.refused(error))?;
                }
                answer => {
                    answer.map_err(|error| self.refused(error))?;
                }
            }
        }
        Ok(())
    }

    /// Waits until these consumers are ACTIVE.
    async fn consumers_active(&self, consumers: &[String]) -> Result<(), ProvisionError> {
        if consumers.is_empty() {
            return Ok(());
        }
        let arn = self.active().await?.stream_arn;
        for consumer in consumers {
            while self.consumer(&arn, consumer).await? != Some(ConsumerStatus::Active) {
                self.wait_for(&format!("the registration of its consumer {consumer}")).await?;
            }
        }
        Ok(())
    }

    /// A consumer's status, if it is registered.
    async fn consumer(&self, arn: &str, consumer: &str) -> Result<Option<ConsumerStatus>, ProvisionError> {
        let input = DescribeStreamConsumerInput {
            stream_arn: Some(Cow::Borrowed(arn)),
            consumer_name: Some(Cow::Borrowed(consumer)),
            ..Default::default()
        };
        match self.call(Input::DescribeStreamConsumer(input)).await {
            Ok(Output::DescribeStreamConsumer(output)) => Ok(Some(output.consumer_description.consumer_status)),
            Err(error) if error.code == ErrorCode::ResourceNotFoundException => Ok(None),
            Ok(_) => Err(self.refused(Error::bare(ErrorCode::InternalFailure))),
            Err(error) => Err(self.refused(error)),
        }
    }
}

fn create(entry: &StreamEntry) -> Input<'_> {
    let (shard_count, stream_mode) = match entry.capacity {
        Capacity::Shards(count) => (Some(count), StreamMode::Provisioned),
        Capacity::OnDemand => (None, StreamMode::OnDemand),
    };
    Input::CreateStream(CreateStreamInput {
        stream_name: Cow::Borrowed(&entry.name),
        shard_count,
        stream_mode_details: Some(StreamModeDetails { stream_mode, ..Default::default() }),
        tags: tags(entry),
        max_record_size_in_kib: entry.max_record_size_kib,
        ..Default::default()
    })
}

fn register<'a>(arn: &'a str, consumer: &'a str) -> Input<'a> {
    Input::RegisterStreamConsumer(RegisterStreamConsumerInput {
        stream_arn: Cow::Borrowed(arn),
        consumer_name: Cow::Borrowed(consumer),
        ..Default::default()
    })
}

/// The entry's tags as a request has them, unless there are none.
fn tags(entry: &StreamEntry) -> Option<BTreeMap<Cow<'_, str>, Cow<'_, str>>> {
    let tags = entry.tags.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), Cow::Borrowed(value.as_str())));
    (!entry.tags.is_empty()).then(|| tags.collect())
}

#[cfg(test)]
mod tests;
