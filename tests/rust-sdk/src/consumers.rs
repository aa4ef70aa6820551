//! Consumers with enhanced fan-out, and what they are pushed.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ConsumerStatus, PutRecordsRequestEntry, ShardIteratorType, StartingPosition, SubscribeToShardEvent,
};

use crate::support::{FIRST, MIDDLE, arn, create, fresh, lineage, plain, put, secure, texts, until};

/// Registers a consumer, waits until it is ACTIVE, and gives its ARN.
pub async fn register(client: &Client, stream: &str) -> String {
    let request = client.register_stream_consumer().stream_arn(arn(stream)).consumer_name(fresh("consumer"));
    let registered = request.send().await.unwrap();
    let consumer = registered.consumer().unwrap().consumer_arn().to_owned();
    until("the consumer is ACTIVE", async || {
        let answer = client.describe_stream_consumer().consumer_arn(&consumer).send().await.unwrap();
        answer.consumer_description().unwrap().consumer_status() == &ConsumerStatus::Active
    })
    .await;
    consumer
}

fn horizon() -> StartingPosition {
    StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap()
}

fn after(number: &str) -> StartingPosition {
    let position = StartingPosition::builder().r#type(ShardIteratorType::AfterSequenceNumber);
    position.sequence_number(number).build().unwrap()
}

/// Begins a subscription. While an older one counts (5 s), it tries again, as applications do.
async fn subscribe(client: &Client, consumer: &str, from: StartingPosition) -> SubscribeToShardOutput {
    let mut begun = None;
    until("the shard is free for a subscription", async || {
        let request =
            client.subscribe_to_shard().consumer_arn(consumer).shard_id(FIRST).starting_position(from.clone());
        match request.send().await {
            Ok(answer) => begun = Some(answer),
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.is_resource_in_use_exception(), "{error:?}");
            }
        }
        begun.is_some()
    })
    .await;
    begun.unwrap()
}

/// The next event, or nothing at the end of the subscription.
async fn next(subscription: &mut SubscribeToShardOutput) -> Option<SubscribeToShardEvent> {
    let event = subscription.event_stream.recv().await.unwrap()?;
    Some(event.as_subscribe_to_shard_event().unwrap().clone())
}

/// Reads events until `count` records came; gives them with the last event.
async fn collect(subscription: &mut SubscribeToShardOutput, count: usize) -> (Vec<String>, SubscribeToShardEvent) {
    let mut records = Vec::new();
    loop {
        let event = next(subscription).await.expect("the subscription goes on");
        records.extend(texts(event.records()));
        if records.len() >= count {
            return (records, event);
        }
    }
}

#[tokio::test]
async fn a_consumers_life() {
    let client = plain();
    let stream = create(&client, "consumers").await;
    let one = register(&client, &stream).await;
    register(&client, &stream).await;
    register(&client, &stream).await;
    let name = one.rsplit_once('/').unwrap().1.split_once(':').unwrap().0;
    let named = client.describe_stream_consumer().stream_arn(arn(&stream)).consumer_name(name).send().await.unwrap();
    assert_eq!(named.consumer_description().unwrap().consumer_arn(), one);

    let mut pages = client.list_stream_consumers().stream_arn(arn(&stream)).max_results(2).into_paginator().send();
    let mut counts = Vec::new();
    while let Some(page) = pages.next().await {
        counts.push(page.unwrap().consumers().len());
    }
    assert_eq!(counts, [2, 1]);

    let twice = client.register_stream_consumer().stream_arn(arn(&stream)).consumer_name(name).send().await;
    assert!(twice.unwrap_err().into_service_error().is_resource_in_use_exception());
    let held = client.delete_stream().stream_name(&stream).send().await;
    assert!(held.unwrap_err().into_service_error().is_resource_in_use_exception());
    client.deregister_stream_consumer().consumer_arn(&one).send().await.unwrap();
    until("the consumer is gone", async || match client.describe_stream_consumer().consumer_arn(&one).send().await {
        Ok(_) => false,
        Err(error) => error.into_service_error().is_resource_not_found_exception(),
    })
    .await;
    client.delete_stream().stream_name(&stream).enforce_consumer_deletion(true).send().await.unwrap();
}

