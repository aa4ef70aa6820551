//! TLS on the port of cleartext.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{Connection, Running, call, headers};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millstream_server::{CertificateError, ServerConfig, Tls};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version};

const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
const LIST: &str = "{\"StreamNames\":[\"000000000000\",\"eu-west-1\",\"AKID\"],\"HasMoreStreams\":false}";

/// A certificate that signs itself, and its key.
struct Pair {
    chain: String,
    key: String,
    root: CertificateDer<'static>,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Pair { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), root: made.cert.der().clone() }
}

/// A server that speaks TLS, and what its clients trust.
struct Secure {
    running: Running,
    tls: Arc<Tls>,
    pair: Pair,
}

fn secure(only: bool, change: impl FnOnce(&mut ServerConfig)) -> Secure {
    let pair = pair();
    let tls = Arc::new(Tls::new(pair.chain.as_bytes(), pair.key.as_bytes(), only).unwrap());
    let running = Running::with(|config| {
        config.tls = Some(Arc::clone(&tls));
        change(config);
    });
    Secure { running, tls, pair }
}

fn client(trusted: &Pair, versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

type Secured = Connection<StreamOwned<ClientConnection, TcpStream>>;

impl Secure {
    /// A connection whose handshake is over, or what went wrong with it.
    fn try_connect(&self, config: Arc<ClientConfig>) -> std::io::Result<Secured> {
        let mut stream = self.running.connect().stream;
        let mut session = ClientConnection::new(config, localhost()).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Connection::over(StreamOwned::new(session, stream)))
    }

    fn connect(&self) -> Secured {
        self.try_connect(client(&self.pair, &BOTH, &[])).unwrap()
    }
}

#[test]
fn http1_in_both_versions_of_tls_beside_cleartext() {
    let server = secure(false, |_| {});
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        for alpn in [&[][..], &["http/1.1"], &["http/1.1", "h2"], &["h2", "http/1.1"]] {
            let mut connection = server.try_connect(client(&server.pair, versions, alpn)).unwrap();
            let chosen = connection.stream.conn.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
            // The server prefers HTTP/2; a client that offers it can still go on with HTTP/1.1.
            let wanted = alpn.iter().find(|name| **name == "h2").or(alpn.first());
            assert_eq!(chosen.as_deref(), wanted.copied());
            for _ in 0..2 {
                let answer = connection.ask(&call("ListStreams", "{}"));
                assert_eq!((answer.status, answer.text().as_str()), (200, LIST));
            }
        }
    }
    let mut clear = server.running.connect();
    for _ in 0..2 {
        assert_eq!(clear.ask(&call("ListStreams", "{}")).text(), LIST);
    }
    let mut slowly = server.running.connect();
    let request = call("ListStreams", "{}");
    slowly.send(&request[..1]);
    slowly.send(&request[1..]);
    assert_eq!(slowly.answer().unwrap().text(), LIST);
}

#[test]
fn http2_with_alpn_and_without_it() {
    let server = secure(false, |_| {});
    server.running.fake.page.store(3 << 20, Ordering::SeqCst);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for alpn in [&["h2"][..], &["h2", "http/1.1"], &[]] {
        let connector = tokio_rustls::TlsConnector::from(client(&server.pair, &BOTH, alpn));
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(server.running.address).await.unwrap();
            let stream = connector.connect(localhost(), stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), alpn.first().map(|name| name.as_bytes()));
            let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
            let (mut sender, connection) = handshake.await.unwrap();
            let driver = tokio::task::spawn(connection);
            for (operation, least) in [("ListStreams", LIST.len()), ("GetRecords", 4 << 20)] {
                let request = http::Request::post("https://localhost:1/")
                    .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
                    .header("content-type", common::JSON)
                    .header("x-amz-date", "a")
                    .header("authorization", "A Credential=AKID,Signature=b,SignedHeaders=c")
                    .body(Full::new(Bytes::from_static(b"{\"ShardIterator\":\"x\"}")))
                    .unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!((response.version(), response.status().as_u16()), (http::Version::HTTP_2, 200));
                assert!(response.into_body().collect().await.unwrap().to_bytes().len() >= least - 20);
            }
            driver.abort();
        });
    }
}

#[test]
fn a_handshake_that_is_none_is_answered_and_ended() {
    let server = secure(false, |_| {});
    let mut garbage = server.running.connect();
    garbage.send([0x16, 3, 1, 0, 5, 9, 9, 9, 9, 9]);
    let mut said = Vec::new();
    let _ = garbage.stream.read_to_end(&mut said);
    // An alert, if anything.
    assert!(matches!(said.first(), None | Some(0x15)), "{said:?}");
    // A client that does not trust the certificate, and one that wants a protocol which is not spoken.
    assert!(server.try_connect(client(&pair(), &BOTH, &[])).is_err());
    assert!(server.try_connect(client(&server.pair, &BOTH, &["ftp"])).is_err());
    assert_eq!(server.connect().ask(&call("ListStreams", "{}")).text(), LIST);
}

#[test]
fn a_slow_handshake_and_a_silent_connection_are_cut() {
    let server = secure(false, |config| config.head_timeout = Duration::from_millis(200));
    let mut slow = server.running.connect();
    slow.send([0x16, 3, 1]);
    assert!(slow.is_closed());
    let server = secure(false, |config| config.idle_timeout = Duration::from_millis(200));
    assert!(server.running.connect().is_closed());
}

