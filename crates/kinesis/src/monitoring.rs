//! EnableEnhancedMonitoring and DisableEnhancedMonitoring.

use std::collections::BTreeSet;

use millstream_api::kinesis::{
    DisableEnhancedMonitoringInput, EnableEnhancedMonitoringInput, EnhancedMonitoringOutput, MetricsName, Operation,
};
use millstream_api::{Context, Error};

use crate::describe::metric_shape;
use crate::plans::{Plan, Setting, Work};
use crate::service::Kinesis;
use crate::shards::check_active;
use crate::state::{Metric, Status};

impl Kinesis {
    pub(crate) async fn enable_enhanced_monitoring(
        &self,
        context: &Context,
        input: EnableEnhancedMonitoringInput<'_>,
    ) -> Result<EnhancedMonitoringOutput, Error> {
        let names = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let named = metrics(&input.shard_level_metrics);
        self.set_monitoring(context, Operation::EnableEnhancedMonitoring, names, move |on| on | &named).await
    }

    pub(crate) async fn disable_enhanced_monitoring(
        &self,
        context: &Context,
        input: DisableEnhancedMonitoringInput<'_>,
    ) -> Result<EnhancedMonitoringOutput, Error> {
        let names = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        let named = metrics(&input.shard_level_metrics);
        self.set_monitoring(context, Operation::DisableEnhancedMonitoring, names, move |on| on - &named).await
    }

    async fn set_monitoring(
        &self,
        context: &Context,
        operation: Operation,
        (name, arn): (Option<&str>, Option<&str>),
        desire: impl FnOnce(&BTreeSet<Metric>) -> BTreeSet<Metric> + Send + 'static,
    ) -> Result<EnhancedMonitoringOutput, Error> {
        let stream = self.resolve(context, operation, name, arn)?;
        let address = stream.address.clone();
        let due_ms = self.plan_due_from_now();
        let planned = self.change(&stream, move |record, _| {
            check_active(record, &address)?;
            let current = record.monitoring.clone();
            let desired = desire(&current);
            if desired != current {
                record.plan = Some(Plan { due_ms, work: Work::Settings(Setting::Monitoring(desired.clone())) });
                record.status = Status::Updating;
            }
            Ok((current, desired))
        });
        let (current, desired) = planned.await?;
        self.planned(&stream).await;
        Ok(EnhancedMonitoringOutput {
            stream_name: Some(stream.address.name.to_string()),
            current_shard_level_metrics: Some(current.into_iter().map(metric_shape).collect()),
            desired_shard_level_metrics: Some(desired.into_iter().map(metric_shape).collect()),
            stream_arn: Some(stream.address.arn()),
        })
    }
}

/// The metrics that a request names; `ALL` names every one.
fn metrics(names: &[MetricsName]) -> BTreeSet<Metric> {
    Metric::ALL
        .into_iter()
        .filter(|metric| names.iter().any(|name| *name == MetricsName::All || *name == metric_shape(*metric)))
        .collect()
}
