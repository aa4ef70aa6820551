//! The directory that is damaged, and what an undamaged server shows of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millstream_api::Blob;
use millstream_api::kinesis::{
    CreateStreamInput, DeleteStreamInput, DescribeAccountSettingsInput, DescribeStreamSummaryInput,
    IncreaseStreamRetentionPeriodInput, Input, ListShardsInput, ListStreamConsumersInput, ListStreamsInput,
    ListTagsForStreamInput, MinimumThroughputBillingCommitmentInput, MinimumThroughputBillingCommitmentInputStatus,
    Output, PutRecordInput, RegisterStreamConsumerInput, ShardIteratorType, SplitShardInput, StreamMode,
    StreamModeDetails, UpdateAccountSettingsInput,
};

use crate::image::Image;
use crate::machine::Machine;
use crate::stack::{ACCOUNT, DIR, REGION, Stack};

/// How the server ended that left the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Stopped,
    /// Killed right after an acknowledgement.
    Killed,
}

/// A record as it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its sequence number.
    pub sequence: String,
    /// Everything else that a reader sees of it.
    pub content: String,
}

/// A shard and its records, oldest first, without those that have expired.
#[derive(Clone, Debug)]
pub struct Shard {
    /// Its stream.
    pub stream: String,
    /// Its id.
    pub id: String,
    /// What it holds.
    pub records: Vec<Known>,
    /// Whether it takes puts, by this hash key.
    pub open: Option<String>,
    /// An iterator of the first server, after the first record.
    pub iterator: Option<String>,
}

/// A directory and what it holds.
pub struct Directory {
    /// Its files.
    pub image: Image,
    /// How long after its machine's beginning it was left, ms.
    pub age: u64,
    /// What the service says of its streams, by question.
    pub facts: BTreeMap<String, String>,
    /// Its shards.
    pub shards: Vec<Shard>,
    /// Where the newest commit of each log begins, by file. Nothing proves that it was durable: damaged, it cannot be told from
    /// one that a crash tore, and is cut off.
    pub newest: BTreeMap<PathBuf, usize>,
}

const DAY: u64 = 24 * 3600 * 1000;
/// The streams that are there in the end.
pub const STREAMS: [&str; 3] = ["clicks", "demand", "orders"];

/// Makes the directory.
#[must_use]
pub fn directory(end: End) -> Directory {
    let machine = Machine::new(1);
    machine.disk().create_dir_all(Path::new("/simulated")).expect("a directory");
    machine.disk().sync_dir(Path::new("/")).expect("a sync");
    let mut filling = Filling { stack: Stack::open(&machine).expect("starts"), machine, age: 0, puts: 0 };
    filling.fill();
    let Filling { stack, machine, age, .. } = filling;
    let mut shards = shards(&stack, &machine);
    for shard in &mut shards {
        shard.records = read(&stack, &machine, shard);
        let after = ShardIteratorType::AfterSequenceNumber;
        let place = (shard.stream.as_str(), shard.id.as_str());
        shard.iterator = shard
            .records
            .first()
            .map(|first| stack.iterator(&machine, place, after, Some(&first.sequence)).expect("an iterator"));
    }
    let facts = facts(&stack, &machine);
    if end == End::Stopped {
        machine.run(stack.kinesis.close());
        machine.settle();
    }
    drop(stack);
    let mut image = Image::of(machine.disk(), Path::new(DIR));
    // What a crash may leave beside the segments.
    let some_log = image.files.keys().find(|path| path.ends_with("0000000000000001.seg")).expect("a first segment");
    let dir = some_log.parent().expect("a directory").to_path_buf();
    for left in ["spare", "spare.tmp", "next.tmp", "regroup.tmp", "recovery.tmp"] {
        image.files.insert(dir.join(left), vec![0x5a; 640]);
    }
    let newest = newest_commits(&image);
    Directory { image, age, facts, shards, newest }
}