#[tokio::test]
async fn a_subscription_to_the_end_of_the_shard_over_http_1() {
    to_the_end(plain()).await;
}

#[tokio::test]
async fn a_subscription_to_the_end_of_the_shard_over_tls_and_http_2() {
    to_the_end(secure()).await;
}

async fn to_the_end(client: Client) {
    let stream = create(&client, "subscribe").await;
    let consumer = register(&client, &stream).await;
    put(&client, &stream, "there before").await;
    let mut subscription = subscribe(&client, &consumer, horizon()).await;
    let (records, last) = collect(&mut subscription, 1).await;
    assert_eq!(records, ["there before"]);
    assert_eq!(last.continuation_sequence_number().len(), 56);
    assert!(last.child_shards().is_empty());

    let words: Vec<String> = (0..50).map(|number| format!("pushed {number}")).collect();
    let entry = |word: &String| PutRecordsRequestEntry::builder().partition_key(word).data(Blob::new(&**word));
    let entries = words.iter().map(|word| entry(word).build().unwrap()).collect();
    client.put_records().stream_name(&stream).set_records(Some(entries)).send().await.unwrap();
    assert_eq!(collect(&mut subscription, 50).await.0, words);

    put(&client, &stream, "last").await;
    let split = client.split_shard().stream_name(&stream).shard_to_split(FIRST).new_starting_hash_key(MIDDLE);
    split.send().await.unwrap();
    let (records, mut last) = collect(&mut subscription, 1).await;
    assert_eq!(records, ["last"]);
    while let Some(event) = next(&mut subscription).await {
        last = event;
    }
    // The SDK shows a number that is absent as an empty text.
    assert_eq!(last.continuation_sequence_number(), "");
    let parents = vec![FIRST.to_owned()];
    let children = ["shardId-000000000001", "shardId-000000000002"].map(|id| (id.to_owned(), parents.clone()));
    assert_eq!(lineage(last.child_shards()), children);
}

#[tokio::test]
async fn a_dropped_subscription_goes_on_where_it_was() {
    let client = secure();
    let stream = create(&client, "continue").await;
    let consumer = register(&client, &stream).await;
    put(&client, &stream, "one").await;
    let mut subscription = subscribe(&client, &consumer, horizon()).await;
    let (_, last) = collect(&mut subscription, 1).await;
    drop(subscription);
    put(&client, &stream, "two").await;
    let mut again = subscribe(&client, &consumer, after(last.continuation_sequence_number())).await;
    assert_eq!(collect(&mut again, 1).await.0, ["two"]);
}

#[tokio::test]
async fn a_subscription_ends_with_its_consumer() {
    let client = plain();
    let stream = create(&client, "ends").await;
    let consumer = register(&client, &stream).await;
    put(&client, &stream, "x").await;
    let mut subscription = subscribe(&client, &consumer, horizon()).await;
    collect(&mut subscription, 1).await;
    client.deregister_stream_consumer().consumer_arn(&consumer).send().await.unwrap();
    // It ends cleanly, or with the error that says why.
    loop {
        match subscription.event_stream.recv().await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                assert!(error.into_service_error().is_resource_not_found_exception());
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_is_told_before_it_begins() {
    let client = plain();
    let stream = create(&client, "wrong").await;
    let consumer = register(&client, &stream).await;
    let request = || client.subscribe_to_shard().starting_position(horizon());
    let shard = request().consumer_arn(&consumer).shard_id("shardId-000000000009").send().await.unwrap_err();
    assert!(shard.into_service_error().is_resource_not_found_exception());
    let nobody = request().consumer_arn(format!("{}/consumer/nobody:1", arn(&stream))).shard_id(FIRST).send().await;
    assert!(nobody.unwrap_err().into_service_error().is_resource_not_found_exception());
    let dry = request().consumer_arn(&consumer).shard_id(FIRST).dry_run(true).send().await.unwrap_err();
    assert!(dry.into_service_error().is_dry_run_operation_exception());
}
