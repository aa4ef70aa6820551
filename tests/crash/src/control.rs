//! Who changes streams under load: splits and merges, settings, deletions, and the clock by which records become due.

use std::sync::Arc;
use std::time::Duration;

use millstream_harness::{CallError, Kinesis, Random, ShardDescription};
use serde_json::{Value, json};

use crate::facts::ABSENT;
use crate::load::SUBSCRIBER;
use crate::shared::Shared;
use crate::stream::{Existence, MODE, RECORD_SIZE, RETENTION, Role, Stream};
use crate::time;

/// The most shards that are open at once.
const MAX_OPEN_SHARDS: usize = 8;
/// Between two looks at a stream that is on its way.
const POLL: Duration = Duration::from_millis(2);
const HOUR: Duration = Duration::from_secs(3600);

/// Reshards a stream and changes its settings, one after the other.
pub async fn operate(shared: Shared, stream: Arc<Stream>, mut random: Random) {
    let Some(mut kinesis) = shared.open(&stream).await else { return };
    while !shared.ending() {
        let done = if random.chance(50) {
            reshard(&shared, &stream, &mut kinesis, &mut random).await
        } else {
            set(&shared, &stream, &mut kinesis, &mut random).await
        };
        if let Err(error) = done {
            // The stream is still busy with the last change.
            let is_busy = error.code() == "ResourceInUseException";
            if !is_busy && shared.failed(&stream, &error).await {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.range(1, 60)).max(shared.pace)).await;
    }
}

async fn reshard(
    shared: &Shared,
    stream: &Stream,
    kinesis: &mut Kinesis,
    random: &mut Random,
) -> Result<(), CallError> {
    // While the last reshard is under way the old shards are listed.
    kinesis.wait_active(&stream.name).await?;
    let mut open: Vec<ShardDescription> = kinesis.list_shards(&stream.name).await?;
    open.retain(|shard| shard.open);
    open.sort_by_key(|shard| shard.start);
    let count = open.len() as u64;
    if count == 0 {
        return Ok(());
    }
    let split = open.len() == 1 || (open.len() < MAX_OPEN_SHARDS && random.chance(50));
    let (operation, mut input) = if random.chance(10) {
        // Between half and double, as the service allows.
        let target = random.range(count.div_ceil(2), (count * 2).min(MAX_OPEN_SHARDS as u64) + 1);
        ("UpdateShardCount", json!({ "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" }))
    } else if split {
        let shard = &open[usize::try_from(random.range(0, count)).unwrap_or_default()];
        if shard.end - shard.start < 8 {
            return Ok(());
        }
        let middle = shard.start + (shard.end - shard.start) / 2 + 1;
        ("SplitShard", json!({ "ShardToSplit": shard.id, "NewStartingHashKey": middle.to_string() }))
    } else {
        let at = usize::try_from(random.range(0, count - 1)).unwrap_or_default();
        ("MergeShards", json!({ "ShardToMerge": open[at].id, "AdjacentShardToMerge": open[at + 1].id }))
    };
    input["StreamName"] = json!(stream.name);
    match shared.control(kinesis, operation, &input).await {
        // Of a stream on demand the service reshards by itself, and callers may not.
        Err(error) if !error.outcome_unknown() && may_be_on_demand(stream) => Ok(()),
        done => done.map(|_| ()),
    }
}

fn may_be_on_demand(stream: &Stream) -> bool {
    stream.facts.lock().of(MODE).iter().any(|mode| mode == "ON_DEMAND")
}

/// Changes one setting, drawn from all.
async fn set(shared: &Shared, stream: &Stream, kinesis: &mut Kinesis, random: &mut Random) -> Result<(), CallError> {
    let now = |name: &str| stream.facts.lock().of(name).last().cloned().unwrap_or_default();
    let arn = format!("arn:aws:kinesis:us-east-1:{}:stream/{}", shared.endpoint.access_key, stream.name);
    let (name, value, operation, input): (String, String, _, Value) = match random.range(0, 10) {
        0..3 => {
            let (key, value) = (format!("key-{}", random.range(0, 4)), random.range(0, 100).to_string());
            let tags = json!({ "StreamName": stream.name, "Tags": { &key: value } });
            (format!("tag {key}"), value, "AddTagsToStream", tags)
        }
        3 => {
            let key = format!("key-{}", random.range(0, 4));
            let tags = json!({ "StreamName": stream.name, "TagKeys": [&key] });
            (format!("tag {key}"), ABSENT.to_owned(), "RemoveTagsFromStream", tags)
        }
        4..6 => {
            let consumer = format!("consumer-{}", random.range(0, 3));
            let setting = format!("consumer {consumer}");
            let input = json!({ "StreamARN": arn, "ConsumerName": consumer });
            match now(&setting).as_str() {
                ABSENT => (setting, "registered".to_owned(), "RegisterStreamConsumer", input),
                _ => (setting, ABSENT.to_owned(), "DeregisterStreamConsumer", input),
            }
        }
        6..8 if stream.role == Role::Aging => {
            stream.note_retention(&mut stream.life.read().await.ledger.lock(), &shared.time);
            let (hours, present) = (24 * random.range(1, 4), now(RETENTION).parse::<u64>().unwrap_or(24));
            let direction = if hours >= present { "Increase" } else { "Decrease" };
            let operation = format!("{direction}StreamRetentionPeriod");
            let input = json!({ "StreamName": stream.name, "RetentionPeriodHours": hours });
            return change(shared, stream, kinesis, (RETENTION, &hours.to_string()), (&operation, &input)).await;
        }
        8 => {
            let mode = if now(MODE) == "PROVISIONED" { "ON_DEMAND" } else { "PROVISIONED" };
            let input = json!({ "StreamARN": arn, "StreamModeDetails": { "StreamMode": mode } });
            (MODE.to_owned(), mode.to_owned(), "UpdateStreamMode", input)
        }
        _ => {
            let kib = 1024 * random.range(1, 5);
            let input = json!({ "StreamARN": arn, "MaxRecordSizeInKiB": kib });
            (RECORD_SIZE.to_owned(), kib.to_string(), "UpdateMaxRecordSize", input)
        }
    };
    change(shared, stream, kinesis, (&name, &value), (operation, &input)).await
}

