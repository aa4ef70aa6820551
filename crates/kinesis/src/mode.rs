//! UpdateStreamMode.

use std::sync::Arc;

use millstream_api::kinesis::{Operation, StreamMode, UpdateStreamModeInput};
use millstream_api::{Context, Error};

use crate::plans::{Plan, Setting, Work};
use crate::service::Kinesis;
use crate::shards::check_active;
use crate::state::{Mode, Status};
use crate::streams::{check_on_demand_limit, check_shard_limit, world_of};
use crate::texts;
use crate::warm_throughput::plan_warm;

impl Kinesis {
    pub(crate) async fn update_stream_mode(
        &self,
        context: &Context,
        input: UpdateStreamModeInput<'_>,
    ) -> Result<(), Error> {
        let stream = self.resolve(context, Operation::UpdateStreamMode, None, Some(&input.stream_arn))?;
        let mode = match input.stream_mode_details.stream_mode {
            StreamMode::OnDemand => Mode::OnDemand,
            _ => Mode::Provisioned,
        };
        let warm = self.requested_warm(&stream.limits, &stream.address, mode, input.warm_throughput_mibps)?;
        let (limits, quotas, address) =
            (Arc::clone(&stream.limits), Arc::clone(&self.limits.all), stream.address.clone());
        let (now, due_ms) = (self.now(), self.plan_due_from_now());
        let fewest = self.shards_in_need(&stream, &stream.view().record);
        let planned = self.change(&stream, move |record, streams| {
            check_active(record, &address)?;
            if record.mode == mode {
                // Nothing to switch; warm throughput is then as good as asked for by itself.
                return warm.map_or(Ok(()), |mibps| plan_warm(record, mibps, fewest, due_ms));
            }
            if !limits.stream_mode_changes_per_day.admit_today(&mut record.mode_switches, now) {
                return Err(texts::stream_rate_exceeded(&address.name, &address.account).into());
            }
            let world = world_of(streams, &address);
            match mode {
                Mode::OnDemand => check_on_demand_limit(&quotas, &address, world)?,
                Mode::Provisioned => check_shard_limit(&quotas, &address, world, record.open_count() as u64)?,
            }
            record.warm_throughput_mibps = warm;
            record.plan = Some(Plan { due_ms, work: Work::Settings(Setting::Mode(mode)) });
            record.status = Status::Updating;
            Ok(())
        });
        planned.await?;
        self.planned(&stream).await;
        Ok(())
    }
}