/// A commit begins with this, at a multiple of [`ALIGN`], and has the salt of its segment.
const COMMIT: &[u8] = b"CCOM";
const ALIGN: usize = 64;
const SALT: std::ops::Range<usize> = 16..24;

fn newest_commits(image: &Image) -> BTreeMap<PathBuf, usize> {
    let mut newest: BTreeMap<&Path, (&PathBuf, usize)> = BTreeMap::new();
    // In the order of their names, so that of each directory the last one stays.
    for (path, bytes) in image.files.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "seg")) {
        let commits = bytes.chunks(ALIGN).enumerate();
        let mut ours = commits.filter(|(_, chunk)| chunk.starts_with(COMMIT) && chunk[SALT] == bytes[SALT]);
        let dir = path.parent().expect("a directory");
        newest.insert(dir, (path, ours.next_back().map_or(bytes.len(), |(at, _)| at * ALIGN)));
    }
    newest.into_values().map(|(path, at)| (path.clone(), at)).collect()
}

struct Filling {
    machine: Machine,
    stack: Stack,
    age: u64,
    puts: u32,
}

impl Filling {
    fn call(&self, input: Input<'_>) -> Output {
        self.stack.call(&self.machine, input).expect("the call succeeds")
    }

    fn pass(&mut self, ms: u64) {
        self.machine.pass(ms);
        self.age += ms;
        self.stack.tick(&self.machine);
    }

    fn create(&self, name: &str, shards: Option<i32>) {
        let on_demand = StreamModeDetails { stream_mode: StreamMode::OnDemand, ..StreamModeDetails::default() };
        let input = CreateStreamInput {
            stream_name: name.into(),
            shard_count: shards,
            stream_mode_details: shards.is_none().then_some(on_demand),
            tags: Some([("team".into(), format!("{name}-team").into())].into()),
            ..CreateStreamInput::default()
        };
        self.call(Input::CreateStream(input));
    }

    /// Puts so many records, of which no two are alike, on all shards in turn.
    fn put(&mut self, stream: &str, records: u32) {
        for _ in 0..records {
            self.puts += 1;
            let data = vec![self.puts as u8; 150 + (self.puts % 7) as usize * 90];
            let key = format!("key-{}", self.puts);
            let hash = (u128::from(self.puts % 17) * (u128::MAX / 17)).to_string();
            let input = PutRecordInput {
                stream_name: Some(stream.into()),
                data: Blob::from_bytes(&data),
                partition_key: Some(key.as_str().into()),
                explicit_hash_key: Some(hash.into()),
                ..PutRecordInput::default()
            };
            self.call(Input::PutRecord(input));
        }
    }

    fn fill(&mut self) {
        self.create("gone", Some(1));
        self.create("orders", Some(2));
        self.create("clicks", Some(1));
        self.create("demand", None);
        self.call(Input::DeleteStream(DeleteStreamInput {
            stream_name: Some("gone".into()),
            ..DeleteStreamInput::default()
        }));
        self.call(Input::IncreaseStreamRetentionPeriod(IncreaseStreamRetentionPeriodInput {
            stream_name: Some("orders".into()),
            retention_period_hours: 72,
            ..IncreaseStreamRetentionPeriodInput::default()
        }));
        self.call(Input::RegisterStreamConsumer(RegisterStreamConsumerInput {
            stream_arn: arn("orders").into(),
            consumer_name: "billing".into(),
            ..RegisterStreamConsumerInput::default()
        }));
        self.call(Input::UpdateAccountSettings(UpdateAccountSettingsInput {
            minimum_throughput_billing_commitment: MinimumThroughputBillingCommitmentInput {
                status: MinimumThroughputBillingCommitmentInputStatus::Enabled,
                ..MinimumThroughputBillingCommitmentInput::default()
            },
            ..UpdateAccountSettingsInput::default()
        }));
        self.put("clicks", 24);
        self.put("orders", 20);
        self.put("demand", 5);
        for _ in 0..4 {
            self.pass(30_000);
        }
        self.call(Input::SplitShard(SplitShardInput {
            stream_name: Some("orders".into()),
            shard_to_split: "shardId-000000000000".into(),
            new_starting_hash_key: "85070591730234615865843651857942052863".into(),
            ..SplitShardInput::default()
        }));
        self.put("orders", 10);
        // The first clicks expire, and their segments are dropped.
        self.pass(DAY / 2);
        self.put("clicks", 14);
        self.pass(DAY / 2 + 1000);
        for _ in 0..4 {
            self.pass(20 * 60 * 1000);
        }
        self.put("clicks", 5);
        self.put("orders", 5);
    }
}

fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}")
}

/// Every shard, without its records.
fn shards(stack: &Stack, machine: &Machine) -> Vec<Shard> {
    let mut all = Vec::new();
    for stream in STREAMS {
        let input = ListShardsInput { stream_name: Some(stream.into()), ..ListShardsInput::default() };
        let Ok(Output::ListShards(output)) = stack.call(machine, Input::ListShards(input)) else { panic!("no shards") };
        for shard in output.shards.unwrap_or_default() {
            let open = shard.sequence_number_range.ending_sequence_number.is_none();
            all.push(Shard {
                stream: stream.to_owned(),
                id: shard.shard_id,
                records: Vec::new(),
                open: open.then_some(shard.hash_key_range.starting_hash_key),
                iterator: None,
            });
        }
    }
    all
}

fn read(stack: &Stack, machine: &Machine, shard: &Shard) -> Vec<Known> {
    let place = (shard.stream.as_str(), shard.id.as_str());
    let mut records = Vec::new();
    let mut next = Some(stack.iterator(machine, place, ShardIteratorType::TrimHorizon, None).expect("an iterator"));
    while let Some(iterator) = next {
        let page = stack.get(machine, &iterator).expect("a page");
        records.extend(page.records.iter().map(Known::of));
        next = page.next_shard_iterator.filter(|_| page.millis_behind_latest != Some(0));
    }
    records
}

impl Known {
    /// What is known of a record once it was read.
    #[must_use]
    pub fn of(record: &millstream_api::kinesis::Record) -> Known {
        let (time, key) = (&record.approximate_arrival_timestamp, &record.partition_key);
        let content = format!("{time:?} {key:?} {:?}", record.data);
        Known { sequence: record.sequence_number.clone(), content }
    }
}

/// What the service says of its streams, by question; a refusal is the answer `refused`.
#[must_use]
pub fn facts(stack: &Stack, machine: &Machine) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut ask = |question: String, input: Input<'_>| {
        let answer = stack.call(machine, input).map_or_else(|_| REFUSED.to_owned(), |output| format!("{output:?}"));
        facts.insert(question, answer);
    };
    ask("streams".to_owned(), Input::ListStreams(ListStreamsInput::default()));
    ask("settings".to_owned(), Input::DescribeAccountSettings(DescribeAccountSettingsInput::default()));
    for stream in STREAMS {
        let name = || Some(stream.into());
        let input = DescribeStreamSummaryInput { stream_name: name(), ..DescribeStreamSummaryInput::default() };
        ask(format!("{stream}: summary"), Input::DescribeStreamSummary(input));
        let input = ListShardsInput { stream_name: name(), ..ListShardsInput::default() };
        ask(format!("{stream}: shards"), Input::ListShards(input));
        let input = ListTagsForStreamInput { stream_name: name(), ..ListTagsForStreamInput::default() };
        ask(format!("{stream}: tags"), Input::ListTagsForStream(input));
        let input = ListStreamConsumersInput { stream_arn: arn(stream).into(), ..ListStreamConsumersInput::default() };
        ask(format!("{stream}: consumers"), Input::ListStreamConsumers(input));
    }
    facts
}

/// The answer to a question that was refused.
pub const REFUSED: &str = "refused";
