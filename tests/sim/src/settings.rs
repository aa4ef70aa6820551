//! What a client can say of a stream, and the changes it can ask for.

use std::collections::{BTreeMap, BTreeSet};

use millstream_api::kinesis::{
    AddTagsToStreamInput, ConsumerStatus, CreateStreamInput, DecreaseStreamRetentionPeriodInput,
    DeleteResourcePolicyInput, DeleteStreamInput, DeregisterStreamConsumerInput, DescribeStreamSummaryInput,
    GetResourcePolicyInput, IncreaseStreamRetentionPeriodInput, Input, ListShardsInput, ListStreamConsumersInput,
    ListTagsForStreamInput, MergeShardsInput, Output, PutResourcePolicyInput, RegisterStreamConsumerInput,
    RemoveTagsFromStreamInput, ScalingType, Shard, SplitShardInput, StreamDescriptionSummary, StreamMode,
    StreamModeDetails, StreamStatus, UpdateMaxRecordSizeInput, UpdateShardCountInput, UpdateStreamModeInput,
};
use millstream_api::{Error, ErrorCode};

use crate::node::{ACCOUNT, Node, arn};

/// The settings of a stream that is ACTIVE.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// How many shards are open; `None` for any number, as of an on-demand stream.
    pub open: Option<usize>,
    /// Retention.
    pub hours: u32,
    /// Capacity mode.
    pub on_demand: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Names of consumers.
    pub consumers: BTreeSet<String>,
    /// Whether it has the resource policy.
    pub policy: bool,
    /// Largest record, KiB.
    pub record_kib: i32,
}

impl Settings {
    /// Whether a stream that looks like `actual` may be one of these settings.
    #[must_use]
    pub fn allow(&self, actual: &Settings) -> bool {
        let open = if self.open.is_none() { None } else { actual.open };
        *self == Settings { open, ..actual.clone() }
    }
}

/// A change of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates it with so many shards; 0 for on-demand.
    Create(usize),
    /// Deletes it.
    Delete,
    /// Splits the widest open shard.
    Split,
    /// Merges the first two open shards.
    Merge,
    /// Sets the number of shards.
    Scale(usize),
    /// Sets the retention.
    Retain(u32),
    /// Sets the capacity mode.
    Switch(bool),
    /// Adds or changes a tag.
    Tag(String, String),
    /// Removes a tag.
    Untag(String),
    /// Registers a consumer.
    Register(String),
    /// Deregisters a consumer.
    Deregister(String),
    /// Puts or deletes the resource policy.
    Policy(bool),
    /// Sets the largest record, KiB.
    RecordSize(i32),
}

impl Change {
    /// A change that is valid for a stream as it is now.
    #[must_use]
    pub fn draw(now: Option<&Settings>, below: &dyn Fn(u64) -> u64) -> Change {
        let Some(now) = now else { return Change::Create(if below(6) == 0 { 0 } else { 1 + below(3) as usize }) };
        let open = now.open.unwrap_or(0);
        let consumer = format!("c{}", below(2));
        let tag = format!("t{}", below(2));
        match below(16) {
            0 => Change::Delete,
            1..4 if !now.on_demand && open < 6 => Change::Split,
            4..6 if !now.on_demand && open > 1 => Change::Merge,
            6 | 7 if !now.on_demand && open > 0 => {
                Change::Scale([open.div_ceil(2), open + 1, open * 2][below(3) as usize].clamp(1, 6))
            }
            8 | 9 => Change::Retain(if now.hours > 24 { 24 } else { 25 + below(20) as u32 }),
            10 => Change::Switch(!now.on_demand),
            11 if now.tags.contains_key(&tag) => Change::Untag(tag),
            11 => Change::Tag(tag, below(1000).to_string()),
            12 | 13 if now.consumers.contains(&consumer) => Change::Deregister(consumer),
            12 | 13 => Change::Register(consumer),
            14 => Change::Policy(!now.policy),
            _ => Change::RecordSize(1024 + below(1024) as i32),
        }
    }

    /// What becomes of a stream.
    #[must_use]
    pub fn apply(&self, now: Option<&Settings>) -> Option<Settings> {
        let mut to = now.cloned().unwrap_or_default();
        let open = to.open;
        match self {
            Change::Create(0) => {
                return Some(Settings { hours: 24, on_demand: true, record_kib: 1024, ..Settings::default() });
            }
            Change::Create(shards) => {
                return Some(Settings { open: Some(*shards), hours: 24, record_kib: 1024, ..Settings::default() });
            }
            Change::Delete => return None,
            Change::Split => to.open = open.map(|n| n + 1),
            Change::Merge => to.open = open.map(|n| n - 1),
            Change::Scale(target) => to.open = Some(*target),
            Change::Retain(hours) => to.hours = *hours,
            Change::Switch(on_demand) => {
                to.on_demand = *on_demand;
                to.open = None;
            }
            Change::Tag(key, value) => drop(to.tags.insert(key.clone(), value.clone())),
            Change::Untag(key) => drop(to.tags.remove(key)),
            Change::Register(name) => drop(to.consumers.insert(name.clone())),
            Change::Deregister(name) => drop(to.consumers.remove(name)),
            Change::Policy(has) => to.policy = *has,
            Change::RecordSize(kib) => to.record_kib = *kib,
        }
        Some(to)
    }