async fn change(
    shared: &Shared,
    stream: &Stream,
    kinesis: &mut Kinesis,
    (name, value): (&str, &str),
    (operation, input): (&str, &Value),
) -> Result<(), CallError> {
    stream.facts.lock().becomes(name, value);
    let done = shared.control(kinesis, operation, input).await;
    let mut facts = stream.facts.lock();
    match &done {
        Ok(_) => facts.acknowledged(name),
        Err(error) if !error.outcome_unknown() => facts.refused(name),
        Err(_) => {}
    }
    done.map(|_| ())
}

/// Registers the consumer whose subscriptions are kept open, and gives its ARN.
///
/// # Errors
/// See [`CallError`].
pub async fn register_subscriber(kinesis: &mut Kinesis, account: &str, stream: &Stream) -> Result<String, CallError> {
    let arn = format!("arn:aws:kinesis:us-east-1:{account}:stream/{}", stream.name);
    let by_name = json!({ "StreamARN": arn, "ConsumerName": SUBSCRIBER });
    match kinesis.call("RegisterStreamConsumer", &by_name).await {
        Err(error) if error.code() != "ResourceInUseException" => return Err(error),
        _ => {}
    }
    stream.facts.lock().is(&format!("consumer {SUBSCRIBER}"), "registered");
    loop {
        let described = kinesis.call("DescribeStreamConsumer", &by_name).await?["ConsumerDescription"].take();
        if described["ConsumerStatus"] == "ACTIVE" {
            return Ok(described["ConsumerARN"].as_str().unwrap_or_default().to_owned());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Deletes a stream under load and makes it anew under the same name, again and again.
pub async fn delete_and_create(shared: Shared, stream: Arc<Stream>, mut random: Random) {
    let Some(mut kinesis) = shared.open(&stream).await else { return };
    while !shared.ending() {
        tokio::time::sleep(Duration::from_millis(random.range(20, 300)).max(shared.pace)).await;
        if let Err(error) = rebirth(&shared, &stream, &mut kinesis).await {
            shared.failed(&stream, &error).await;
            return;
        }
    }
}

async fn rebirth(shared: &Shared, stream: &Stream, kinesis: &mut Kinesis) -> Result<(), CallError> {
    let exists = |existence| *stream.existence.lock() = existence;
    exists(Existence::Deleting(false));
    let by_name = json!({ "StreamName": stream.name, "EnforceConsumerDeletion": true });
    shared.control(kinesis, "DeleteStream", &by_name).await?;
    exists(Existence::Deleting(true));
    wait_gone(kinesis, &stream.name).await?;
    exists(Existence::Gone);
    // From here on records are of the new life: none of the old ones is still on its way.
    stream.is_reborn(&shared.time).await;
    exists(Existence::Creating(false));
    shared.control(kinesis, "CreateStream", &json!({ "StreamName": stream.name, "ShardCount": 2 })).await?;
    exists(Existence::Creating(true));
    kinesis.wait_active(&stream.name).await?;
    exists(Existence::Live);
    Ok(())
}

/// Waits until a stream that is being deleted is not there any more.
///
/// # Errors
/// See [`CallError`].
pub async fn wait_gone(kinesis: &mut Kinesis, name: &str) -> Result<(), CallError> {
    loop {
        match kinesis.call("DescribeStreamSummary", &json!({ "StreamName": name })).await {
            Err(error) if error.code() == "ResourceNotFoundException" => return Ok(()),
            answer => answer?,
        };
        tokio::time::sleep(POLL).await;
    }
}

/// Moves the server's clock by half a day or more, now and then: records become due, and the log drops them.
pub async fn move_clock(shared: Shared, mut random: Random, rest: Duration) {
    while !shared.ending() {
        tokio::time::sleep(Duration::from_millis(random.range(100, 900)).max(rest)).await;
        if shared.ending() {
            return;
        }
        let step = HOUR * if random.chance(50) { 13 } else { 25 };
        shared.time.steps_by(step);
        shared.sent.notify_waiters();
        match time::advance(shared.endpoint.address, step).await {
            Ok(ahead) => {
                shared.count("steps of the clock");
                if !shared.time.is_ahead_by(ahead) {
                    let life = shared.streams[0].life.read().await;
                    life.ledger.lock().problem(format!("after a step the clock is {ahead} ms ahead"));
                }
            }
            // Whether the step was taken is asked after the restart.
            Err(_) if shared.ending() => return,
            Err(error) => {
                let life = shared.streams[0].life.read().await;
                life.ledger.lock().problem(format!("under load: a step of the clock: {error}"));
                return;
            }
        }
    }
}
