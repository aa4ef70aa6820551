//! The service on a simulated machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::{CreateStreamInput, Input, Service};
use millstream_api::{Context, HangUp, RequestId};
use millstream_catalog::Catalog;
use millstream_env::Disk;
use millstream_env::sim::SimEnv;
use millstream_kinesis::{AllowAll, Hooks, Kinesis, KinesisConfig, Limits, NoMeter, OpenError};
use millstream_log::Log;

/// The catalog's file.
pub(super) const CATALOG: &str = "/data/catalog.redb";

/// A machine with an empty directory for data.
pub(super) fn machine(seed: u64) -> SimEnv {
    let machine = SimEnv::new(seed);
    machine.disk.create_dir_all(Path::new("/data")).expect("memory");
    machine.disk.sync_dir(Path::new("/")).expect("memory");
    machine
}

/// Starts the service over what is on the machine's disk, without limits of pace. Changes are done when they are answered.
pub(super) fn start(machine: &SimEnv, log: Arc<dyn Log>) -> Result<Arc<Kinesis>, OpenError> {
    let config = KinesisConfig {
        limits: Limits { call_rates: false, ..Limits::aws() },
        transition_delay: Duration::ZERO,
        virtual_clock: true,
        ..KinesisConfig::new(PathBuf::from("/data/keys"))
    };
    let catalog = Catalog::open(&machine.env(), Path::new(CATALOG))?;
    let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(NoMeter) };
    Kinesis::open(machine.env(), log, catalog, config, hooks)
}

pub(super) fn context(account: &str, region: &str) -> Context {
    Context {
        account: account.into(),
        region: region.into(),
        access_key: "k".into(),
        request_id: RequestId::default(),
        hang_up: HangUp::default(),
    }
}

/// Makes a stream of two shards.
pub(super) fn create(machine: &SimEnv, kinesis: &Arc<Kinesis>, name: &str) {
    let input = CreateStreamInput { stream_name: name.into(), shard_count: Some(2), ..CreateStreamInput::default() };
    let context = context("000000000000", "us-east-1");
    let created = machine.block_on(kinesis.call(&context, Input::CreateStream(input)));
    created.expect("no wake-up is lost").expect("is created");
    machine.settle();
}
