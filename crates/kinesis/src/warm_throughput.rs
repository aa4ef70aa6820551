//! UpdateStreamWarmThroughput, and what warm throughput means elsewhere: an on-demand stream is kept at one open shard
//! at least for each MiB/s, as long as the account has a billing commitment.

use std::sync::Arc;

use millstream_api::kinesis::{
    Operation, UpdateStreamWarmThroughputInput, UpdateStreamWarmThroughputOutput, WarmThroughputObject,
};
use millstream_api::{Context, Error};

use crate::change::ChangeError;
use crate::describe::to_i32;
use crate::hash::HashRange;
use crate::limits::Limits;
use crate::plans::{Plan, Setting, Work};
use crate::resolve::Address;
use crate::scaling::{self, Step};
use crate::service::Kinesis;
use crate::shards::{check_active, plan_reshard};
use crate::state::{Mode, ShardIndex, Status, StreamRecord};
use crate::texts;

impl Kinesis {
    pub(crate) async fn update_stream_warm_throughput(
        &self,
        context: &Context,
        input: UpdateStreamWarmThroughputInput<'_>,
    ) -> Result<UpdateStreamWarmThroughputOutput, Error> {
        let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let stream = self.resolve(context, Operation::UpdateStreamWarmThroughput, name, arn)?;
        let (limits, address, due_ms) = (Arc::clone(&stream.limits), stream.address.clone(), self.plan_due_from_now());
        let is_committed = self.commitment_enabled(&address.account, &address.region);
        let fewest = self.shards_in_need(&stream, &stream.view().record);
        let mibps = input.warm_throughput_mibps;
        let planned = self.change(&stream, move |record, _| {
            check_active(record, &address)?;
            let mibps = check_warm(&limits, &address, record.mode, is_committed, mibps)?;
            let open = record.open_count();
            plan_warm(record, mibps, fewest, due_ms)?;
            Ok(WarmThroughputObject { target_mibps: Some(to_i32(mibps)), current_mibps: Some(to_i32(open)) })
        });
        let warm_throughput = planned.await?;
        self.planned(&stream).await;
        Ok(UpdateStreamWarmThroughputOutput {
            stream_arn: Some(stream.address.arn()),
            stream_name: Some(stream.address.name.to_string()),
            warm_throughput: Some(warm_throughput),
        })
    }

    /// The warm throughput that a CreateStream or UpdateStreamMode asks for, MiB/s.
    pub(crate) fn requested_warm(
        &self,
        limits: &Limits,
        address: &Address,
        mode: Mode,
        mibps: Option<i32>,
    ) -> Result<Option<u32>, Error> {
        let Some(mibps) = mibps else { return Ok(None) };
        let is_committed = self.commitment_enabled(&address.account, &address.region);
        check_warm(limits, address, mode, is_committed, mibps).map(Some)
    }

    /// The warm throughput that is in force on a stream, MiB/s: it has at least as many open shards, and the service
    /// never merges below that. `None` if none was set, on a provisioned stream, and without a commitment.
    pub(crate) fn warm_throughput(&self, record: &StreamRecord) -> Option<u32> {
        let is_in_force = record.mode == Mode::OnDemand && self.commitment_enabled(&record.account, &record.region);
        record.warm_throughput_mibps.filter(|_| is_in_force)
    }

    /// Warm throughput as DescribeStreamSummary shows it: of every on-demand stream of an account with a commitment.
    pub(crate) fn warm_throughput_shape(&self, record: &StreamRecord, open: usize) -> Option<WarmThroughputObject> {
        if record.mode != Mode::OnDemand || !self.commitment_enabled(&record.account, &record.region) {
            return None;
        }
        let target = self.warm_throughput(record).map_or_else(|| to_i32(open), to_i32);
        Some(WarmThroughputObject { target_mibps: Some(target), current_mibps: Some(to_i32(open)) })
    }
}

fn check_warm(limits: &Limits, address: &Address, mode: Mode, is_committed: bool, mibps: i32) -> Result<u32, Error> {
    if mode == Mode::Provisioned {
        return Err(texts::warm_throughput_needs_on_demand(&address.name, &address.account));
    }
    if !is_committed {
        return Err(texts::warm_throughput_needs_commitment(&address.account));
    }
    // The model's lower bound has been checked.
    let mibps = u32::try_from(mibps).unwrap_or(0);
    let most = limits.warm_throughput(&address.region);
    if u64::from(mibps) <= most { Ok(mibps) } else { Err(texts::warm_throughput_above_limit(mibps, most)) }
}

/// Sets the warm throughput and plans the way there: more shards if there are too few; if there are more, fewer, down to
/// the `fewest` that the stream needs anyway: asking for the same or less gives up what is not needed.
pub(crate) fn plan_warm(record: &mut StreamRecord, mibps: u32, fewest: u32, due_ms: u64) -> Result<(), ChangeError> {
    let open = u32::try_from(record.open_count()).unwrap_or(u32::MAX);
    let steps = steps_to(record, mibps.max(fewest.min(open)))
        .ok_or_else(|| texts::shard_count_above_limit(i32::MAX, open, mibps))?;
    record.warm_throughput_mibps = Some(mibps);
    if steps.is_empty() {
        record.plan = Some(Plan { due_ms, work: Work::Settings(Setting::WarmThroughput(mibps)) });
        record.status = Status::Updating;
    } else {
        plan_reshard(record, &steps, due_ms);
    }
    Ok(())
}

/// Plans the shards that the warm throughput takes and that are not there yet, if any.
pub(crate) fn plan_missing_shards(record: &mut StreamRecord, due_ms: u64) {
    let wanted = record.warm_throughput_mibps.unwrap_or(0);
    if (record.open_count() as u64) < u64::from(wanted)
        && let Some(steps) = steps_to(record, wanted)
    {
        plan_reshard(record, &steps, due_ms);
    }
}

fn steps_to(record: &StreamRecord, shards: u32) -> Option<Vec<Step>> {
    let open: Vec<(ShardIndex, HashRange)> = record.open_shards().map(|s| (s.index, s.range)).collect();
    match (open.len() as u64).cmp(&u64::from(shards)) {
        std::cmp::Ordering::Less => scaling::grow(&open, shards, record.next_index),
        std::cmp::Ordering::Equal => Some(Vec::new()),
        std::cmp::Ordering::Greater => scaling::plan(&open, shards, record.next_index),
    }
}
