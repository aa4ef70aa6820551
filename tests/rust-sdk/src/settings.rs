//! What is set on streams, consumers and the account, and the errors as the SDK's own types.

use std::collections::HashMap;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::RequestId;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    MetricsName, MinimumThroughputBillingCommitmentOutputStatus, RecordDistributionStrategy, StreamDescriptionSummary,
    StreamMode, Tag,
};
use serde_json::{Value, json};

use crate::consumers::register;
use crate::support::{
    ACCOUNT, FIRST, active, arn, create, create_on_demand, fresh, impatient, on_demand, plain, put, read,
};

async fn summary(client: &Client, stream: &str) -> StreamDescriptionSummary {
    let answer = client.describe_stream_summary().stream_name(stream).send().await.unwrap();
    answer.stream_description_summary().unwrap().clone()
}

#[tokio::test]
async fn retention_monitoring_mode_and_the_largest_record() {
    let client = plain();
    let stream = create(&client, "settings").await;
    let longer = client.increase_stream_retention_period().stream_name(&stream).retention_period_hours(48);
    longer.send().await.unwrap();
    active(&client, &stream).await;
    assert_eq!(summary(&client, &stream).await.retention_period_hours(), 48);
    let shorter = client.decrease_stream_retention_period().stream_name(&stream).retention_period_hours(24);
    shorter.send().await.unwrap();
    active(&client, &stream).await;

    let on = client.enable_enhanced_monitoring().stream_name(&stream).shard_level_metrics(MetricsName::IncomingBytes);
    assert_eq!(on.send().await.unwrap().desired_shard_level_metrics(), [MetricsName::IncomingBytes]);
    active(&client, &stream).await;
    let off = client.disable_enhanced_monitoring().stream_name(&stream).shard_level_metrics(MetricsName::All);
    assert_eq!(off.send().await.unwrap().desired_shard_level_metrics(), []);
    active(&client, &stream).await;

    client.update_max_record_size().stream_arn(arn(&stream)).max_record_size_in_kib(2048).send().await.unwrap();
    active(&client, &stream).await;
    assert_eq!(summary(&client, &stream).await.max_record_size_in_kib(), Some(2048));

    client.update_stream_mode().stream_arn(arn(&stream)).stream_mode_details(on_demand()).send().await.unwrap();
    active(&client, &stream).await;
    assert_eq!(summary(&client, &stream).await.stream_mode_details().unwrap().stream_mode(), &StreamMode::OnDemand);
}

#[tokio::test]
async fn records_placed_by_the_service() {
    let client = plain();
    let stream = create_on_demand(&client, "auto").await;
    let update = client.update_stream_record_distribution_strategy().stream_arn(arn(&stream));
    update.record_distribution_strategy(RecordDistributionStrategy::Auto).send().await.unwrap();
    let placed = client.put_record().stream_name(&stream).data(Blob::new("no key")).send().await.unwrap();
    let (records, _) = read(&client, &stream, placed.shard_id()).await;
    assert_eq!(records[0].data().as_ref(), b"no key");
}

#[tokio::test]
async fn tags_of_streams_and_consumers() {
    let client = plain();
    let stream = fresh("tags");
    client.create_stream().stream_name(&stream).shard_count(1).tags("born", "with").send().await.unwrap();
    active(&client, &stream).await;
    client.add_tags_to_stream().stream_name(&stream).tags("old", "1").tags("gone", "x").send().await.unwrap();
    client.tag_resource().resource_arn(arn(&stream)).tags("new", "2").send().await.unwrap();
    client.remove_tags_from_stream().stream_name(&stream).tag_keys("gone").send().await.unwrap();
    let all = HashMap::from([("born", "with"), ("new", "2"), ("old", "1")]);
    let older = client.list_tags_for_stream().stream_name(&stream).send().await.unwrap();
    assert_eq!(map(older.tags()), all);
    let newer = client.list_tags_for_resource().resource_arn(arn(&stream)).send().await.unwrap();
    assert_eq!(map(newer.tags()), all);
    client.untag_resource().resource_arn(arn(&stream)).tag_keys("born").tag_keys("new").send().await.unwrap();
    let left = client.list_tags_for_resource().resource_arn(arn(&stream)).send().await.unwrap();
    assert_eq!(map(left.tags()), HashMap::from([("old", "1")]));

    let consumer = register(&client, &stream).await;
    client.tag_resource().resource_arn(&consumer).tags("stage", "test").send().await.unwrap();
    let tags = client.list_tags_for_resource().resource_arn(&consumer).send().await.unwrap();
    assert_eq!(map(tags.tags()), HashMap::from([("stage", "test")]));
}

