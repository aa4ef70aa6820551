//! Streams and records.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ScalingType, ShardFilter, ShardFilterType, ShardIteratorType};

use crate::support::{
    FIRST, MIDDLE, active, arn, create, drain, fresh, gone, lineage, plain, put, read, secure, texts,
};

#[tokio::test]
async fn a_streams_life_over_http_1() {
    life(plain()).await;
}

#[tokio::test]
async fn a_streams_life_over_tls_and_http_2() {
    life(secure()).await;
}

async fn life(client: Client) {
    let stream = create(&client, "life").await;
    let first = put(&client, &stream, "from rust ü").await;
    assert_eq!(first.shard_id(), FIRST);
    let entry = |key: &str| {
        let entry = PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new([0, 255, key.as_bytes()[0]]));
        entry.build().unwrap()
    };
    let entries = ["a", "b", "c"].map(entry).to_vec();
    let many = client.put_records().stream_name(&stream).set_records(Some(entries)).send().await.unwrap();
    assert_eq!(many.failed_record_count(), Some(0));

    let (records, _) = read(&client, &stream, FIRST).await;
    assert_eq!(records[0].data().as_ref(), "from rust ü".as_bytes());
    assert_eq!(records[0].sequence_number(), first.sequence_number());
    let data: Vec<&[u8]> = records[1..].iter().map(|record| record.data().as_ref()).collect();
    assert_eq!(data, [[0, 255, b'a'], [0, 255, b'b'], [0, 255, b'c']]);
    let stamped = *records[0].approximate_arrival_timestamp().unwrap();
    let now = DateTime::from(std::time::SystemTime::now());
    assert!((now.secs() - stamped.secs()).abs() < 60, "arrived at {stamped}");

    let middle = many.records()[1].sequence_number().unwrap();
    let from = |kind: ShardIteratorType| {
        client.get_shard_iterator().stream_name(&stream).shard_id(FIRST).shard_iterator_type(kind)
    };
    for (request, count) in [
        (from(ShardIteratorType::AtSequenceNumber).starting_sequence_number(middle), 2),
        (from(ShardIteratorType::AfterSequenceNumber).starting_sequence_number(middle), 1),
        (from(ShardIteratorType::AtTimestamp).timestamp(stamped), 4),
        (from(ShardIteratorType::Latest), 0),
    ] {
        let given = request.send().await.unwrap();
        assert_eq!(drain(&client, given.shard_iterator().unwrap()).await.0.len(), count);
    }
    client.delete_stream().stream_name(&stream).send().await.unwrap();
    gone(&client, &stream).await;
}

#[tokio::test]
async fn the_paginator_of_streams() {
    let client = plain();
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(create(&client, "page").await);
    }
    let mut pages = client.list_streams().limit(2).into_paginator().send();
    let (mut seen, mut count) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        seen.extend_from_slice(page.unwrap().stream_names());
        count += 1;
    }
    assert!(count > 1);
    assert!(made.iter().all(|stream| seen.contains(stream)), "{made:?} in {seen:?}");
    let named = client.describe_stream().stream_arn(arn(&made[0])).send().await.unwrap();
    assert_eq!(named.stream_description().unwrap().stream_name(), made[0]);
}

#[tokio::test]
async fn splits_merges_and_counts_of_shards() {
    let client = plain();
    let stream = create(&client, "reshard").await;
    put(&client, &stream, "before").await;
    let split = client.split_shard().stream_name(&stream).shard_to_split(FIRST).new_starting_hash_key(MIDDLE);
    split.send().await.unwrap();
    active(&client, &stream).await;
    let (records, end) = read(&client, &stream, FIRST).await;
    assert_eq!(texts(&records), ["before"]);
    assert_eq!(end.next_shard_iterator(), None);
    let [left, right] = ["shardId-000000000001", "shardId-000000000002"].map(str::to_owned);
    let of_first = vec![FIRST.to_owned()];
    assert_eq!(lineage(end.child_shards()), [(left.clone(), of_first.clone()), (right.clone(), of_first)]);

    let merge = client.merge_shards().stream_name(&stream).shard_to_merge(&left).adjacent_shard_to_merge(&right);
    merge.send().await.unwrap();
    active(&client, &stream).await;
    let (_, end) = read(&client, &stream, &left).await;
    assert_eq!(lineage(end.child_shards()), [("shardId-000000000003".to_owned(), vec![left, right])]);

    let update = client.update_shard_count().stream_name(&stream).target_shard_count(2);
    let update = update.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
    assert_eq!((update.current_shard_count(), update.target_shard_count()), (Some(1), Some(2)));
    active(&client, &stream).await;
    let latest = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().unwrap();
    let open = client.list_shards().stream_name(&stream).shard_filter(latest).send().await.unwrap();
    assert_eq!(open.shards().len(), 2);
    let page = client.list_shards().stream_name(&stream).max_results(4).send().await.unwrap();
    let rest = client.list_shards().next_token(page.next_token().unwrap()).send().await.unwrap();
    assert_eq!((page.shards().len(), rest.shards().len()), (4, 2));
}

#[tokio::test]
async fn a_record_larger_than_a_mebibyte() {
    let client = plain();
    let stream = fresh("large");
    let create = client.create_stream().stream_name(&stream).shard_count(1).max_record_size_in_kib(3072);
    create.send().await.unwrap();
    active(&client, &stream).await;
    let data: Vec<u8> = (0..3 << 19).map(|byte: u32| (byte % 251) as u8).collect();
    let put = client.put_record().stream_name(&stream).partition_key("k").data(Blob::new(data.clone()));
    put.send().await.unwrap();
    let (records, _) = read(&client, &stream, FIRST).await;
    assert!(records[0].data().as_ref() == data, "the record came back changed");
}
