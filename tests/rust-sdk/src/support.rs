//! What the tests share: clients over every transport, streams of one test each, waiting with a deadline.

use std::env;
use std::fs;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::client::Waiters;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::operation::put_record::PutRecordOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ChildShard, Record, ShardIteratorType, StreamMode, StreamModeDetails, StreamStatus};
use aws_sdk_kinesis::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

pub const ACCOUNT: &str = "222233334444";
pub const FIRST: &str = "shardId-000000000000";
pub const MIDDLE: &str = "170141183460469231731687303715884105728";
pub const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

fn config(endpoint: &str) -> aws_sdk_kinesis::config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCOUNT, "secret", None, None, "tests"))
        .endpoint_url(env::var(endpoint).unwrap())
}

/// A client over HTTP/1.1 in cleartext.
pub fn plain() -> Client {
    Client::from_conf(config("MILLSTREAM_ENDPOINT").http_client(Builder::new().build_http()).build())
}

/// The same, which gives up after one attempt.
pub fn impatient() -> Client {
    let once = RetryConfig::standard().with_max_attempts(1);
    Client::from_conf(config("MILLSTREAM_ENDPOINT").http_client(Builder::new().build_http()).retry_config(once).build())
}

/// A client over TLS, which ALPN turns into HTTP/2. It trusts the development authority and no other.
pub fn secure() -> Client {
    let authority = fs::read(env::var("MILLSTREAM_CA").unwrap()).unwrap();
    let trust = TrustStore::empty().with_pem_certificate(authority);
    let context = TlsContext::builder().with_trust_store(trust).build().unwrap();
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https();
    Client::from_conf(config("MILLSTREAM_TLS_ENDPOINT").http_client(http).build())
}

/// A name that no other test uses.
pub fn fresh(stem: &str) -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}-{}", process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

pub fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{stream}")
}

/// Calls `look` until it gives true.
pub async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !look().await {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until a stream is ACTIVE. The SDK's own waiter looks again after ten seconds only, so it looks last.
pub async fn active(client: &Client, stream: &str) {
    until("the stream is ACTIVE", async || {
        let answer = client.describe_stream_summary().stream_name(stream).send().await.unwrap();
        answer.stream_description_summary().unwrap().stream_status() == &StreamStatus::Active
    })
    .await;
    client.wait_until_stream_exists().stream_name(stream).wait(DEADLINE).await.unwrap();
}

/// Waits until a stream is gone.
pub async fn gone(client: &Client, stream: &str) {
    until("the stream is gone", async || {
        let answer = client.describe_stream_summary().stream_name(stream).send().await;
        answer.is_err_and(|error| error.into_service_error().is_resource_not_found_exception())
    })
    .await;
    client.wait_until_stream_not_exists().stream_name(stream).wait(DEADLINE).await.unwrap();
}

/// Creates a stream with one shard, waits until it is ACTIVE, and gives its name.
pub async fn create(client: &Client, stem: &str) -> String {
    let stream = fresh(stem);
    client.create_stream().stream_name(&stream).shard_count(1).send().await.unwrap();
    active(client, &stream).await;
    stream
}

/// The same in on-demand mode.
pub async fn create_on_demand(client: &Client, stem: &str) -> String {
    let stream = fresh(stem);
    client.create_stream().stream_name(&stream).stream_mode_details(on_demand()).send().await.unwrap();
    active(client, &stream).await;
    stream
}

pub fn on_demand() -> StreamModeDetails {
    StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build().unwrap()
}

pub async fn put(client: &Client, stream: &str, words: &str) -> PutRecordOutput {
    client.put_record().stream_name(stream).data(Blob::new(words)).partition_key("k").send().await.unwrap()
}

/// All records of a shard from the horizon up to its tip or end, and the last page.
pub async fn read(client: &Client, stream: &str, shard: &str) -> (Vec<Record>, GetRecordsOutput) {
    let request = client.get_shard_iterator().stream_name(stream).shard_id(shard);
    let given = request.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    drain(client, given.shard_iterator().unwrap()).await
}

pub async fn drain(client: &Client, iterator: &str) -> (Vec<Record>, GetRecordsOutput) {
    let mut records = Vec::new();
    let mut next = iterator.to_owned();
    loop {
        let page = client.get_records().shard_iterator(&next).send().await.unwrap();
        records.extend_from_slice(page.records());
        match page.next_shard_iterator() {
            Some(more) if !page.records().is_empty() || page.millis_behind_latest() != Some(0) => {
                more.clone_into(&mut next)
            }
            _ => return (records, page),
        }
    }
}

pub fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.data().as_ref().to_vec()).unwrap()).collect()
}

/// The children that a shard's end tells of, each with its parents.
pub fn lineage(children: &[ChildShard]) -> Vec<(String, Vec<String>)> {
    children.iter().map(|child| (child.shard_id().to_owned(), child.parent_shards().to_vec())).collect()
}
