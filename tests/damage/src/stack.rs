//! The server's stack below its listeners, and the calls that are made of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream::data_dir::DataDir;
use millstream::storage;
use millstream_api::kinesis::{
    GetRecordsInput, GetRecordsOutput, GetShardIteratorInput, Input, Output, Service, ShardIteratorType,
};
use millstream_api::{Context, Error, HangUp, RequestId};
use millstream_kinesis::{AllowAll, Hooks, Kinesis, KinesisConfig, Limits, NoMeter};
use millstream_log::segment::SegmentConfig;

use crate::machine::Machine;

/// The data directory.
pub const DIR: &str = "/simulated/data";
/// The account of every call.
pub const ACCOUNT: &str = "000000000000";
/// The region of every call.
pub const REGION: &str = "us-east-1";

/// A server that was started.
pub struct Stack {
    /// The service.
    pub kinesis: Arc<Kinesis>,
    context: Context,
    _data: DataDir,
}

impl Stack {
    /// Starts it as the binary does, but for the sizes of segments.
    ///
    /// # Errors
    /// The line that the server would end with.
    pub fn open(machine: &Machine) -> Result<Stack, String> {
        let env = machine.env();
        let data = DataDir::create(&env, Path::new(DIR)).map_err(|e| e.to_string())?;
        let engine = SegmentConfig {
            segment_min: 8 << 10,
            segment_max: 8 << 10,
            tail_cache: 0,
            min_free: 0,
            reserve: 4 << 10,
            ..SegmentConfig::new(data.log())
        };
        let settings = KinesisConfig {
            limits: Limits::none(),
            transition_delay: Duration::ZERO,
            ..KinesisConfig::new(data.keys())
        };
        let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(NoMeter) };
        let kinesis = storage::open(&env, &data, engine, settings, hooks).map_err(|e| e.to_string())?;
        let context = Context {
            account: ACCOUNT.into(),
            region: REGION.into(),
            access_key: ACCOUNT.into(),
            request_id: RequestId::default(),
            hang_up: HangUp::default(),
        };
        Ok(Stack { kinesis, context, _data: data })
    }

    /// One call.
    ///
    /// # Errors
    /// The service's.
    pub fn call(&self, machine: &Machine, input: Input<'_>) -> Result<Output, Error> {
        machine.run(self.kinesis.call(&self.context, input))
    }

    /// An iterator on a shard.
    ///
    /// # Errors
    /// The service's.
    pub fn iterator(
        &self,
        machine: &Machine,
        (stream, shard): (&str, &str),
        kind: ShardIteratorType,
        sequence: Option<&str>,
    ) -> Result<String, Error> {
        let input = GetShardIteratorInput {
            stream_name: Some(stream.into()),
            shard_id: shard.into(),
            shard_iterator_type: kind,
            starting_sequence_number: sequence.map(Into::into),
            ..GetShardIteratorInput::default()
        };
        match self.call(machine, Input::GetShardIterator(input))? {
            Output::GetShardIterator(output) => Ok(output.shard_iterator.expect("an iterator")),
            other => panic!("{other:?}"),
        }
    }

    /// A page of records.
    ///
    /// # Errors
    /// The service's.
    pub fn get(&self, machine: &Machine, iterator: &str) -> Result<GetRecordsOutput, Error> {
        let input = GetRecordsInput { shard_iterator: iterator.into(), ..GetRecordsInput::default() };
        match self.call(machine, Input::GetRecords(input))? {
            Output::GetRecords(output) => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    /// Does what is due.
    pub fn tick(&self, machine: &Machine) {
        self.kinesis.tick_log();
        machine.run(self.kinesis.tick());
        machine.settle();
    }
}