fn map(tags: &[Tag]) -> HashMap<&str, &str> {
    tags.iter().map(|tag| (tag.key(), tag.value().unwrap_or_default())).collect()
}

#[tokio::test]
async fn policies_of_streams_and_consumers() {
    let client = plain();
    let stream = create(&client, "policy").await;
    let consumer = register(&client, &stream).await;
    for (resource, action) in [(arn(&stream), "kinesis:GetRecords"), (consumer, "kinesis:SubscribeToShard")] {
        let get = async || {
            let answer = client.get_resource_policy().resource_arn(&resource).send().await.unwrap();
            serde_json::from_str::<Value>(answer.policy()).unwrap()
        };
        assert_eq!(get().await, json!({}));
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Sid": "read", "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": [action], "Resource": resource}]});
        client.put_resource_policy().resource_arn(&resource).policy(policy.to_string()).send().await.unwrap();
        assert_eq!(get().await, policy);
        client.delete_resource_policy().resource_arn(&resource).send().await.unwrap();
        let again = client.delete_resource_policy().resource_arn(&resource).send().await.unwrap_err();
        assert!(again.into_service_error().is_resource_not_found_exception());
    }
}

#[tokio::test]
async fn the_account() {
    let client = plain();
    let limits = client.describe_limits().send().await.unwrap();
    assert!(limits.shard_limit() > 0 && limits.on_demand_stream_count_limit() > 0);
    let settings = client.describe_account_settings().send().await.unwrap();
    let commitment = settings.minimum_throughput_billing_commitment().unwrap();
    assert_eq!(commitment.status(), &MinimumThroughputBillingCommitmentOutputStatus::Disabled);
    let stream = create_on_demand(&client, "warm").await;
    let warm = client.update_stream_warm_throughput().stream_name(&stream).warm_throughput_mibps(100);
    assert!(warm.send().await.unwrap_err().into_service_error().is_validation_exception());
}

#[tokio::test]
async fn errors_are_the_sdks_own_types() {
    let client = plain();
    let stream = create(&client, "errors").await;
    let small = || client.put_record().partition_key("k").data(Blob::new("x"));
    let missing = small().stream_name("nowhere").send().await.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception());
    assert_eq!(missing.message(), Some(&*format!("Stream nowhere under account {ACCOUNT} not found.")));
    assert_eq!(missing.meta().request_id().unwrap().len(), 36);

    let twice = client.create_stream().stream_name(&stream).shard_count(1).send().await.unwrap_err();
    assert!(twice.into_service_error().is_resource_in_use_exception());
    let garbage = client.get_records().shard_iterator("garbage").send().await.unwrap_err().into_service_error();
    assert!(garbage.is_invalid_argument_exception());
    assert_eq!(garbage.message(), Some("Invalid ShardIterator."));
    let large = Blob::new(vec![0; (1 << 20) + 1]);
    let large = client.put_record().stream_name(&stream).partition_key("k").data(large).send().await.unwrap_err();
    assert_eq!(large.into_service_error().code(), Some("ValidationException"));
    let dry = small().stream_name(&stream).dry_run(true).send().await.unwrap_err().into_service_error();
    assert!(dry.is_dry_run_operation_exception());
    assert_eq!(dry.message(), Some("Request would have succeeded, but DryRun flag is set."));
}

#[tokio::test]
async fn a_shards_rate_shows_without_retries() {
    let (client, impatient) = (plain(), impatient());
    let stream = create(&client, "rate").await;
    let data = Blob::new(vec![0; 700 << 10]);
    let send = async || impatient.put_record().stream_name(&stream).partition_key("k").data(data.clone()).send().await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(send().await);
    }
    let over = answers.into_iter().find_map(Result::err).unwrap().into_service_error();
    assert!(over.is_provisioned_throughput_exceeded_exception());
    let words = format!("Rate exceeded for shard {FIRST} in stream {stream} under account {ACCOUNT}.");
    assert_eq!(over.message(), Some(&*words));
    // With retries a small put is only slower.
    put(&client, &stream, "small").await;
}
