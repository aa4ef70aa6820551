//! The service through its front door, over a log in memory or the segment engine on a simulated disk.

mod account_settings;
mod clock;
mod consumers;
mod crashes;
mod distribution;
mod driver;
mod fixtures;
mod limits;
mod listing;
mod on_demand;
mod pace;
mod plans;
mod reset;
mod resources;
mod settings;
mod shards;
mod snapshot;
mod snapshot_crashes;
mod streams;
mod tags;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::*;
use millstream_api::{Context, Error, ErrorCode, HangUp, RequestId};
use millstream_catalog::Catalog;
use millstream_env::sim::{Crash, SimEnv};
use millstream_log::Log;
use millstream_log::memory::MemoryLog;
use millstream_log::segment::{SegmentConfig, SegmentEngine};

use crate::{AllowAll, Hooks, Kinesis, KinesisConfig, Limits, NoMeter};

/// A machine with the service on it.
pub(crate) struct World {
    pub(crate) machine: SimEnv,
    pub(crate) kinesis: Arc<Kinesis>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) context: Context,
    config: KinesisConfig,
}

pub(crate) fn config() -> KinesisConfig {
    KinesisConfig {
        limits: Limits { call_rates: false, ..Limits::aws() },
        ..KinesisConfig::new(PathBuf::from("/data/tokens"))
    }
}

/// The same without a transition delay.
pub(crate) fn at_once() -> KinesisConfig {
    KinesisConfig { transition_delay: Duration::ZERO, ..config() }
}

pub(crate) fn context(account: &str, region: &str) -> Context {
    Context {
        account: account.into(),
        region: region.into(),
        access_key: "k".into(),
        request_id: RequestId::default(),
        hang_up: HangUp::default(),
    }
}

fn machine(seed: u64) -> SimEnv {
    let machine = SimEnv::new(seed);
    machine.env().disk.create_dir_all(Path::new("/data")).expect("a directory");
    machine.env().disk.sync_dir(Path::new("/")).expect("a sync");
    machine
}

fn start(machine: &SimEnv, log: &Arc<dyn Log>, config: &KinesisConfig) -> Option<Arc<Kinesis>> {
    // Beside the keys: a restored service has its files elsewhere.
    let catalog = Catalog::open(&machine.env(), &config.token_keys.with_file_name("catalog")).ok()?;
    let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(NoMeter) };
    Kinesis::open(machine.env(), Arc::clone(log), catalog, config.clone(), hooks).ok()
}

impl World {
    /// Over a log in memory.
    pub(crate) fn new(config: KinesisConfig) -> World {
        let machine = machine(1);
        let log: Arc<dyn Log> = MemoryLog::new(machine.env());
        let kinesis = start(&machine, &log, &config).expect("starts");
        World { machine, kinesis, log, context: context("000000000000", "eu-central-1"), config }
    }

    /// Over the segment engine; `None` if the machine crashed on the way.
    pub(crate) fn on_disk(machine: SimEnv, config: KinesisConfig) -> Result<World, SimEnv> {
        World::on_segments(machine, config, SegmentConfig::new(PathBuf::from("/data/log")))
    }

    /// The same over another directory's files, with segments as they are given.
    pub(crate) fn on_segments(
        machine: SimEnv,
        config: KinesisConfig,
        segments: SegmentConfig,
    ) -> Result<World, SimEnv> {
        let Ok(log) = SegmentEngine::open(machine.env(), segments) else { return Err(machine) };
        let log: Arc<dyn Log> = log;
        let Some(kinesis) = start(&machine, &log, &config) else { return Err(machine) };
        Ok(World { machine, kinesis, log, context: context("000000000000", "eu-central-1"), config })
    }

    /// Starts the service anew over the same log, as after a clean stop.
    pub(crate) fn reopen(self) -> World {
        let World { machine, kinesis, log, context, config } = self;
        drop(kinesis);
        let kinesis = start(&machine, &log, &config).expect("starts");
        World { machine, kinesis, log, context, config }
    }

    /// Ends the process and starts the machine anew, without the service.
    pub(crate) fn crash(self, how: Crash) -> SimEnv {
        let World { machine, kinesis, log, .. } = self;
        drop((kinesis, log));
        machine.restart(how)
    }

    /// One call; `None` if the machine crashed before the answer.
    pub(crate) fn try_call(&self, input: Input<'_>) -> Option<Result<Output, Error>> {
        self.machine.block_on(self.kinesis.call(&self.context, input))
    }

    pub(crate) fn call(&self, input: Input<'_>) -> Result<Output, Error> {
        self.try_call(input).expect("an answer")
    }

    #[track_caller]
    pub(crate) fn error(&self, input: Input<'_>) -> Error {
        self.call(input).expect_err("a refusal")
    }

