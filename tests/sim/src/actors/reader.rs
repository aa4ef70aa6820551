//! Reads shards with iterators and subscriptions.

use millstream_api::kinesis::{
    GetShardIteratorInput, Input, Output, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
    SubscribeToShardInput,
};
use millstream_api::{ErrorCode, Timestamp};

use super::Clients;
use crate::model::{Cursor, NAMES, Page, ShardKey};
use crate::node::{ACCOUNT, REGION};
use crate::settings::shards;
use crate::verify::get_records;

/// What a reader may meet when a stream is created or deleted, or its own shard expires.
const EXPECTED: [ErrorCode; 3] =
    [ErrorCode::ResourceNotFoundException, ErrorCode::ResourceInUseException, ErrorCode::InvalidArgumentException];

/// Iterators live for so long, ms.
const ITERATOR_LIFE: u64 = 300_000;

/// How many iterators are held at most.
const HELD: usize = 12;

/// Reads, for ever.
pub async fn run(clients: Clients<'_>) {
    loop {
        clients.pause(600).await;
        let held = clients.model.borrow().iterators.len();
        match clients.node.below(8) {
            0 => subscribe(clients).await,
            1..4 => begin(clients).await,
            _ if held == 0 => begin(clients).await,
            _ => go_on(clients).await,
        }
    }
}

/// Draws a shard.
async fn draw(clients: Clients<'_>) -> Option<ShardKey> {
    let stream = clients.node.below(NAMES.len() as u64) as usize;
    let list = match shards(clients.node, NAMES[stream]).await {
        Ok(list) => list,
        Err(error) => {
            clients.is_open("ListShards", &error, &EXPECTED);
            return None;
        }
    };
    let shard = list.get(clients.node.below(list.len() as u64) as usize)?;
    Some((stream, shard.shard_id.clone()))
}

/// Where a reader begins: as the API says it, and what lies behind it then.
struct Begin {
    kind: ShardIteratorType,
    number: Option<String>,
    time: Option<u64>,
    behind: Option<String>,
}

fn draw_begin(clients: Clients<'_>, key: &ShardKey) -> Begin {
    let model = clients.model.borrow();
    let version = model.streams[key.0].version;
    let known: Vec<&String> = model.shards.get(key).map_or_else(Vec::new, |shard| {
        let of_today = |known: &crate::model::Known| known.version == version && !model.relaxed;
        shard.known.iter().filter(|(_, known)| of_today(known)).map(|(sequence, _)| sequence).collect()
    });
    let plain = |kind, behind| Begin { kind, number: None, time: None, behind };
    match clients.node.below(6) {
        0 => plain(ShardIteratorType::Latest, None),
        1 => {
            let time = Some(clients.node.now().saturating_sub(clients.node.below(60_000)));
            Begin { time, ..plain(ShardIteratorType::AtTimestamp, None) }
        }
        2 | 3 if !known.is_empty() => {
            // A number that was just given to a writer, more often than not.
            let back = clients.node.below(known.len() as u64).min(clients.node.below(4)) as usize;
            let number = known[known.len() - 1 - back].clone();
            Begin { number: Some(number.clone()), ..plain(ShardIteratorType::AfterSequenceNumber, Some(number)) }
        }
        _ => plain(ShardIteratorType::TrimHorizon, Some(String::new())),
    }
}

/// Gets an iterator and reads its first page.
async fn begin(clients: Clients<'_>) {
    let Some(key) = draw(clients).await else { return };
    let begin = draw_begin(clients, &key);
    let (version, since) = (clients.model.borrow().streams[key.0].version, clients.node.now());
    let start = GetShardIteratorInput {
        stream_name: Some(NAMES[key.0].into()),
        shard_id: key.1.as_str().into(),
        shard_iterator_type: begin.kind,
        starting_sequence_number: begin.number.clone().map(Into::into),
        timestamp: begin.time.map(|ms| Timestamp(ms as i64)),
        ..Default::default()
    };
    match clients.node.call(Input::GetShardIterator(start)).await {
        Ok(Output::GetShardIterator(output)) => {
            let Some(iterator) = output.shard_iterator else { return };
            let cursor = Cursor { shard: key, version, iterator, since, behind: begin.behind };
            let at = {
                let mut model = clients.model.borrow_mut();
                if model.iterators.len() >= HELD {
                    model.iterators.remove(0);
                }
                model.iterators.push(cursor);
                model.iterators.len() - 1
            };
            read(clients, at).await;
        }
        Ok(other) => clients.model.borrow_mut().problem(format!("GetShardIterator gave {other:?}")),
        Err(error) => {
            clients.is_open("GetShardIterator", &error, &EXPECTED);
        }
    }
}

/// Reads on with an iterator that is held, also over restarts.
async fn go_on(clients: Clients<'_>) {
    let held = clients.model.borrow().iterators.len() as u64;
    read(clients, clients.node.below(held) as usize).await;
}

