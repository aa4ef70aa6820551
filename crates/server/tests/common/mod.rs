//! A server over a service that is easy to steer, and a client that says exactly what it is told to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, dead_code)]

pub mod frames;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use millstream_api::kinesis::{
    GetRecordsOutput, Input, ListStreamsOutput, Output, PutRecordOutput, Record, Service, SubscribeToShardEvent,
    SubscribeToShardEventStream, SubscribeToShardOutput,
};
use millstream_api::{BoxFuture, Context, Error, ErrorCode, EventStream, Events, HangUp, Timestamp};
use millstream_env::Env;
use millstream_server::{ControlSource, Drained, HealthSource, Server, ServerConfig};
use tokio::sync::{Notify, oneshot};

/// `ListStreams` answers with the caller's account, region and access key; `PutRecord` waits for the gate if it is
/// closed; `GetRecords` answers with `page` bytes; `MergeShards` hangs up;
/// `SubscribeToShard` streams what `events` says; everything else fails.
#[derive(Default)]
pub struct Fake {
    pub page: AtomicUsize,
    pub closed: AtomicBool,
    pub gate: Notify,
    pub entered: AtomicUsize,
    pub requests: Mutex<Vec<String>>,
    pub events: Arc<Subscriptions>,
}

/// What subscriptions give, and what has become of them.
#[derive(Default)]
pub struct Subscriptions {
    /// Bytes of each event's record.
    pub size: AtomicUsize,
    /// Events of each subscription.
    pub count: AtomicUsize,
    /// What comes after them; nothing does if there is none.
    pub ending: Mutex<Option<Ending>>,
    /// Events given to all subscriptions.
    pub given: AtomicUsize,
    /// Subscriptions that were dropped.
    pub dropped: AtomicUsize,
}

#[derive(Clone, Debug)]
pub enum Ending {
    Clean,
    Failure(Error),
    HangUp,
}

struct Script {
    events: Arc<Subscriptions>,
    hang_up: HangUp,
    given: usize,
}

impl Events<SubscribeToShardEventStream> for Script {
    fn ready(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn next_event(&mut self) -> BoxFuture<'_, Option<SubscribeToShardEventStream>> {
        Box::pin(async move {
            if self.given < self.events.count.load(Ordering::SeqCst) {
                self.given += 1;
                self.events.given.fetch_add(1, Ordering::SeqCst);
                let data = Bytes::from(vec![7; self.events.size.load(Ordering::SeqCst)]);
                return Some(SubscribeToShardEventStream::SubscribeToShardEvent(SubscribeToShardEvent {
                    records: vec![Record {
                        data,
                        approximate_arrival_timestamp: Some(Timestamp(1_787_036_486_712)),
                        ..Record::default()
                    }],
                    millis_behind_latest: self.given as i64,
                    ..SubscribeToShardEvent::default()
                }));
            }
            let ending = self.events.ending.lock().unwrap().clone();
            match ending {
                Some(Ending::Clean) => None,
                Some(Ending::Failure(error)) => Some(SubscribeToShardEventStream::Exception(error)),
                Some(Ending::HangUp) => {
                    self.hang_up.ask();
                    None
                }
                None => std::future::pending().await,
            }
        })
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.events.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Service for Fake {
    fn call<'a>(&'a self, context: &'a Context, input: Input<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            self.requests.lock().unwrap().push(context.request_id.to_string());
            match input {
                Input::ListStreams(_) => Ok(Output::ListStreams(ListStreamsOutput {
                    stream_names: [&context.account, &context.region, &context.access_key]
                        .map(|text| text.to_string())
                        .to_vec(),
                    ..ListStreamsOutput::default()
                })),
                Input::CreateStream(_) => Ok(Output::CreateStream),
                Input::PutRecord(_) => {
                    self.entered.fetch_add(1, Ordering::SeqCst);
                    if self.closed.load(Ordering::SeqCst) {
                        self.gate.notified().await;
                    }
                    Ok(Output::PutRecord(PutRecordOutput::default()))
                }
                Input::GetRecords(_) => {
                    self.entered.fetch_add(1, Ordering::SeqCst);
                    let data = Bytes::from(vec![7; self.page.load(Ordering::SeqCst)]);
                    let records = vec![Record { data, ..Record::default() }];
                    Ok(Output::GetRecords(GetRecordsOutput { records, ..GetRecordsOutput::default() }))
                }
                Input::MergeShards(_) => {
                    context.hang_up.ask();
                    Ok(Output::MergeShards)
                }
                Input::SubscribeToShard(_) => {
                    self.entered.fetch_add(1, Ordering::SeqCst);
                    let events =
                        Script { events: Arc::clone(&self.events), hang_up: context.hang_up.clone(), given: 0 };
                    let event_stream = EventStream::new(events);
                    Ok(Output::SubscribeToShard(SubscribeToShardOutput { event_stream }))
                }
                Input::DescribeLimits(_) => Err(Error::bare(ErrorCode::InternalFailure)),
                other => Err(Error::new(ErrorCode::ResourceNotFoundException, other.operation().name())),
            }
        })
    }
}

/// The metrics of one server, by name and `reason`.
#[derive(Default)]
pub struct Counts(Mutex<HashMap<(String, String), Arc<AtomicU64>>>);

impl Counts {
    fn cell(&self, name: &str, reason: &str) -> Arc<AtomicU64> {
        Arc::clone(self.0.lock().unwrap().entry((name.to_owned(), reason.to_owned())).or_default())
    }

