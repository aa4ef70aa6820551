//! SplitShard, MergeShards, UpdateShardCount: each makes a reshard plan.

use std::sync::Arc;

use millstream_api::kinesis::{
    MergeShardsInput, Operation, SplitShardInput, UpdateShardCountInput, UpdateShardCountOutput,
};
use millstream_api::{Context, Error};

use crate::change::ChangeError;
use crate::describe::to_i32;
use crate::hash::{HashRange, parse_hash_key};
use crate::plans::{Plan, Reshard, Work};
use crate::resolve::Address;
use crate::scaling::{self, Planned, Step};
use crate::service::Kinesis;
use crate::state::{Mode, ShardIndex, ShardRecord, Status, StreamRecord, parse_shard_id, shard_id};
use crate::streams::{check_shard_limit, provisioned_shards, world_of};
use crate::texts;

impl Kinesis {
    pub(crate) async fn split_shard(&self, context: &Context, input: SplitShardInput<'_>) -> Result<(), Error> {
        let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let address = self.address(context, Operation::SplitShard, name, arn)?;
        let index = shard_named(&input.shard_to_split, &address)?;
        let stream = self.find(&address)?;
        let starting_key = input.new_starting_hash_key.into_owned();
        let (limits, due_ms, horizon) =
            (Arc::clone(&self.limits.all), self.plan_due_from_now(), self.horizon_of(&stream));
        let planned = self.change(&stream, move |record, streams| {
            check_provisioned(record, &address)?;
            let shard = open_shard(record, index, horizon, &address)?;
            check_shard_limit(&limits, &address, world_of(streams, &address), 1)?;
            let HashRange { start, end } = shard.range;
            let at = parse_hash_key(&starting_key).filter(|at| shard.range.allows_split_at(*at)).ok_or_else(|| {
                texts::split_out_of_range(&starting_key, index, &address.name, &address.account, start, end)
            })?;
            let [lower, upper] = new_indexes(record, &address)?;
            let children = [
                Planned { index: lower, range: HashRange { start, end: at - 1 } },
                Planned { index: upper, range: HashRange { start: at, end } },
            ];
            plan_reshard(record, &[Step::Split { parent: index, children }], due_ms);
            Ok(())
        });
        planned.await?;
        self.planned(&stream).await;
        Ok(())
    }

    pub(crate) async fn merge_shards(&self, context: &Context, input: MergeShardsInput<'_>) -> Result<(), Error> {
        let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let address = self.address(context, Operation::MergeShards, name, arn)?;
        let lower = shard_named(&input.shard_to_merge, &address)?;
        let upper = shard_named(&input.adjacent_shard_to_merge, &address)?;
        let stream = self.find(&address)?;
        let (due_ms, horizon) = (self.plan_due_from_now(), self.horizon_of(&stream));
        let planned = self.change(&stream, move |record, _| {
            check_provisioned(record, &address)?;
            let first = open_shard(record, lower, horizon, &address)?.range;
            let second = open_shard(record, upper, horizon, &address)?.range;
            if !first.is_followed_by(&second) {
                return Err(texts::shards_not_adjacent(lower, upper, &address.name, &address.account).into());
            }
            let [index, _] = new_indexes(record, &address)?;
            let child = Planned { index, range: HashRange { start: first.start, end: second.end } };
            plan_reshard(record, &[Step::Merge { parents: [lower, upper], child }], due_ms);
            Ok(())
        });
        planned.await?;
        self.planned(&stream).await;
        Ok(())
    }

