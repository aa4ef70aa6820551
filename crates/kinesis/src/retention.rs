//! IncreaseStreamRetentionPeriod and DecreaseStreamRetentionPeriod.

use millstream_api::kinesis::{DecreaseStreamRetentionPeriodInput, IncreaseStreamRetentionPeriodInput, Operation};
use millstream_api::{Context, Error};

use crate::plans::{Plan, Setting, Work};
use crate::service::Kinesis;
use crate::shards::check_active;
use crate::state::Status;
use crate::texts;

/// Shortest retention, hours.
const SHORTEST: i32 = 24;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Increase,
    Decrease,
}

impl Kinesis {
    pub(crate) async fn increase_stream_retention_period(
        &self,
        context: &Context,
        input: IncreaseStreamRetentionPeriodInput<'_>,
    ) -> Result<(), Error> {
        let names = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        self.set_retention(context, names, input.retention_period_hours, Direction::Increase).await
    }

    pub(crate) async fn decrease_stream_retention_period(
        &self,
        context: &Context,
        input: DecreaseStreamRetentionPeriodInput<'_>,
    ) -> Result<(), Error> {
        let names = (input.stream_name.as_deref(), input.stream_arn.as_deref());
        self.set_retention(context, names, input.retention_period_hours, Direction::Decrease).await
    }

    async fn set_retention(
        &self,
        context: &Context,
        (name, arn): (Option<&str>, Option<&str>),
        hours: i32,
        direction: Direction,
    ) -> Result<(), Error> {
        let operation = match direction {
            Direction::Increase => Operation::IncreaseStreamRetentionPeriod,
            Direction::Decrease => Operation::DecreaseStreamRetentionPeriod,
        };
        let stream = self.resolve(context, operation, name, arn)?;
        let longest = stream.limits.retention_hours;
        let address = stream.address.clone();
        let due_ms = self.plan_due_from_now();
        let horizon = self.horizon(&stream.view().record);
        let planned = self.change(&stream, move |record, _| {
            check_active(record, &address)?;
            let wanted = u32::try_from(hours).unwrap_or(1);
            if hours < SHORTEST {
                return Err(texts::retention_too_short(hours).into());
            }
            if let Some(longest) = longest.get().filter(|longest| u64::from(wanted) > *longest) {
                return Err(texts::retention_too_long(hours, longest).into());
            }
            match direction {
                Direction::Increase if wanted < record.retention_hours => {
                    return Err(texts::retention_not_higher(&address.name, hours, record.retention_hours).into());
                }
                Direction::Decrease if wanted > record.retention_hours => {
                    return Err(texts::retention_not_lower(&address.name, hours, record.retention_hours).into());
                }
                _ => {}
            }
            if wanted == record.retention_hours {
                return Ok(());
            }
            // In force from now on, not only when the plan ends: what is older is out of reach, and what was promised a
            // longer life must not expire while the server is down. What has expired by now stays expired.
            record.floor_ms = record.floor_ms.max(horizon);
            record.retention_hours = wanted;
            record.plan = Some(Plan { due_ms, work: Work::Settings(Setting::Retention(wanted)) });
            record.status = Status::Updating;
            Ok(())
        });
        planned.await?;
        self.planned(&stream).await;
        Ok(())
    }
}