async fn read(clients: Clients<'_>, at: usize) {
    let (cursor, asked) = {
        let mut model = clients.model.borrow_mut();
        let asked = model.tick();
        let cursor = model.iterators.remove(at);
        (cursor, asked)
    };
    let time = clients.node.now();
    let answer = get_records(clients.node, &cursor.iterator).await;
    let now = clients.node.now();
    let same = clients.model.borrow().streams[cursor.shard.0].is_still(cursor.version);
    match answer {
        Ok(output) if same => {
            let at_end = output.millis_behind_latest == Some(0);
            let page = Page { records: &output.records, at_end, asked, time, now };
            let mut model = clients.model.borrow_mut();
            let behind = model.read(&cursor.shard, cursor.behind.as_deref(), &page);
            if let Some(iterator) = output.next_shard_iterator {
                model.iterators.push(Cursor { iterator, since: now, behind, ..cursor });
            }
        }
        // The stream was created or deleted meanwhile.
        Ok(_) => {}
        Err(error) if error.code == ErrorCode::ExpiredIteratorException => {
            if now < cursor.since + ITERATOR_LIFE {
                clients.model.borrow_mut().problem(format!("an iterator of {} expired early", cursor.shard.1));
            }
        }
        Err(error) => {
            // A closed shard goes with its last record.
            let expired = clients.model.borrow().streams[cursor.shard.0].due > crate::node::BIRTH;
            let expected: &[ErrorCode] = if same && !expired { &[] } else { &EXPECTED };
            if clients.is_open("GetRecords", &error, expected) {
                clients.model.borrow_mut().iterators.push(cursor);
            }
        }
    }
}

/// Subscribes to a shard and takes some events.
async fn subscribe(clients: Clients<'_>) {
    let Some(key) = draw(clients).await else { return };
    let name = NAMES[key.0];
    let begin = draw_begin(clients, &key);
    let version = clients.model.borrow().streams[key.0].version;
    let consumer = format!("c{}", clients.node.below(2));
    let Some(consumer_arn) = consumer_arn(clients, key.0, &consumer).await else { return };
    let starting_position = StartingPosition {
        r#type: begin.kind,
        sequence_number: begin.number.clone().map(Into::into),
        timestamp: begin.time.map(|ms| Timestamp(ms as i64)),
        ..Default::default()
    };
    let input = SubscribeToShardInput {
        consumer_arn: consumer_arn.into(),
        shard_id: key.1.as_str().into(),
        starting_position,
        ..Default::default()
    };
    let mut events = match clients.node.call(Input::SubscribeToShard(input)).await {
        Ok(Output::SubscribeToShard(output)) => output.event_stream,
        Ok(other) => return clients.model.borrow_mut().problem(format!("SubscribeToShard gave {other:?}")),
        Err(error) => {
            clients.is_open("SubscribeToShard", &error, &EXPECTED);
            return;
        }
    };
    let mut behind = begin.behind;
    for _ in 0..clients.node.below(6) {
        let (asked, time) = (clients.model.borrow_mut().tick(), clients.node.now());
        events.ready().await;
        let event = events.next_event().await;
        let now = clients.node.now();
        if !clients.model.borrow().streams[key.0].is_still(version) {
            return;
        }
        match event {
            None => return,
            Some(SubscribeToShardEventStream::Exception(error)) => {
                clients.is_open(&format!("a subscription to {name}"), &error, &EXPECTED);
                return;
            }
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => {
                // An event that was waited for says nothing of what was acknowledged meanwhile.
                let at_end = event.millis_behind_latest == 0 && time == now;
                let page = Page { records: &event.records, at_end, asked, time, now };
                behind = clients.model.borrow_mut().read(&key, behind.as_deref(), &page);
            }
        }
    }
}

async fn consumer_arn(clients: Clients<'_>, stream: usize, consumer: &str) -> Option<String> {
    use millstream_api::kinesis::DescribeStreamConsumerInput;
    let stream_arn = Some(crate::node::arn(NAMES[stream]).into());
    let consumer_name = Some(consumer.into());
    let describe = DescribeStreamConsumerInput { stream_arn, consumer_name, ..Default::default() };
    match clients.node.call(Input::DescribeStreamConsumer(describe)).await {
        Ok(Output::DescribeStreamConsumer(output)) => {
            let arn = output.consumer_description.consumer_arn;
            let begin = format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{}/consumer/{consumer}:", NAMES[stream]);
            if !arn.starts_with(&begin) {
                clients.model.borrow_mut().problem(format!("consumer {consumer} has the ARN {arn}"));
            }
            Some(arn)
        }
        Ok(_) => None,
        Err(error) => {
            clients.is_open("DescribeStreamConsumer", &error, &EXPECTED);
            None
        }
    }
}
