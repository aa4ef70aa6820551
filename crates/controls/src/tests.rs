//! Faults over the real service on a simulated machine: which calls they meet, and what comes of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::*;
use millstream_api::{Blob, Context, Error, ErrorCode, HangUp, RequestId};
use millstream_catalog::Catalog;
use millstream_env::sim::SimEnv;
use millstream_kinesis::{AllowAll, Hooks, Kinesis, KinesisConfig, Limits, NoMeter};
use millstream_log::memory::MemoryLog;
use serde_json::{Value, json};

use crate::{Controls, Verb};

const ACCOUNT: &str = "000000000000";
const FIRST: &str = "shardId-000000000000";
const SECOND: &str = "shardId-000000000001";
/// Hash keys of the two shards of a stream.
const LOW: &str = "0";
const HIGH: &str = "340282366920938463463374607431768211455";

struct World {
    machine: SimEnv,
    controls: Controls,
    context: Context,
}

impl World {
    /// With streams `a` and `b` of two shards.
    fn new() -> World {
        let machine = SimEnv::new(7);
        let env = machine.env();
        env.disk.create_dir_all(Path::new("/data")).unwrap();
        let config = KinesisConfig {
            limits: Limits::none(),
            transition_delay: Duration::ZERO,
            virtual_clock: true,
            ..KinesisConfig::new(PathBuf::from("/data/tokens"))
        };
        let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(NoMeter) };
        let catalog = Catalog::open(&env, Path::new("/data/catalog")).unwrap();
        let kinesis = Kinesis::open(env.clone(), MemoryLog::new(env.clone()), catalog, config, hooks).unwrap();
        let context = Context {
            account: ACCOUNT.into(),
            region: "eu-central-1".into(),
            access_key: "k".into(),
            request_id: RequestId(1, 2),
            hang_up: HangUp::default(),
        };
        let world = World { machine, controls: Controls::new(env, kinesis), context };
        for name in ["a", "b"] {
            let input =
                CreateStreamInput { stream_name: name.into(), shard_count: Some(2), ..CreateStreamInput::default() };
            world.call(Input::CreateStream(input)).unwrap();
        }
        world
    }

    fn call(&self, input: Input<'_>) -> Result<Output, Error> {
        self.machine.block_on(self.controls.call(&self.context, input)).expect("an answer")
    }

    fn ask(&self, verb: Verb, path: &str, query: Option<&str>, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let answer = self.machine.block_on(self.controls.answer(verb, path, query, body.as_bytes())).expect("an end");
        assert_eq!(answer.body.iter().filter(|byte| **byte == b'\n').count(), 1);
        (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
    }

    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(Verb::Post, path, None, &body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    #[track_caller]
    fn refused(&self, path: &str, body: Value) -> String {
        let (status, answer) = self.ask(Verb::Post, path, None, &body);
        assert_eq!(status, 400, "{answer}");
        answer["error"].as_str().expect("an error").to_owned()
    }

    fn faults(&self) -> Value {
        self.ask(Verb::Get, "/faults", None, &Value::Null).1["faults"].clone()
    }

    fn journal(&self, after: u64) -> Value {
        self.ask(Verb::Get, "/faults/journal", Some(&format!("after={after}")), &Value::Null).1
    }

    fn put(&self, stream: &str, hash: &str) -> Result<Output, Error> {
        self.call(Input::PutRecord(PutRecordInput {
            stream_name: Some(stream.into()),
            partition_key: Some("k".into()),
            explicit_hash_key: Some(hash.into()),
            data: Blob::from_bytes(&b"data"[..]),
            ..PutRecordInput::default()
        }))
    }

    fn put_many(&self, stream: &str, hashes: &[&str]) -> Result<PutRecordsOutput, Error> {
        let records = hashes.iter().map(|hash| PutRecordsRequestEntry {
            data: Blob::from_bytes(&b"data"[..]),
            partition_key: Some("k".into()),
            explicit_hash_key: Some((*hash).into()),
            ..PutRecordsRequestEntry::default()
        });
        let input = PutRecordsInput {
            stream_name: Some(stream.into()),
            records: records.collect(),
            ..PutRecordsInput::default()
        };
        match self.call(Input::PutRecords(input))? {
            Output::PutRecords(output) => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    fn iterator(&self, stream: &str, shard: &str) -> String {
        let input = GetShardIteratorInput {
            stream_name: Some(stream.into()),
            shard_id: shard.into(),
            shard_iterator_type: ShardIteratorType::TrimHorizon,
            ..GetShardIteratorInput::default()
        };
        match self.call(Input::GetShardIterator(input)) {
            Ok(Output::GetShardIterator(output)) => output.shard_iterator.expect("an iterator"),
            other => panic!("{other:?}"),
        }
    }

    fn get(&self, iterator: &str) -> Result<GetRecordsOutput, Error> {
        let input = GetRecordsInput { shard_iterator: iterator.into(), ..GetRecordsInput::default() };
        match self.call(Input::GetRecords(input))? {
            Output::GetRecords(output) => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    fn describe(&self, stream: &str) -> Result<Output, Error> {
        let input = DescribeStreamInput { stream_name: Some(stream.into()), ..DescribeStreamInput::default() };
        self.call(Input::DescribeStream(input))
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.expect_err("a refusal").code
}

#[test]
fn throughput_is_exceeded_in_awss_words_and_only_where_it_should_be() {
    let world = World::new();
    let action = "aws:kinesis:inject-api-provisioned-throughput-exception";
    world.post(
        "/faults",
        json!({ "actionId": action, "stream": "a", "shard": SECOND, "operations": "PutRecord,GetRecords" }),
    );
    let error = world.put("a", HIGH).expect_err("a fault");
    assert_eq!(
        error.to_string(),
        format!(
            "ProvisionedThroughputExceededException: Rate exceeded for shard {SECOND} in stream a under account {ACCOUNT}."
        )
    );
    world.put("a", LOW).expect("another shard");
    world.put("b", HIGH).expect("another stream");
    world.put_many("a", &[HIGH]).expect("another operation");
    let (first, second) = (world.iterator("a", FIRST), world.iterator("a", SECOND));
    world.get(&first).expect("another shard");
    assert_eq!(code(world.get(&second)), ErrorCode::ProvisionedThroughputExceededException);
    assert_eq!(world.faults()[0]["applied"], 2);
}

#[test]
fn a_stream_is_named_by_name_or_by_arn() {
    let world = World::new();
    let action = "aws:fis:inject-api-internal-error";
    world
        .post("/faults", json!({ "actionId": action, "stream": "arn:aws:kinesis:eu-central-1:000000000000:stream/a" }));
    world.post("/faults", json!({ "actionId": action, "stream": "arn:aws:kinesis:us-east-1:000000000000:stream/b" }));
    assert_eq!(code(world.describe("a")), ErrorCode::InternalFailure);
    world.describe("b").expect("another region's stream");
    let of_consumer =
        |operation: &str| format!("arn:aws:kinesis:eu-central-1:000000000000:stream/{operation}/consumer/c:1");
    let subscribe = |stream: &str| {
        let consumer = of_consumer(stream);
        world.call(Input::SubscribeToShard(SubscribeToShardInput {
            consumer_arn: consumer.into(),
            shard_id: FIRST.into(),
            starting_position: StartingPosition { r#type: ShardIteratorType::Latest, ..Default::default() },
            ..Default::default()
        }))
    };
    assert_eq!(code(subscribe("a")), ErrorCode::InternalFailure);
    assert_ne!(code(subscribe("b")), ErrorCode::InternalFailure);
}

#[test]
fn each_action_answers_as_it_says() {
    let world = World::new();
    for (action, expected) in [
        ("aws:fis:inject-api-internal-error", Error::bare(ErrorCode::InternalFailure)),
        ("aws:fis:inject-api-throttle-error", Error::new(ErrorCode::ThrottlingException, "Rate exceeded")),
        ("aws:fis:inject-api-unavailable-error", Error::bare(ErrorCode::ServiceUnavailable)),
        (
            "millstream:inject-api-limit-exceeded-exception",
            Error::new(ErrorCode::LimitExceededException, "Rate exceeded for stream a under account 000000000000."),
        ),
    ] {
        world.post("/faults", json!({ "actionId": action, "count": 1 }));
        assert_eq!(world.describe("a").expect_err("a fault"), expected);
        world.describe("a").expect("once only");
    }
    world.post("/faults", json!({ "actionId": "millstream:inject-api-limit-exceeded-exception" }));
    let error = world.call(Input::DescribeLimits(DescribeLimitsInput::default())).expect_err("a fault");
    assert_eq!(error.message.as_deref(), Some("Rate exceeded for account 000000000000."));
}

#[test]
fn an_iterator_expires_on_demand_in_awss_words() {
    let world = World::new();
    let iterator = world.iterator("a", FIRST);
    world.post("/faults", json!({ "actionId": "aws:kinesis:inject-api-expired-iterator-exception", "count": 1 }));
    assert_eq!(code(world.get("garbage")), ErrorCode::InvalidArgumentException);
    let error = world.get(&iterator).expect_err("a fault");
    assert_eq!(error.code, ErrorCode::ExpiredIteratorException);
    // The simulated machine starts at 2025-06-15 15:06:40 UTC.
    assert_eq!(
        error.message.as_deref(),
        Some(
            "Iterator expired. The iterator was created at time Sun Jun 15 15:01:39 UTC 2025 while right now it is Sun Jun 15 \
             15:06:40 UTC 2025 which is further in the future than the tolerated delay of 300000 milliseconds."
        )
    );
    world.get(&iterator).expect("it was good all the time");
}

#[test]
fn single_records_fail_and_the_others_are_written() {
    let world = World::new();
    let action = "millstream:inject-put-records-failure";
    world.post("/faults", json!({ "actionId": action, "shard": FIRST, "count": 2 }));
    let output = world.put_many("a", &[LOW, HIGH, LOW, LOW, HIGH]).unwrap();
    assert_eq!(output.failed_record_count, Some(2));
    let codes: Vec<Option<&str>> = output.records.iter().map(|record| record.error_code.as_deref()).collect();
    assert_eq!(codes, [Some("InternalFailure"), None, Some("InternalFailure"), None, None]);
    assert_eq!(output.records[0].error_message.as_deref(), Some("Internal Service Failure."));
    assert_eq!(output.records[0].shard_id, None);
    assert_eq!(world.get(&world.iterator("a", FIRST)).unwrap().records.len(), 1);
    assert_eq!(world.get(&world.iterator("a", SECOND)).unwrap().records.len(), 2);
    let entry = &world.journal(0)["entries"][0];
    assert_eq!(entry["done"], "2 of 5 records: InternalFailure");
    assert_eq!(entry["shards"], json!([FIRST]));
    assert_eq!(world.faults()[0]["state"], "completed");

    world.post("/faults", json!({ "actionId": action, "errorCode": "ProvisionedThroughputExceededException" }));
    let output = world.put_many("b", &[LOW, HIGH]).unwrap();
    assert_eq!(output.failed_record_count, Some(2));
    assert_eq!(
        output.records[1].error_message.as_deref(),
        Some("Rate exceeded for shard shardId-000000000001 in stream b under account 000000000000.")
    );
    assert!(world.get(&world.iterator("b", FIRST)).unwrap().records.is_empty());
    // What is wrong as a whole is refused as a whole.
    assert_eq!(
        code(world.put_many("b", &[LOW, "340282366920938463463374607431768211456"])),
        ErrorCode::InvalidArgumentException
    );
    assert_eq!(code(world.put_many("none", &[LOW])), ErrorCode::ResourceNotFoundException);
}

#[test]
fn a_seed_makes_percentages_repeatable() {
    let pattern = |seed: u64, percentage: u64| -> Vec<bool> {
        let world = World::new();
        let fault = json!({ "actionId": "aws:fis:inject-api-internal-error", "percentage": percentage, "seed": seed });
        world.post("/faults", fault);
        (0..200).map(|_| world.describe("a").is_err()).collect()
    };
    assert_eq!(pattern(1, 30), pattern(1, 30));
    assert_ne!(pattern(1, 30), pattern(2, 30));
    let hits = pattern(1, 30).into_iter().filter(|hit| *hit).count();
    assert!((30..90).contains(&hits), "{hits}");
}

#[test]
fn a_duration_ends_by_domain_time() {
    let world = World::new();
    world.post("/faults", json!({ "actionId": "aws:fis:inject-api-internal-error", "duration": "PT5M" }));
    world.post("/clock", json!({ "advance": "299s" }));
    assert!(world.describe("a").is_err());
    world.post("/clock", json!({ "advance": "1s" }));
    world.describe("a").expect("its time is over");
    assert!(world.controls.faults.is_quiet());
    assert_eq!(world.faults()[0]["state"], "completed");
}

#[test]
fn the_first_fault_that_answers_wins_and_others_do_not_count() {
    let world = World::new();
    world.post("/faults", json!({ "actionId": "aws:fis:inject-api-throttle-error", "account": "999999999999" }));
    world.post("/faults", json!({ "actionId": "aws:fis:inject-api-unavailable-error", "count": 1 }));
    world.post("/faults", json!({ "actionId": "aws:fis:inject-api-internal-error" }));
    assert_eq!(code(world.describe("a")), ErrorCode::ServiceUnavailable);
    assert_eq!(code(world.describe("a")), ErrorCode::InternalFailure);
    let applied: Vec<Value> = world.faults().as_array().unwrap().iter().map(|fault| fault["applied"].clone()).collect();
    assert_eq!(applied, [0, 1, 1]);
}

#[test]
fn a_dropped_connection_asks_for_its_end() {
    let world = World::new();
    world.post("/faults", json!({ "actionId": "millstream:drop-connection", "count": 1 }));
    assert!(!world.context.hang_up.is_asked());
    assert!(world.put("a", LOW).is_err());
    assert!(world.context.hang_up.is_asked());
    assert!(world.get(&world.iterator("a", FIRST)).unwrap().records.is_empty());
}

#[test]
fn the_journal_counts_on_and_can_be_read_in_parts() {
    let world = World::new();
    world.post("/faults", json!({ "actionId": "aws:fis:inject-api-internal-error" }));
    for _ in 0..3 {
        assert!(world.describe("a").is_err());
    }
    let page = world.journal(1);
    assert_eq!(page["last"], 3);
    let entry = &page["entries"][0];
    assert_eq!(
        *entry,
        json!({
            "sequence": 2, "time": 1_750_000_000_000u64, "faultId": "fault-1",
            "requestId": "00000000-0000-0001-0000-000000000002",
            "actionId": "aws:fis:inject-api-internal-error", "operation": "DescribeStream", "account": ACCOUNT,
            "stream": "arn:aws:kinesis:eu-central-1:000000000000:stream/a", "shards": [], "done": "InternalFailure",
        })
    );
    for number in 0..10_100 {
        assert!(world.describe("a").is_err(), "{number}");
    }
    let page = world.journal(0);
    assert_eq!(page["entries"].as_array().unwrap().len(), 10_000);
    assert_eq!(page["entries"][0]["sequence"], 104);
}

#[test]
fn faults_are_removed_one_by_one_or_all() {
    let world = World::new();
    for _ in 0..3 {
        world.post("/faults", json!({ "actionId": "aws:fis:inject-api-internal-error" }));
    }
    assert_eq!(world.post("/faults/remove", json!({ "id": "fault-2" })), json!({ "removed": 1 }));
    assert!(world.refused("/faults/remove", json!({ "id": "fault-2" })).contains("fault-2"));
    assert_eq!(world.post("/faults/remove", json!({ "all": true })), json!({ "removed": 2 }));
    world.describe("a").expect("no fault is left");
    for wrong in [json!({}), json!({ "all": false }), json!({ "id": "fault-1", "all": true })] {
        world.refused("/faults/remove", wrong);
    }
}

#[test]
fn there_is_a_most_and_ended_faults_give_way() {
    let world = World::new();
    let fault = json!({ "actionId": "aws:fis:inject-api-internal-error", "count": 1 });
    for _ in 0..1_000 {
        world.post("/faults", fault.clone());
    }
    assert!(world.refused("/faults", fault.clone()).contains("1000 faults"));
    assert!(world.describe("a").is_err());
    assert_eq!(world.post("/faults", fault)["id"], "fault-1001");
    assert_eq!(world.faults()[0]["id"], "fault-2");
}

#[test]
fn mistakes_are_named() {
    let world = World::new();
    let internal = "aws:fis:inject-api-internal-error";
    for (wrong, named) in [
        (json!({}), "actionId"),
        (json!({ "actionId": "aws:fis:wait" }), "aws:fis:inject-api-throttle-error"),
        (json!({ "actionId": internal, "percentage": 0 }), "percentage: "),
        (json!({ "actionId": internal, "percentage": "101" }), "percentage: "),
        (json!({ "actionId": internal, "duration": "5" }), "duration: "),
        (json!({ "actionId": internal, "count": 0 }), "count: "),
        (json!({ "actionId": internal, "service": "ec2" }), "service: "),
        (json!({ "actionId": internal, "operations": ["GetRecord"] }), "operations: there is no \"GetRecord\""),
        (json!({ "actionId": internal, "operations": [] }), "operations: "),
        (json!({ "actionId": internal, "stream": "a/b" }), "stream: "),
        (json!({ "actionId": internal, "stream": "arn:aws:kinesis:x" }), "stream: "),
        (json!({ "actionId": internal, "shard": "first" }), "shard: "),
        (json!({ "actionId": internal, "account": "1" }), "account: "),
        (json!({ "actionId": internal, "delay": "1s" }), "delay and jitter: "),
        (json!({ "actionId": internal, "errorCode": "InternalFailure" }), "errorCode: "),
        (json!({ "actionId": internal, "streams": "a" }), "streams"),
        (json!({ "actionId": "millstream:inject-api-delay" }), "delay: "),
        (json!({ "actionId": "millstream:inject-api-delay", "delay": "9m", "jitter": "61s" }), "delay: "),
        (
            json!({ "actionId": "aws:kinesis:inject-api-expired-iterator-exception", "operations": "PutRecord" }),
            "is for GetRecords only",
        ),
        (json!({ "actionId": "millstream:inject-put-records-failure", "errorCode": "Oops" }), "errorCode: "),
    ] {
        let error = world.refused("/faults", wrong.clone());
        assert!(error.contains(named), "{wrong}: {error}");
    }
    assert_eq!(world.faults(), json!([]));
    for wrong in [
        json!({}),
        json!({ "rate": 0.5 }),
        json!({ "rate": -1 }),
        json!({ "rate": 86401 }),
        json!({ "advance": "-1s" }),
        json!({ "advance": "4000d" }),
        json!({ "back": "1s" }),
    ] {
        world.refused("/clock", wrong);
    }
    assert_eq!(world.ask(Verb::Get, "/reset", None, &Value::Null).0, 405);
    assert_eq!(world.ask(Verb::Get, "/clock/now", None, &Value::Null).0, 404);
    assert_eq!(world.ask(Verb::Get, "/faults/journal", Some("from=1"), &Value::Null).0, 400);
}

#[test]
fn the_clock_steps_and_scales_and_shows_both() {
    let world = World::new();
    let before = world.ask(Verb::Get, "/clock", None, &Value::Null).1;
    assert_eq!(before, json!({ "now": 1_750_000_000_000u64, "ahead": 0, "rate": 1.0 }));
    let after = world.post("/clock", json!({ "advance": "25h", "rate": 1.5 }));
    assert_eq!(after, json!({ "now": 1_750_090_000_000u64, "ahead": 90_000_000, "rate": 1.5 }));
    world.machine.clock.advance(1_000);
    assert_eq!(world.ask(Verb::Get, "/clock", None, &Value::Null).1["now"], 1_750_090_001_500u64);
    for _ in 0..4 {
        world.post("/clock", json!({ "advance": "3650d" }));
    }
    assert!(world.refused("/clock", json!({ "advance": "3650d" })).contains("fifty years"));
}

#[test]
fn a_reset_leaves_nothing_but_time() {
    let world = World::new();
    world.post("/clock", json!({ "advance": "25h", "rate": 60 }));
    world.post("/faults", json!({ "actionId": "aws:fis:inject-api-internal-error", "count": 1 }));
    assert!(world.describe("a").is_err());
    assert_eq!(world.post("/reset", json!({})), json!({ "streams": 2 }));
    assert_eq!(code(world.describe("a")), ErrorCode::ResourceNotFoundException);
    assert_eq!(world.faults(), json!([]));
    assert_eq!(world.journal(0), json!({ "entries": [], "last": 1 }));
    let clock = world.ask(Verb::Get, "/clock", None, &Value::Null).1;
    assert_eq!((clock["rate"].clone(), clock["ahead"].clone()), (json!(1.0), json!(90_000_000)));
}

#[test]
fn a_reset_of_one_account_leaves_the_others() {
    let world = World::new();
    world.post("/faults", json!({ "actionId": "aws:fis:inject-api-throttle-error", "account": "111111111111" }));
    world.post("/faults", json!({ "actionId": "aws:fis:inject-api-throttle-error", "account": "222222222222" }));
    assert_eq!(world.post("/reset", json!({ "account": "111111111111" })), json!({ "streams": 0 }));
    assert_eq!(world.faults().as_array().unwrap().len(), 1);
    world.describe("a").expect("another account's stream");
    assert!(world.refused("/reset", json!({ "account": "me" })).starts_with("account: "));
}
