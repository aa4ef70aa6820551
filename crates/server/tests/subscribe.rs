//! Streams of events: over HTTP/1.1 and HTTP/2, in JSON and CBOR, with readers that are quick, slow or gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{Ending, JSON, Running, until};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millstream_api::{Error, ErrorCode};
use millstream_env::runtime;
use tokio::net::TcpStream;

const CBOR: &str = "application/x-amz-cbor-1.1";
const REQUEST: &str = "{\"ConsumerARN\":\"a\",\"ShardId\":\"s\",\"StartingPosition\":{\"Type\":\"LATEST\"}}";

/// Bytes that a client of HTTP/2 takes without being read.
const WINDOW: u32 = 64 << 10;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A message of an event stream.
#[derive(Debug)]
struct Message {
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// CRC-32 of zlib, bit by bit.
fn crc(bytes: &[u8]) -> usize {
    let step = |crc: u32| (crc >> 1) ^ (if crc & 1 == 1 { 0xedb8_8320 } else { 0 });
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))) as usize
}

/// The first message of `bytes`, checked, and the rest.
fn parse(bytes: &[u8]) -> Option<(Message, &[u8])> {
    let length = number(bytes.get(..4)?);
    let whole = bytes.get(..length)?;
    assert_eq!(number(&whole[8..12]), crc(&whole[..8]));
    if length < 10_000 {
        assert_eq!(number(&whole[length - 4..]), crc(&whole[..length - 4]));
    }
    let (mut rest, payload) = whole[12..length - 4].split_at(number(&whole[4..8]));
    let mut headers = Vec::new();
    while let [length, tail @ ..] = rest {
        let (name, tail) = tail.split_at(usize::from(*length));
        assert_eq!(tail[0], 7, "a string");
        let (value, tail) = tail[3..].split_at(number(&tail[1..3]));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        headers.push((text(name), text(value)));
        rest = tail;
    }
    Some((Message { headers, payload: payload.to_vec() }, &bytes[length..]))
}

/// A subscriber, which reads only when it is asked to.
struct Subscriber {
    body: Incoming,
    read: Vec<u8>,
}

impl Subscriber {
    /// Subscribes; the connection lives as long as the runtime.
    async fn new(server: &Running, version: http::Version, content_type: &str) -> Subscriber {
        let stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let body = if content_type == CBOR { cbor_request() } else { REQUEST.as_bytes().to_vec() };
        let request = common::request("SubscribeToShard", content_type, body);
        let response = if version == http::Version::HTTP_2 {
            let mut client = http2::Builder::new(TokioExecutor::new());
            client.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
            let (mut sender, connection) = client.handshake(io).await.unwrap();
            runtime::spawn(async move { drop(connection.await) });
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(io).await.unwrap();
            runtime::spawn(async move { drop(connection.await) });
            sender.send_request(request).await.unwrap()
        };
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/vnd.amazon.eventstream");
        assert_eq!((headers["x-amzn-requestid"].len(), headers["x-amz-id-2"].len()), (36, 88));
        assert!(!headers.contains_key("content-length"));
        Subscriber { body: response.into_body(), read: Vec::new() }
    }

    /// The next message; `None` at a clean end, an error if the answer was broken off.
    async fn next(&mut self) -> Result<Option<Message>, hyper::Error> {
        loop {
            if let Some((message, rest)) = parse(&self.read) {
                self.read = rest.to_vec();
                return Ok(Some(message));
            }
            match self.body.frame().await.transpose()? {
                Some(frame) => self.read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                None => {
                    assert!(self.read.is_empty(), "the answer ends within a message");
                    return Ok(None);
                }
            }
        }
    }

    async fn message(&mut self) -> Message {
        self.next().await.unwrap().expect("a message")
    }
}

/// `REQUEST` as the Java SDK sends it: maps without lengths.
fn cbor_request() -> Vec<u8> {
    b"\xbf\x6bConsumerARN\x61a\x67ShardId\x61s\x70StartingPosition\xbf\x64Type\x66LATEST\xff\xff".to_vec()
}

const VERSIONS: [http::Version; 2] = [http::Version::HTTP_11, http::Version::HTTP_2];