    fn of(&self, key: &Key) -> Arc<AtomicU64> {
        let reason = key.labels().find(|label| label.key() == "reason").map_or("", |label| label.value());
        self.cell(key.name(), reason)
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// A running server. Dropping it stops it.
pub struct Running {
    pub address: SocketAddr,
    pub fake: Arc<Fake>,
    counts: Counts,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Drained>>,
}

impl Running {
    /// Waits until so many requests have reached the service.
    pub fn wait_for(&self, requests: usize) {
        until("the requests reach the service", || self.fake.entered.load(Ordering::SeqCst) >= requests);
    }

    /// Connections cut for this reason.
    pub fn cut(&self, reason: &str) -> u64 {
        self.counts.cell("millstream_connections_cut_total", reason).load(Ordering::SeqCst)
    }

    /// Requests refused for this reason.
    pub fn refused(&self, reason: &str) -> u64 {
        self.counts.cell("millstream_refusals_total", reason).load(Ordering::SeqCst)
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.counts.cell(name, "").load(Ordering::SeqCst))
    }

    pub fn connections(&self) -> f64 {
        self.gauge("millstream_connections")
    }

    /// Bytes of memory held by requests and by events.
    pub fn held(&self) -> f64 {
        assert_eq!(self.ask("GET /_millstream/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
        self.gauge("millstream_requests_in_flight_bytes") + self.gauge("millstream_events_in_flight_bytes")
    }

    /// Asks as an honest client does, on a connection of its own, and expects to be served.
    pub fn serves_others(&self) {
        let mut other = self.connect();
        assert_eq!(other.ask(&call("ListStreams", "{}")).status, 200);
        assert_eq!(other.ask(&call("PutRecord", PUT)).status, 200);
    }

    pub fn start() -> Running {
        Running::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut ServerConfig)) -> Running {
        Running::start_with(change, None)
    }

    pub fn with_controls(controls: Arc<dyn ControlSource>) -> Running {
        Running::start_with(|_| {}, Some(controls))
    }

    fn start_with(change: impl FnOnce(&mut ServerConfig), controls: Option<Arc<dyn ControlSource>>) -> Running {
        let mut config = ServerConfig::new("us-east-1", "000000000000");
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.drain = Duration::from_secs(5);
        change(&mut config);
        let fake = Arc::new(Fake::default());
        let health = HealthSource {
            problems: Arc::new(|| vec!["a disk is full".to_owned()]),
            metrics: Arc::new(|| "a_metric 1\n".to_owned()),
        };
        let counts = Counts::default();
        let service = Arc::clone(&fake) as Arc<dyn Service>;
        let bind = || Server::bind(config, Env::real(1), service, health).unwrap();
        let server = metrics::with_local_recorder(&counts, bind);
        let server = match controls {
            Some(controls) => server.with_test_controls(controls),
            None => server,
        };
        let address = server.addresses()[0];
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.run(async { drop(stopped.await) })).unwrap()
        });
        Running { address, fake, counts, stop: Some(stop), thread: Some(thread) }
    }

    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Connection::over(stream)
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: &str) -> Answer {
        self.connect().ask(request)
    }

    /// Begins to stop, and does not wait.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub fn wait(&mut self) -> Drained {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub struct Connection<S = TcpStream> {
    pub stream: S,
    read: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    pub fn over(stream: S) -> Connection<S> {
        Connection { stream, read: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.answer().expect("an answer")
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Bytes up to and with `end`.
    pub fn until(&mut self, end: &str) -> Option<String> {
        loop {
            let found = self.read.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.read.split_off(at + end.len());
                let bytes = std::mem::replace(&mut self.read, rest);
                return Some(String::from_utf8(bytes).unwrap());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// The next answer; `None` if the connection ends before it.
    pub fn answer(&mut self) -> Option<Answer> {
        let head = self.until("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            if !self.more() {
                return None;
            }
        }
        let rest = self.read.split_off(length);
        answer.body = std::mem::replace(&mut self.read, rest);
        Some(answer)
    }

    /// All bytes up to the connection's end.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.read)
    }

    /// Whether the server has closed the connection, with nothing more to say.
    pub fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.more()
    }
}

/// A PutRecord's body.
pub const PUT: &str = "{\"PartitionKey\":\"k\",\"Data\":\"\"}";
pub const JSON: &str = "application/x-amz-json-1.1";
pub const SIGNED: &str = "X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
    Credential=AKID/20260101/eu-west-1/kinesis/aws4_request, SignedHeaders=host, Signature=0\r\n";

/// A POST with these header lines (each ends with `\r\n`).
pub fn post(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The header lines of a good call of `operation`.
pub fn headers(operation: &str) -> String {
    format!("X-Amz-Target: Kinesis_20131202.{operation}\r\nContent-Type: {JSON}\r\n{SIGNED}")
}

/// A good call.
pub fn call(operation: &str, body: &str) -> String {
    post(&headers(operation), body)
}

/// Waits for a condition.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(120), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A good call for an HTTP client.
pub fn request(operation: &str, content_type: &str, body: impl Into<Bytes>) -> http::Request<Full<Bytes>> {
    http::Request::post("http://localhost/")
        .header("host", "localhost")
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .header("content-type", content_type)
        .header("x-amz-date", "20260101T000000Z")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/kinesis/aws4_request, SignedHeaders=host, Signature=0",
        )
        .body(Full::from(body.into()))
        .unwrap()
}