    /// Asks for it.
    ///
    /// # Errors
    /// The service's.
    pub async fn ask(&self, node: &Node, name: &str) -> Result<(), Error> {
        let stream_name = Some(name.into());
        let stream_arn = arn(name);
        let mode = |on_demand| {
            let stream_mode = if on_demand { StreamMode::OnDemand } else { StreamMode::Provisioned };
            StreamModeDetails { stream_mode, ..Default::default() }
        };
        let done = match self {
            Change::Create(0) => {
                let stream_mode_details = Some(mode(true));
                let create = CreateStreamInput { stream_name: name.into(), stream_mode_details, ..Default::default() };
                node.call(Input::CreateStream(create)).await
            }
            Change::Create(shards) => {
                let shard_count = Some(*shards as i32);
                let create = CreateStreamInput { stream_name: name.into(), shard_count, ..Default::default() };
                node.call(Input::CreateStream(create)).await
            }
            Change::Delete => {
                let enforce_consumer_deletion = Some(true);
                let delete = DeleteStreamInput { stream_name, enforce_consumer_deletion, ..Default::default() };
                node.call(Input::DeleteStream(delete)).await
            }
            Change::Split => {
                let open = open_shards(node, name).await?;
                let Some((start, end, shard)) = open.iter().max_by_key(|(start, end, _)| end - start) else {
                    return Err(Error::bare(ErrorCode::ResourceInUseException));
                };
                let split = SplitShardInput {
                    stream_name,
                    shard_to_split: shard.as_str().into(),
                    new_starting_hash_key: (start + (end - start) / 2 + 1).to_string().into(),
                    ..Default::default()
                };
                node.call(Input::SplitShard(split)).await
            }
            Change::Merge => {
                let open = open_shards(node, name).await?;
                let [(_, _, first), (_, _, second), ..] = open.as_slice() else {
                    return Err(Error::bare(ErrorCode::ResourceInUseException));
                };
                let merge = MergeShardsInput {
                    stream_name,
                    shard_to_merge: first.as_str().into(),
                    adjacent_shard_to_merge: second.as_str().into(),
                    ..Default::default()
                };
                node.call(Input::MergeShards(merge)).await
            }
            Change::Scale(target) => {
                let scale = UpdateShardCountInput {
                    stream_name,
                    target_shard_count: *target as i32,
                    scaling_type: ScalingType::UniformScaling,
                    ..Default::default()
                };
                node.call(Input::UpdateShardCount(scale)).await
            }
            Change::Retain(24) => {
                let retain = DecreaseStreamRetentionPeriodInput {
                    stream_name,
                    retention_period_hours: 24,
                    ..Default::default()
                };
                node.call(Input::DecreaseStreamRetentionPeriod(retain)).await
            }
            Change::Retain(hours) => {
                let retain = IncreaseStreamRetentionPeriodInput {
                    stream_name,
                    retention_period_hours: *hours as i32,
                    ..Default::default()
                };
                node.call(Input::IncreaseStreamRetentionPeriod(retain)).await
            }
            Change::Switch(on_demand) => {
                let switch = UpdateStreamModeInput {
                    stream_arn: stream_arn.into(),
                    stream_mode_details: mode(*on_demand),
                    ..Default::default()
                };
                node.call(Input::UpdateStreamMode(switch)).await
            }
            Change::Tag(key, value) => {
                let tags = BTreeMap::from([(key.as_str().into(), value.as_str().into())]);
                node.call(Input::AddTagsToStream(AddTagsToStreamInput { stream_name, tags, ..Default::default() }))
                    .await
            }
            Change::Untag(key) => {
                let tag_keys = vec![key.as_str().into()];
                let untag = RemoveTagsFromStreamInput { stream_name, tag_keys, ..Default::default() };
                node.call(Input::RemoveTagsFromStream(untag)).await
            }
            Change::Register(consumer) => {
                let register = RegisterStreamConsumerInput {
                    stream_arn: stream_arn.into(),
                    consumer_name: consumer.as_str().into(),
                    ..Default::default()
                };
                node.call(Input::RegisterStreamConsumer(register)).await
            }
            Change::Deregister(consumer) => {
                let deregister = DeregisterStreamConsumerInput {
                    stream_arn: Some(stream_arn.into()),
                    consumer_name: Some(consumer.as_str().into()),
                    ..Default::default()
                };
                node.call(Input::DeregisterStreamConsumer(deregister)).await
            }
            Change::Policy(true) => {
                let put = PutResourcePolicyInput {
                    resource_arn: stream_arn.into(),
                    policy: policy(name).into(),
                    ..Default::default()
                };
                node.call(Input::PutResourcePolicy(put)).await
            }
            Change::Policy(false) => {
                let delete = DeleteResourcePolicyInput { resource_arn: stream_arn.into(), ..Default::default() };
                node.call(Input::DeleteResourcePolicy(delete)).await
            }
            Change::RecordSize(kib) => {
                let update = UpdateMaxRecordSizeInput {
                    stream_arn: Some(stream_arn.into()),
                    max_record_size_in_kib: *kib,
                    ..Default::default()
                };
                node.call(Input::UpdateMaxRecordSize(update)).await
            }
        };
        done.map(drop)
    }
}

