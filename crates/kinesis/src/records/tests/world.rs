//! The service on a simulated machine, over the log in memory: jobs run one at a time, in an order drawn from the seed.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::{
    CreateStreamInput, DeleteStreamInput, GetRecordsInput, GetRecordsOutput, GetShardIteratorInput, PutRecordInput,
    PutRecordOutput, PutRecordsInput, PutRecordsOutput, PutRecordsRequestEntry, ShardIteratorType, SplitShardInput,
};
use millstream_api::{Blob, Context, Error, ErrorCode, HangUp, RequestId};
use millstream_catalog::Catalog;
use millstream_env::Disk as _;
use millstream_env::sim::{Crash, SimEnv};
use millstream_log::Log;
use millstream_log::memory::MemoryLog;
use millstream_log::segment::{SegmentConfig, SegmentEngine};

use crate::hooks::{AllowAll, Hooks, NoMeter};
use crate::limits::Limits;
use crate::service::{Kinesis, KinesisConfig};
use crate::stream::Stream;

pub(super) const ACCOUNT: &str = "123456789012";

pub(super) struct World {
    pub(super) sim: SimEnv,
    limits: Limits,
    /// The log, if it is the one in memory.
    pub(super) memory: Option<Arc<MemoryLog>>,
    pub(super) kinesis: Arc<Kinesis>,
    pub(super) context: Context,
}

impl World {
    /// Over the log in memory.
    pub(super) fn new(seed: u64, limits: Limits) -> World {
        let sim = machine(seed);
        let log = MemoryLog::new(sim.env());
        World::open(sim, limits, Arc::clone(&log) as Arc<dyn Log>, Some(log))
    }

    /// Over the segment engine on the simulated disk.
    pub(super) fn on_disk(seed: u64, limits: Limits) -> World {
        World::boot(machine(seed), limits)
    }

    /// The machine loses power and starts again.
    pub(super) fn lose_power(self) -> World {
        World::boot(self.sim.restart(Crash::PowerLoss), self.limits)
    }

    fn boot(sim: SimEnv, limits: Limits) -> World {
        let log = SegmentEngine::open(sim.env(), SegmentConfig::new("/data/log")).unwrap();
        World::open(sim, limits, log, None)
    }

    fn open(sim: SimEnv, limits: Limits, log: Arc<dyn Log>, memory: Option<Arc<MemoryLog>>) -> World {
        let env = sim.env();
        let catalog = Catalog::open(&env, Path::new("/data/catalog")).unwrap();
        let config = KinesisConfig {
            limits: limits.clone(),
            transition_delay: Duration::ZERO,
            ..KinesisConfig::new(Path::new("/data/token-keys").to_owned())
        };
        let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(NoMeter) };
        let kinesis = Kinesis::open(env, log, catalog, config, hooks).unwrap();
        World { sim, limits, memory, kinesis, context: context(ACCOUNT) }
    }

    /// A world whose stream `s` has that many shards.
    pub(super) fn with_stream(shards: i32) -> World {
        let world = World::new(1, Limits::aws());
        world.create(shards);
        world
    }

    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.sim.block_on(future).expect("the future ends")
    }

    pub(super) fn create(&self, shards: i32) {
        let input =
            CreateStreamInput { stream_name: "s".into(), shard_count: Some(shards), ..CreateStreamInput::default() };
        self.run(self.kinesis.create_stream(&self.context, input)).unwrap();
    }

    pub(super) fn delete(&self) {
        let input = DeleteStreamInput { stream_name: Some("s".into()), ..DeleteStreamInput::default() };
        self.run(self.kinesis.delete_stream(&self.context, input)).unwrap();
    }

    pub(super) fn stream(&self) -> Arc<Stream> {
        Arc::clone(self.kinesis.streams().get(ACCOUNT, "us-east-1", "s").expect("the stream"))
    }

    pub(super) fn put(&self, key: &str, data: &[u8]) -> Result<PutRecordOutput, Error> {
        self.run(self.kinesis.put_record(&self.context, put_input(key, data)))
    }

    pub(super) fn put_records(&self, entries: Vec<PutRecordsRequestEntry<'_>>) -> Result<PutRecordsOutput, Error> {
        let input = PutRecordsInput { stream_name: Some("s".into()), records: entries, ..PutRecordsInput::default() };
        self.run(self.kinesis.put_records(&self.context, input))
    }

    pub(super) fn iterator(&self, input: GetShardIteratorInput<'_>) -> Result<String, Error> {
        let output = self.run(self.kinesis.get_shard_iterator(&self.context, input))?;
        Ok(output.shard_iterator.expect("an iterator"))
    }

    pub(super) fn get(&self, iterator: &str, limit: Option<i32>) -> Result<GetRecordsOutput, Error> {
        let input = GetRecordsInput { shard_iterator: iterator.into(), limit, ..GetRecordsInput::default() };
        self.run(self.kinesis.get_records(&self.context, input))
    }

    /// The data of all records of a shard from an iterator on, up to its end or to an empty page.
    pub(super) fn read_on(&self, iterator: String, limit: Option<i32>) -> Vec<String> {
        let mut data = Vec::new();
        let mut next = Some(iterator);
        while let Some(iterator) = next {
            self.sim.clock.advance(1_000);
            let page = self.get(&iterator, limit).unwrap();
            data.extend(page.records.iter().map(|r| String::from_utf8_lossy(&r.data).into_owned()));
            next = page.next_shard_iterator.filter(|_| !page.records.is_empty());
        }
        data
    }

    pub(super) fn split(&self, shard: &str, at: u128) -> Result<(), Error> {
        let input = SplitShardInput {
            stream_name: Some("s".into()),
            shard_to_split: shard.into(),
            new_starting_hash_key: at.to_string().into(),
            ..SplitShardInput::default()
        };
        self.run(self.kinesis.split_shard(&self.context, input))
    }
}

/// A machine with an empty data directory.
fn machine(seed: u64) -> SimEnv {
    let sim = SimEnv::new(seed);
    sim.disk.create_dir_all(Path::new("/data")).unwrap();
    sim.disk.sync_dir(Path::new("/")).unwrap();
    sim
}

pub(super) fn context(account: &str) -> Context {
    Context {
        account: account.into(),
        region: "us-east-1".into(),
        access_key: account.into(),
        request_id: RequestId::default(),
        hang_up: HangUp::default(),
    }
}

pub(super) fn put_input<'a>(key: &'a str, data: &'a [u8]) -> PutRecordInput<'a> {
    PutRecordInput {
        stream_name: Some("s".into()),
        data: Blob::from_bytes(data),
        partition_key: Some(key.into()),
        ..PutRecordInput::default()
    }
}

pub(super) fn entry<'a>(key: &'a str, data: &'a [u8]) -> PutRecordsRequestEntry<'a> {
    PutRecordsRequestEntry {
        data: Blob::from_bytes(data),
        partition_key: Some(key.into()),
        ..PutRecordsRequestEntry::default()
    }
}

pub(super) fn iterator_input(shard: &str, kind: ShardIteratorType) -> GetShardIteratorInput<'_> {
    GetShardIteratorInput {
        stream_name: Some("s".into()),
        shard_id: shard.into(),
        shard_iterator_type: kind,
        ..GetShardIteratorInput::default()
    }
}

/// The code and message of a refused request.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (ErrorCode, String) {
    let error = result.expect_err("refused");
    (error.code, error.message.unwrap_or_default())
}
