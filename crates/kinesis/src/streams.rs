//! CreateStream, DeleteStream, ListStreams.

use std::sync::Arc;

use millstream_api::kinesis::{
    CreateStreamInput, DeleteStreamInput, ListStreamsInput, ListStreamsOutput, Operation, StreamMode, StreamSummary,
};
use millstream_api::{Context, Error};
use millstream_env::RandomExt;

use crate::autoscale::FEWEST;
use crate::change::ChangeError;
use crate::describe::{mode_shape, status_shape, timestamp};
use crate::distribution::distribution_of;
use crate::hash::initial_ranges;
use crate::hooks::Resource;
use crate::limits::Limits;
use crate::plans::{Plan, Work};
use crate::resolve::Address;
use crate::service::Kinesis;
use crate::state::{ConsumerStatus, Distribution, Mode, ShardRecord, Status, StreamRecord};
use crate::stream::{Stream, Streams};
use crate::tags::tags_of_new;
use crate::texts;
use crate::token::PageToken;

/// Most streams in one answer of ListStreams, whatever Limit says.
const PAGE: usize = 100;

impl Kinesis {
    pub(crate) async fn create_stream(&self, context: &Context, input: CreateStreamInput<'_>) -> Result<(), Error> {
        let address = self.address(context, Operation::CreateStream, Some(&input.stream_name), None)?;
        let (mode, shard_count) = capacity(&input)?;
        let warm_throughput_mibps =
            self.requested_warm(&self.limits.of(&address), &address, mode, input.warm_throughput_mibps)?;
        let shard_count = shard_count.max(warm_throughput_mibps.unwrap_or(0));
        let distribution = input.record_distribution_strategy.as_ref().map(distribution_of).unwrap_or_default();
        if distribution == Distribution::Auto && mode == Mode::Provisioned {
            return Err(texts::distribution_needs_on_demand(&address.name));
        }
        let tags = tags_of_new(&address, self.limits.of(&address).tags, input.tags)?;
        let limits = self.present_limits();
        let (created_ms, due_ms) = (self.now(), self.plan_due_from_now());
        let incarnation = self.env.random.u64();
        let max_record_kib = input.max_record_size_in_kib.and_then(|kib| u32::try_from(kib).ok()).unwrap_or(1024);
        let place = address.clone();
        let added = self.add(address, move |create_second, streams| {
            if streams.get(&place.account, &place.region, &place.name).is_some() {
                return Err(texts::stream_exists(&place.name, &place.account).into());
            }
            let world = streams.of(&place.account, &place.region);
            check_transitions(&limits, &place, world)?;
            match mode {
                Mode::Provisioned => check_shard_limit(&limits, &place, world, u64::from(shard_count))?,
                Mode::OnDemand => check_on_demand_limit(&limits, &place, world)?,
            }
            let shards = (0..).zip(initial_ranges(shard_count)).map(|(index, range)| ShardRecord {
                index,
                range,
                parent: None,
                adjacent_parent: None,
                create_second,
                opened_ms: created_ms,
                closed: None,
            });
            Ok(StreamRecord {
                version: 0,
                incarnation,
                account: place.account.to_string(),
                region: place.region.to_string(),
                name: place.name.to_string(),
                created_ms,
                latest_second: create_second,
                status: Status::Creating,
                mode,
                retention_hours: 24,
                floor_ms: 0,
                shards: shards.collect(),
                next_index: shard_count,
                tags,
                monitoring: Default::default(),
                max_record_kib,
                distribution,
                consumers: Vec::new(),
                // A tombstone has seen to it that this is later than what an earlier stream's consumers had.
                latest_consumer_second: create_second.saturating_sub(1),
                policy: None,
                warm_throughput_mibps,
                scaling_calls: Vec::new(),
                mode_switches: Vec::new(),
                plan: Some(Plan { due_ms, work: Work::Create }),
            })
        });
        let stream = added.await?;
        self.planned(&stream).await;
        Ok(())
    }

    pub(crate) async fn delete_stream(&self, context: &Context, input: DeleteStreamInput<'_>) -> Result<(), Error> {
        let stream =
            self.resolve(context, Operation::DeleteStream, input.stream_name.as_deref(), input.stream_arn.as_deref())?;
        let (limits, address) = (self.present_limits(), stream.address.clone());
        let due_ms = self.plan_due_from_now();
        let enforced = input.enforce_consumer_deletion == Some(true);
        let planned = self.change(&stream, move |record, streams| {
            match record.status {
                Status::Active | Status::Creating => {}
                status => return Err(texts::stream_not_active(&address.name, &address.account, status.as_str()).into()),
            }
            if !record.consumers.is_empty() && !enforced {
                return Err(texts::stream_has_consumers(&address.name, &address.account).into());
            }
            if record.status == Status::Creating {
                // It never had shards that anyone could see.
                record.shards.clear();
            } else {
                check_transitions(&limits, &address, streams.of(&address.account, &address.region))?;
            }
            for consumer in &mut record.consumers {
                (consumer.status, consumer.due_ms) = (ConsumerStatus::Deleting, None);
            }
            record.status = Status::Deleting;
            record.plan = Some(Plan { due_ms, work: Work::Delete });
            Ok(())
        });
        planned.await?;
        self.planned(&stream).await;
        Ok(())
    }