    #[track_caller]
    pub(crate) fn refused(&self, input: Input<'_>, code: ErrorCode, message: &str) {
        let error = self.error(input);
        assert_eq!((error.code, error.message.as_deref()), (code, Some(message)));
    }

    /// Lets `ms` pass and does what is due then.
    pub(crate) fn pass(&self, ms: u64) {
        self.machine.clock.advance(ms);
        self.tick();
    }

    pub(crate) fn tick(&self) {
        self.kinesis.tick_log();
        self.machine.block_on(self.kinesis.tick());
    }

    pub(crate) fn create(&self, name: &str, shards: i32) {
        self.call(create(name, shards)).expect("created");
    }

    pub(crate) fn describe(&self, name: &str) -> StreamDescription {
        match self.call(describe(name)) {
            Ok(Output::DescribeStream(output)) => output.stream_description,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn summary(&self, name: &str) -> StreamDescriptionSummary {
        let input = DescribeStreamSummaryInput { stream_name: Some(name.into()), ..Default::default() };
        match self.call(Input::DescribeStreamSummary(input)) {
            Ok(Output::DescribeStreamSummary(output)) => output.stream_description_summary,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn create(name: &str, shards: i32) -> Input<'_> {
    Input::CreateStream(CreateStreamInput { stream_name: name.into(), shard_count: Some(shards), ..Default::default() })
}

pub(crate) fn create_on_demand(name: &str) -> Input<'_> {
    let stream_mode_details = Some(StreamModeDetails { stream_mode: StreamMode::OnDemand, ..Default::default() });
    Input::CreateStream(CreateStreamInput { stream_name: name.into(), stream_mode_details, ..Default::default() })
}

pub(crate) fn describe(name: &str) -> Input<'_> {
    Input::DescribeStream(DescribeStreamInput { stream_name: Some(name.into()), ..Default::default() })
}

pub(crate) fn delete(name: &str) -> Input<'_> {
    Input::DeleteStream(DeleteStreamInput { stream_name: Some(name.into()), ..Default::default() })
}

pub(crate) fn delete_with_consumers(name: &str) -> Input<'_> {
    Input::DeleteStream(DeleteStreamInput {
        stream_name: Some(name.into()),
        enforce_consumer_deletion: Some(true),
        ..Default::default()
    })
}

pub(crate) fn split<'a>(name: &'a str, shard: &'a str, at: &'a str) -> Input<'a> {
    Input::SplitShard(SplitShardInput {
        stream_name: Some(name.into()),
        shard_to_split: shard.into(),
        new_starting_hash_key: at.into(),
        ..Default::default()
    })
}

pub(crate) fn merge<'a>(name: &'a str, lower: &'a str, upper: &'a str) -> Input<'a> {
    Input::MergeShards(MergeShardsInput {
        stream_name: Some(name.into()),
        shard_to_merge: lower.into(),
        adjacent_shard_to_merge: upper.into(),
        ..Default::default()
    })
}

pub(crate) fn scale(name: &str, target: i32) -> Input<'_> {
    Input::UpdateShardCount(UpdateShardCountInput {
        stream_name: Some(name.into()),
        target_shard_count: target,
        scaling_type: ScalingType::UniformScaling,
        ..Default::default()
    })
}

pub(crate) fn retain_longer(name: &str, hours: i32) -> Input<'_> {
    Input::IncreaseStreamRetentionPeriod(IncreaseStreamRetentionPeriodInput {
        stream_name: Some(name.into()),
        retention_period_hours: hours,
        ..Default::default()
    })
}

pub(crate) fn retain_shorter(name: &str, hours: i32) -> Input<'_> {
    Input::DecreaseStreamRetentionPeriod(DecreaseStreamRetentionPeriodInput {
        stream_name: Some(name.into()),
        retention_period_hours: hours,
        ..Default::default()
    })
}

pub(crate) fn switch(name: &str, mode: StreamMode) -> Input<'static> {
    Input::UpdateStreamMode(UpdateStreamModeInput {
        stream_arn: format!("arn:aws:kinesis:eu-central-1:000000000000:stream/{name}").into(),
        stream_mode_details: StreamModeDetails { stream_mode: mode, ..Default::default() },
        ..Default::default()
    })
}

pub(crate) fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:eu-central-1:000000000000:stream/{stream}")
}

pub(crate) fn register<'a>(stream: &str, name: &'a str) -> Input<'a> {
    Input::RegisterStreamConsumer(RegisterStreamConsumerInput {
        stream_arn: arn(stream).into(),
        consumer_name: name.into(),
        ..Default::default()
    })
}

pub(crate) const HALF: &str = "170141183460469231731687303715884105728";
