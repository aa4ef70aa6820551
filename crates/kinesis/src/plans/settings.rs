//! Changes of one setting, which take the transition delay: retention, enhanced monitoring, capacity mode, record size,
//! warm throughput.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Work;
use super::drive::PlanError;
use crate::service::Kinesis;
use crate::state::{Distribution, Metric, Mode, Status};
use crate::stream::Stream;
use crate::warm_throughput::plan_missing_shards;

/// A setting to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// Retention in hours, in force from the request on.
    Retention(u32),
    /// The shard-level metrics that are switched on.
    Monitoring(BTreeSet<Metric>),
    /// The capacity mode.
    Mode(Mode),
    /// The largest record, KiB.
    MaxRecordSize(u32),
    /// The warm throughput, MiB/s, of a stream that has the shards for it.
    WarmThroughput(u32),
}

impl Kinesis {
    pub(super) async fn finish_setting(&self, stream: &Arc<Stream>, setting: &Setting) -> Result<(), PlanError> {
        let horizon = self.horizon(&stream.view().record);
        if let Setting::Retention(_) = setting {
            // What has expired stays expired: the log's floor says so from now on as well, and its shards go with it.
            let log = stream.log().ok_or(PlanError::NoLog)?;
            log.trim(horizon, self.log.epoch()).await?;
        }
        let setting = setting.clone();
        let changed = self.change(stream, move |record, _| {
            let Some(due_ms) =
                record.plan.as_ref().filter(|p| p.work == Work::Settings(setting.clone())).map(|p| p.due_ms)
            else {
                return Ok(());
            };
            record.status = Status::Active;
            record.plan = None;
            match setting {
                Setting::Retention(_) => record.drop_expired(horizon),
                Setting::Monitoring(metrics) => record.monitoring = metrics,
                Setting::Mode(Mode::OnDemand) => {
                    record.mode = Mode::OnDemand;
                    plan_missing_shards(record, due_ms);
                }
                Setting::Mode(Mode::Provisioned) => {
                    record.mode = Mode::Provisioned;
                    // Only on-demand streams have these.
                    record.distribution = Distribution::default();
                    record.warm_throughput_mibps = None;
                }
                Setting::MaxRecordSize(kib) => record.max_record_kib = kib,
                Setting::WarmThroughput(mibps) => record.warm_throughput_mibps = Some(mibps),
            }
            Ok(())
        });
        Ok(changed.await?)
    }
}