#[test]
fn the_first_message_does_not_wait_for_an_event() {
    let server = Running::start();
    for version in VERSIONS {
        for (content_type, empty) in [(JSON, &b"{}"[..]), (CBOR, b"\xa0")] {
            let message = run(async { Subscriber::new(&server, version, content_type).await.message().await });
            assert_eq!(message.header(":message-type"), "event");
            assert_eq!(message.header(":event-type"), "initial-response");
            assert_eq!(message.header(":content-type"), content_type);
            assert_eq!(message.payload, empty);
        }
    }
}

#[test]
fn events_come_in_the_requests_format_and_end_cleanly() {
    let server = Running::start();
    let events = &server.fake.events;
    events.count.store(3, Ordering::SeqCst);
    events.size.store(2, Ordering::SeqCst);
    for version in VERSIONS {
        *events.ending.lock().unwrap() = Some(Ending::Clean);
        run(async {
            let mut json = Subscriber::new(&server, version, JSON).await;
            json.message().await;
            for number in 1..=3 {
                let message = json.message().await;
                assert_eq!(message.header(":event-type"), "SubscribeToShardEvent");
                assert_eq!(message.header(":content-type"), JSON);
                assert_eq!(
                    String::from_utf8(message.payload).unwrap(),
                    format!(
                        "{{\"Records\":[{{\"SequenceNumber\":\"\",\"ApproximateArrivalTimestamp\":1787036486.712,\
                         \"Data\":\"Bwc=\"}}],\"MillisBehindLatest\":{number}}}"
                    )
                );
            }
            assert!(json.next().await.unwrap().is_none());
            let mut cbor = Subscriber::new(&server, version, CBOR).await;
            cbor.message().await;
            let message = cbor.message().await;
            assert_eq!(message.header(":content-type"), CBOR);
            assert_eq!(
                message.payload,
                b"\xa2\x67Records\x81\xa3\x6eSequenceNumber\x60\x78\x1bApproximateArrivalTimestamp\
                  \xc1\x1b\x00\x00\x01\xa0\x13\xac\xcc\x38\x64Data\x42\x07\x07\x72MillisBehindLatest\x01"
            );
        });
    }
}

#[test]
fn an_error_is_the_last_message() {
    let server = Running::start();
    let error = Error::new(ErrorCode::ResourceInUseException, "taken over");
    *server.fake.events.ending.lock().unwrap() = Some(Ending::Failure(error));
    for version in VERSIONS {
        for (content_type, payload) in
            [(JSON, &b"{\"message\":\"taken over\"}"[..]), (CBOR, b"\xa1\x67message\x6ataken over")]
        {
            run(async {
                let mut subscriber = Subscriber::new(&server, version, content_type).await;
                subscriber.message().await;
                let message = subscriber.message().await;
                assert_eq!(message.header(":message-type"), "exception");
                assert_eq!(message.header(":exception-type"), "ResourceInUseException");
                assert_eq!(message.header(":content-type"), content_type);
                assert_eq!(message.payload, payload);
                assert!(subscriber.next().await.unwrap().is_none());
            });
        }
    }
}

#[test]
fn a_refusal_is_a_plain_answer() {
    let server = Running::start();
    let answer = server.ask(&common::call("SubscribeToShard", "{\"ShardId\":[]}"));
    assert_eq!((answer.status, answer.header("content-type")), (400, Some(JSON)));
}

#[test]
fn a_reader_that_stalls_is_given_no_more_events() {
    let server = Running::start();
    let events = &server.fake.events;
    events.size.store(1 << 20, Ordering::SeqCst);
    events.count.store(16, Ordering::SeqCst);
    for version in VERSIONS {
        events.given.store(0, Ordering::SeqCst);
        run(async {
            let mut stalled = Subscriber::new(&server, version, CBOR).await;
            stalled.message().await;
            let mut quick = Subscriber::new(&server, version, CBOR).await;
            for _ in 0..17 {
                quick.message().await;
            }
            // What the sockets' buffers hold, and one on its way. Over HTTP/2 the window holds none.
            let given = events.given.load(Ordering::SeqCst) - 16;
            let limit = if version == http::Version::HTTP_2 { 1 } else { 12 };
            assert!(given <= limit, "{given} events were made for a reader that took none");
            // It goes on when it reads on.
            for number in 1..=16 {
                let payload = stalled.message().await.payload;
                assert!(payload.ends_with(&[b"MillisBehindLatest", &[number][..]].concat()), "event {number}");
            }
        });
    }
}