#[test]
fn handshakes_that_drip_or_have_no_end_are_cut() {
    let server = secure(false, |config| config.head_timeout = Duration::from_millis(300));
    // One byte after the other of a record that says it is long.
    let mut dripping = server.running.connect();
    dripping.send([0x16, 3, 1, 0x40, 0]);
    common::until("it is cut", || {
        std::thread::sleep(Duration::from_millis(10));
        std::io::Write::write_all(&mut dripping.stream, &[1]).is_err()
    });
    assert_eq!(server.running.cut("slow_handshake"), 1);
    // A first message of 16 MiB, of which as much comes as is taken.
    let mut bloated = server.running.connect();
    let record = [&[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], &[0; (16 << 10) - 4]].concat();
    let mut sent = 0;
    while std::io::Write::write_all(&mut bloated.stream, &record).is_ok() {
        sent += record.len();
        assert!(sent < 64 << 20, "it is read without end");
    }
    common::until("it is counted", || server.running.cut("tls_handshake") == 1);
    assert_eq!(server.connect().ask(&call("ListStreams", "{}")).status, 200);
}

#[test]
fn connections_before_their_handshake_make_room() {
    let server = secure(false, |config| config.max_connections = 5);
    let mut held = Vec::new();
    for _ in 0..10 {
        held.extend((0..5).map(|_| server.running.connect()));
        assert_eq!(server.connect().ask(&call("ListStreams", "{}")).status, 200);
    }
    assert!(server.running.cut("crowded") > 40);
    assert!(held[0].is_closed());
}

#[test]
fn watching_goes_on_behind_the_handshake() {
    let server = secure(false, |config| config.head_timeout = Duration::from_millis(500));
    let mut half = server.connect();
    half.send("POST / HTTP/1.1\r\n");
    assert!(ends(&mut half));
    let server = secure(false, |config| config.idle_timeout = Duration::from_millis(200));
    assert!(ends(&mut server.connect()));
}

/// Waits for the end of a connection, with or without TLS's word for it.
fn ends(connection: &mut Secured) -> bool {
    match connection.stream.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::UnexpectedEof,
    }
}

#[test]
fn a_handshake_under_way_does_not_hold_up_a_stop() {
    let mut server = secure(false, |config| {
        config.head_timeout = Duration::from_secs(3600);
        config.drain = Duration::from_secs(30);
    });
    let (mut busy, mut idle) = (server.connect(), server.connect());
    assert_eq!(idle.ask(&call("ListStreams", "{}")).status, 200);
    let (mut half, mut silent) = (server.running.connect(), server.running.connect());
    half.send([0x16, 3, 1]);
    server.running.fake.closed.store(true, Ordering::SeqCst);
    busy.send(call("PutRecord", "{\"PartitionKey\":\"k\",\"Data\":\"\"}"));
    server.running.wait_for(1);
    server.running.begin_stop();
    // Each would run into its read timeout.
    assert!(half.is_closed() && silent.is_closed() && ends(&mut idle));
    server.running.fake.gate.notify_one();
    let answer = busy.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(server.running.wait().cut, 0);
}

#[test]
fn cleartext_can_be_refused() {
    let server = secure(true, |_| {});
    assert_eq!(server.connect().ask(&call("ListStreams", "{}")).text(), LIST);
    let mut clear = server.running.connect();
    let answer = clear.ask(&call("ListStreams", "{}"));
    assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert!(clear.is_closed());
    assert_eq!(server.running.fake.requests.lock().unwrap().len(), 1);
}

#[test]
fn a_page_that_came_by_tls_is_its_own_origin() {
    let server = secure(false, |_| {});
    let request = |scheme: &str| {
        let lines = headers("ListStreams");
        format!(
            "POST / HTTP/1.1\r\nHost: localhost:1\r\nOrigin: {scheme}://localhost:1\r\n{lines}Content-Length: 2\r\n\r\n{{}}"
        )
    };
    assert_eq!(
        server.connect().ask(&request("https")).header("access-control-allow-origin"),
        Some("https://localhost:1")
    );
    assert_eq!(server.connect().ask(&request("http")).status, 403);
    assert_eq!(server.running.ask(&request("http")).status, 200);
    assert_eq!(server.running.ask(&request("https")).status, 403);
}

#[test]
fn a_certificate_can_be_replaced() {
    let server = secure(false, |_| {});
    let mut earlier = server.connect();
    let new = pair();
    assert!(matches!(
        server.tls.replace(new.chain.as_bytes(), server.pair.key.as_bytes()),
        Err(CertificateError::Mismatch)
    ));
    assert!(server.try_connect(client(&new, &BOTH, &[])).is_err());
    server.tls.replace(new.chain.as_bytes(), new.key.as_bytes()).unwrap();
    let mut later = server.try_connect(client(&new, &BOTH, &[])).unwrap();
    assert_eq!(later.ask(&call("ListStreams", "{}")).status, 200);
    assert_eq!(earlier.ask(&call("ListStreams", "{}")).status, 200);
    assert!(server.try_connect(client(&server.pair, &BOTH, &[])).is_err());
}

#[test]
fn files_that_hold_something_else_are_told_apart() {
    let (pair, other) = (self::pair(), self::pair());
    let fails = |chain: &str, key: &str| {
        let error = Tls::new(chain.as_bytes(), key.as_bytes(), false).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        error
    };
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(fails("", &pair.key), CertificateError::NoCertificate));
    assert!(matches!(fails(&pair.key, &pair.key), CertificateError::NoCertificate));
    assert!(matches!(fails(no_certificate, &pair.key), CertificateError::Certificate(_)));
    assert!(matches!(fails("-----BEGIN CERTIFICATE-----\n", &pair.key), CertificateError::Certificate(_)));
    assert!(matches!(fails(&pair.chain, &pair.chain), CertificateError::NoKey));
    assert!(matches!(fails(&pair.chain, no_key), CertificateError::Key(_)));
    assert!(matches!(fails(&pair.chain, &other.key), CertificateError::Mismatch));
}