fn policy(name: &str) -> String {
    let arn = arn(name);
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{ACCOUNT}"}},"Action":["kinesis:DescribeStreamSummary","kinesis:ListShards","kinesis:PutRecord","kinesis:PutRecords"],"Resource":"{arn}"}}]}}"#
    )
}

/// All shards of a stream, in the order of their ids.
///
/// # Errors
/// The service's.
pub async fn shards(node: &Node, name: &str) -> Result<Vec<Shard>, Error> {
    let list = ListShardsInput { stream_name: Some(name.into()), ..Default::default() };
    match node.call(Input::ListShards(list)).await? {
        Output::ListShards(list) => Ok(list.shards.unwrap_or_default()),
        other => Err(Error::new(ErrorCode::InternalFailure, format!("{other:?}"))),
    }
}

async fn open_shards(node: &Node, name: &str) -> Result<Vec<(u128, u128, String)>, Error> {
    let mut open: Vec<_> = shards(node, name)
        .await?
        .into_iter()
        .filter(|shard| shard.sequence_number_range.ending_sequence_number.is_none())
        .filter_map(|shard| {
            let range = &shard.hash_key_range;
            Some((range.starting_hash_key.parse().ok()?, range.ending_hash_key.parse().ok()?, shard.shard_id))
        })
        .collect();
    open.sort();
    Ok(open)
}

/// The stream's summary; `None` if there is no such stream.
///
/// # Errors
/// The service's.
pub async fn summary(node: &Node, name: &str) -> Result<Option<StreamDescriptionSummary>, Error> {
    let describe = DescribeStreamSummaryInput { stream_name: Some(name.into()), ..Default::default() };
    match node.call(Input::DescribeStreamSummary(describe)).await {
        Ok(Output::DescribeStreamSummary(output)) => Ok(Some(output.stream_description_summary)),
        Ok(other) => Err(Error::new(ErrorCode::InternalFailure, format!("{other:?}"))),
        Err(e) if e.code == ErrorCode::ResourceNotFoundException => Ok(None),
        Err(e) => Err(e),
    }
}

/// How a stream looks now, with its status; `None` if there is no such stream.
///
/// # Errors
/// The service's.
pub async fn observe(node: &Node, name: &str) -> Result<Option<(StreamStatus, Settings)>, Error> {
    let Some(summary) = summary(node, name).await? else { return Ok(None) };
    let mode = summary.stream_mode_details.map(|details| details.stream_mode);
    let tags = ListTagsForStreamInput { stream_name: Some(name.into()), ..Default::default() };
    let consumers = ListStreamConsumersInput { stream_arn: arn(name).into(), ..Default::default() };
    let policy = GetResourcePolicyInput { resource_arn: arn(name).into(), ..Default::default() };
    let mut settings = Settings {
        open: Some(summary.open_shard_count as usize),
        hours: summary.retention_period_hours as u32,
        on_demand: mode == Some(StreamMode::OnDemand),
        record_kib: summary.max_record_size_in_kib.unwrap_or_default(),
        ..Settings::default()
    };
    if summary.stream_status != StreamStatus::Active {
        return Ok(Some((summary.stream_status, settings)));
    }
    if let Output::ListTagsForStream(list) = node.call(Input::ListTagsForStream(tags)).await? {
        settings.tags = list.tags.into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default())).collect();
    }
    if let Output::ListStreamConsumers(list) = node.call(Input::ListStreamConsumers(consumers)).await? {
        let consumers = list.consumers.unwrap_or_default();
        if consumers.iter().any(|c| c.consumer_status != ConsumerStatus::Active) {
            // Not at rest, whatever the stream says of itself.
            return Ok(Some((StreamStatus::Updating, settings)));
        }
        settings.consumers = consumers.into_iter().map(|c| c.consumer_name).collect();
    }
    settings.policy = match node.call(Input::GetResourcePolicy(policy)).await {
        Ok(Output::GetResourcePolicy(output)) => output.policy.contains("Statement"),
        Ok(_) => false,
        Err(e) if e.code == ErrorCode::ResourceNotFoundException => false,
        Err(e) => return Err(e),
    };
    Ok(Some((summary.stream_status, settings)))
}