    pub(crate) fn list_streams(
        &self,
        context: &Context,
        input: ListStreamsInput<'_>,
    ) -> Result<ListStreamsOutput, Error> {
        self.allow(context, Operation::ListStreams, Resource::Account)?;
        self.admit_account_call(context, Operation::ListStreams)?;
        let operation = Operation::ListStreams;
        let after: Option<String> = match &input.next_token {
            Some(token) => {
                let token = self.open_page_token(context, operation, token)?;
                Some(token.position.into_owned())
            }
            None => input.exclusive_start_stream_name.map(|name| name.into_owned()),
        };
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE).min(PAGE);
        let streams = self.streams();
        let world = streams.of(&context.account, &context.region);
        let start = after.map_or(0, |after| world.partition_point(|s| *s.address.name <= *after));
        let page = &world[start..][..limit.min(world.len() - start)];
        let has_more = start + page.len() < world.len();
        let last = page.last().map(|s| Arc::clone(&s.address.name)).filter(|_| has_more);
        Ok(ListStreamsOutput {
            stream_names: page.iter().map(|s| s.address.name.to_string()).collect(),
            has_more_streams: has_more,
            next_token: last.map(|last| {
                PageToken {
                    operation: operation.name().into(),
                    account: (&*context.account).into(),
                    region: (&*context.region).into(),
                    stream: "".into(),
                    incarnation: 0,
                    position: (&*last).into(),
                    filter: "".into(),
                    issued: self.now(),
                }
                .seal(&self.tokens)
            }),
            stream_summaries: Some(page.iter().map(|s| summary(s)).collect()),
        })
    }
}

/// Mode and number of shards that a CreateStream asks for.
fn capacity(input: &CreateStreamInput<'_>) -> Result<(Mode, u32), Error> {
    let mode = input.stream_mode_details.as_ref().map(|details| &details.stream_mode);
    match (mode, input.shard_count) {
        (Some(StreamMode::OnDemand), Some(_)) => Err(texts::shard_count_with_on_demand()),
        (Some(StreamMode::OnDemand), None) | (None, None) => Ok((Mode::OnDemand, FEWEST)),
        (Some(_), None) => Err(texts::shard_count_required()),
        (_, Some(count)) => Ok((Mode::Provisioned, u32::try_from(count).unwrap_or(1).max(1))),
    }
}

fn summary(stream: &Stream) -> StreamSummary {
    let record = &stream.view().record;
    StreamSummary {
        stream_name: record.name.clone(),
        stream_arn: stream.address.arn(),
        stream_status: status_shape(record.status),
        stream_mode_details: Some(mode_shape(record.mode)),
        stream_creation_timestamp: Some(timestamp(record.created_ms)),
    }
}

/// Whether one more stream may be in CREATING or DELETING.
fn check_transitions(limits: &Limits, address: &Address, world: &[Arc<Stream>]) -> Result<(), ChangeError> {
    let busy = |s: &&Arc<Stream>| matches!(s.view().record.status, Status::Creating | Status::Deleting);
    let busy = world.iter().filter(busy).count() as u64;
    match limits.streams_in_transition.get() {
        Some(limit) if busy + 1 > limit => Err(texts::too_many_in_transition(&address.account, limit).into()),
        _ => Ok(()),
    }
}

/// Open shards of an account's provisioned streams in a region, those under way included, and those of streams that are
/// switching to or from the mode.
pub(crate) fn provisioned_shards(world: &[Arc<Stream>]) -> u64 {
    let count = |stream: &Arc<Stream>| {
        let record = &stream.view().record;
        match record.status {
            Status::Deleting => 0,
            _ if !record.claims(Mode::Provisioned) => 0,
            _ => record.open_count() as u64 + record.plan.as_ref().map_or(0, Plan::growth),
        }
    };
    world.iter().map(count).sum()
}

/// Whether the account may have `more` open shards.
pub(crate) fn check_shard_limit(
    limits: &Limits,
    address: &Address,
    world: &[Arc<Stream>],
    more: u64,
) -> Result<(), ChangeError> {
    let now = provisioned_shards(world);
    match limits.shards(&address.region).get() {
        Some(limit) if now + more > limit => {
            Err(texts::shard_limit(&address.account, &address.region, now, limit, more).into())
        }
        _ => Ok(()),
    }
}

/// How many on-demand streams there are, those that are switching to or from the mode included.
pub(crate) fn on_demand_streams(world: &[Arc<Stream>]) -> u64 {
    world.iter().filter(|s| s.view().record.claims(Mode::OnDemand)).count() as u64
}

/// Whether the account may have one more on-demand stream.
pub(crate) fn check_on_demand_limit(
    limits: &Limits,
    address: &Address,
    world: &[Arc<Stream>],
) -> Result<(), ChangeError> {
    match limits.on_demand_streams.get() {
        Some(limit) if on_demand_streams(world) + 1 > limit => {
            Err(texts::on_demand_stream_limit(&address.account, &address.region, limit).into())
        }
        _ => Ok(()),
    }
}

/// The streams of the world that a stream lives in.
pub(crate) fn world_of<'a>(streams: &'a Streams, address: &Address) -> &'a [Arc<Stream>] {
    streams.of(&address.account, &address.region)
}