    pub(crate) async fn update_shard_count(
        &self,
        context: &Context,
        input: UpdateShardCountInput<'_>,
    ) -> Result<UpdateShardCountOutput, Error> {
        let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let stream = self.resolve(context, Operation::UpdateShardCount, name, arn)?;
        let target = u32::try_from(input.target_shard_count).unwrap_or(1).max(1);
        let (now, due_ms) = (self.now(), self.plan_due_from_now());
        let (limits, quotas, address) =
            (Arc::clone(&stream.limits), Arc::clone(&self.limits.all), stream.address.clone());
        let planned = self.change(&stream, move |record, streams| {
            check_provisioned(record, &address)?;
            if !limits.update_shard_count_per_day.admit_today(&mut record.scaling_calls, now) {
                let limit = limits.update_shard_count_per_day;
                return Err(texts::shard_count_updates_per_day(&address.name, &address.account, limit).into());
            }
            let open = record.open_count() as u64;
            let wanted = u64::from(target);
            if let Some(factor) = limits.update_shard_count_factor.get() {
                if wanted > open.saturating_mul(factor) {
                    return Err(texts::shard_count_above_double(open, wanted).into());
                }
                if wanted.saturating_mul(factor) < open {
                    return Err(texts::shard_count_below_half(open, wanted).into());
                }
            }
            let elsewhere = provisioned_shards(world_of(streams, &address)).saturating_sub(open);
            let above = |limit| Err(texts::shard_count_above_limit(limit, open, wanted).into());
            if let Some(quota) = quotas.shards(&address.region).get()
                && wanted > open
                && elsewhere + wanted > quota
            {
                return above(quota);
            }
            // A larger stream may shrink only to less than that.
            if let Some(most) = limits.update_shard_count_shards.get()
                && (wanted > most || (open > most && wanted >= most))
            {
                return above(most);
            }
            let shards: Vec<(ShardIndex, HashRange)> = record.open_shards().map(|s| (s.index, s.range)).collect();
            let steps = scaling::plan(&shards, target, record.next_index)
                .ok_or_else(|| texts::shard_count_above_limit(i32::MAX as u64, open, wanted))?;
            if !steps.is_empty() {
                plan_reshard(record, &steps, due_ms);
            }
            Ok(open)
        });
        let open = planned.await?;
        self.planned(&stream).await;
        Ok(UpdateShardCountOutput {
            stream_name: Some(stream.address.name.to_string()),
            current_shard_count: Some(to_i32(open)),
            target_shard_count: Some(input.target_shard_count),
            stream_arn: Some(stream.address.arn()),
        })
    }

    /// [`Kinesis::horizon`] of a stream as it is now.
    pub(crate) fn horizon_of(&self, stream: &Arc<crate::stream::Stream>) -> u64 {
        self.horizon(&stream.view().record)
    }
}

/// The index that a shard id in a request stands for.
pub(crate) fn shard_named(id: &str, address: &Address) -> Result<ShardIndex, Error> {
    parse_shard_id(id).ok_or_else(|| texts::could_not_find_shard(id, &address.name, &address.account))
}

/// Refuses a change of a stream that is not ACTIVE.
pub(crate) fn check_active(record: &StreamRecord, address: &Address) -> Result<(), ChangeError> {
    match record.status {
        Status::Active => Ok(()),
        status => Err(texts::stream_not_active(&address.name, &address.account, status.as_str()).into()),
    }
}

fn check_provisioned(record: &StreamRecord, address: &Address) -> Result<(), ChangeError> {
    check_active(record, address)?;
    match record.mode {
        Mode::Provisioned => Ok(()),
        Mode::OnDemand => Err(texts::on_demand_mode(&address.name, &address.account).into()),
    }
}

fn open_shard<'a>(
    record: &'a StreamRecord,
    index: ShardIndex,
    horizon: u64,
    address: &Address,
) -> Result<&'a ShardRecord, ChangeError> {
    match record.shard(index) {
        Some(shard) if shard.is_open() => Ok(shard),
        Some(shard) if !shard.expired(horizon) => {
            Err(texts::shard_already_resharded(index, &address.name, &address.account).into())
        }
        _ => Err(texts::could_not_find_shard(&shard_id(index), &address.name, &address.account).into()),
    }
}

/// The next two shard numbers.
fn new_indexes(record: &StreamRecord, address: &Address) -> Result<[ShardIndex; 2], ChangeError> {
    let most = i32::MAX as u32;
    match record.next_index {
        next if next < most => Ok([next, next + 1]),
        _ => Err(texts::shard_limit(&address.account, &address.region, u64::from(most), u64::from(most), 1).into()),
    }
}

/// Gives the stream the plan that does `steps`.
pub(crate) fn plan_reshard(record: &mut StreamRecord, steps: &[Step], due_ms: u64) {
    record.plan = Some(Plan { due_ms, work: Work::Reshard(Reshard::from_steps(steps)) });
    record.status = Status::Updating;
}