#[test]
fn those_who_stall_give_way_to_those_who_read() {
    for version in VERSIONS {
        let server = Running::with(|config| {
            config.memory = 4 << 20;
            config.pace.window = Duration::from_millis(100);
        });
        let events = &server.fake.events;
        // One event takes more than there is for events, and more than sockets hold.
        events.size.store(8 << 20, Ordering::SeqCst);
        events.count.store(3, Ordering::SeqCst);
        run(async {
            // Two may be given theirs before either is known to be so large, and a third may overdraw.
            let mut stalled = Vec::new();
            for given in 1..=3 {
                stalled.push(Subscriber::new(&server, version, CBOR).await);
                while events.given.load(Ordering::SeqCst) < given {
                    runtime::sleep(Duration::from_millis(5)).await;
                }
            }
            let mut reader = Subscriber::new(&server, version, CBOR).await;
            for _ in 0..4 {
                reader.message().await;
            }
            let mut broken = 0;
            for subscriber in &mut stalled {
                subscriber.message().await;
                broken += usize::from(subscriber.next().await.is_err());
            }
            assert!(broken >= 1, "nobody has given way");
        });
    }
}

#[test]
fn a_stop_ends_them_at_once() {
    for version in VERSIONS {
        let mut server = Running::start();
        server.fake.events.count.store(1, Ordering::SeqCst);
        run(async {
            let mut subscriber = Subscriber::new(&server, version, JSON).await;
            subscriber.message().await;
            subscriber.message().await;
            server.begin_stop();
            assert!(subscriber.next().await.unwrap().is_none());
        });
        assert_eq!(server.wait().cut, 0);
        assert_eq!(server.fake.events.dropped.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_stop_does_not_wait_for_those_who_stall() {
    for version in VERSIONS {
        let mut server = Running::with(|config| config.drain = Duration::from_secs(30));
        let events = &server.fake.events;
        // More than sockets hold.
        events.size.store(8 << 20, Ordering::SeqCst);
        events.count.store(1, Ordering::SeqCst);
        run(async {
            let mut stalled = Subscriber::new(&server, version, CBOR).await;
            stalled.message().await;
            while server.fake.events.given.load(Ordering::SeqCst) == 0 {
                runtime::sleep(Duration::from_millis(5)).await;
            }
            server.begin_stop();
            // Those that the drain's end cuts are counted.
            assert_eq!(server.wait().cut, 0);
        });
    }
}

#[test]
fn a_client_that_goes_away_ends_its_subscription() {
    let server = Running::start();
    for (number, version) in VERSIONS.into_iter().enumerate() {
        // An end of HTTP/1.1's connection shows when something is sent on it.
        let count = if version == http::Version::HTTP_2 { 0 } else { usize::MAX };
        server.fake.events.count.store(count, Ordering::SeqCst);
        run(async {
            let mut subscriber = Subscriber::new(&server, version, JSON).await;
            subscriber.message().await;
        });
        until("the subscription ends", || server.fake.events.dropped.load(Ordering::SeqCst) == number + 1);
    }
}

#[test]
fn an_idle_subscription_is_no_idle_connection() {
    let server = Running::with(|config| {
        config.idle_timeout = Duration::from_millis(40);
        config.pace.window = Duration::from_millis(40);
    });
    run(async {
        let mut subscribers = Vec::new();
        for version in VERSIONS {
            let mut subscriber = Subscriber::new(&server, version, JSON).await;
            subscriber.message().await;
            subscribers.push(subscriber);
        }
        // An idle connection is closed meanwhile.
        let mut idle = server.connect();
        assert_eq!(idle.ask(&common::call("ListStreams", "{}")).status, 200);
        assert!(idle.is_closed());
        *server.fake.events.ending.lock().unwrap() = Some(Ending::Clean);
        assert_eq!(server.fake.events.dropped.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_connection_may_be_hung_up_within_a_stream() {
    let server = Running::start();
    *server.fake.events.ending.lock().unwrap() = Some(Ending::HangUp);
    for version in VERSIONS {
        run(async {
            let mut subscriber = Subscriber::new(&server, version, JSON).await;
            subscriber.message().await;
            assert!(subscriber.next().await.is_err());
        });
    }
}
