//! HTTP/1.1 and HTTP/2 on one port, and what keeps one client from taking everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Running, call, headers};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millstream_server::Pace;

#[test]
fn a_connection_is_kept() {
    let server = Running::start();
    let mut connection = server.connect();
    for _ in 0..3 {
        assert_eq!(connection.ask(&call("ListStreams", "{}")).status, 200);
        assert_eq!(connection.ask(&call("Nonsense", "{}")).status, 400);
        assert_eq!(connection.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 403);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Running::start();
    let mut connection = server.connect();
    let operations = ["ListStreams", "Nonsense", "CreateStream", "DescribeLimits", "ListStreams"];
    connection.send(operations.map(|operation| call(operation, "{}")).concat());
    assert_eq!(operations.map(|_| connection.answer().unwrap().status), [200, 400, 200, 500, 200]);
}

#[test]
fn chunked_bodies_and_expectations() {
    let server = Running::start();
    let mut connection = server.connect();
    connection.send(format!(
        "POST /any/path HTTP/1.1\r\nHost: localhost\r\n{}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
        headers("ListStreams")
    ));
    assert!(connection.until("\r\n\r\n").unwrap().starts_with("HTTP/1.1 100 "));
    connection.send("3\r\n{\"L\r\n9\r\nimit\": 3}\r\n0\r\n\r\n");
    assert_eq!(connection.answer().unwrap().status, 200);
}

#[test]
fn a_client_that_closes_its_side_is_still_answered() {
    let server = Running::start();
    let mut connection = server.connect();
    connection.send(call("ListStreams", "{}"));
    connection.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(connection.answer().unwrap().status, 200);
}

#[test]
fn broken_http_is_answered_or_closed() {
    let server = Running::start();
    for nonsense in ["\u{16}\u{3}\u{1}garbage\r\n\r\n", "GET\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"] {
        let mut connection = server.connect();
        connection.send(nonsense);
        assert!(connection.answer().is_none_or(|answer| answer.status == 400));
    }
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let mut connection = server.connect();
    let _ = std::io::Write::write_all(&mut connection.stream, head.as_bytes());
    assert!(connection.answer().is_none_or(|answer| answer.status == 431));
    // Beyond the limit on heads, and within the buffer.
    let mut connection = server.connect();
    connection.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(65 << 10)));
    assert_eq!(connection.answer().unwrap().status, 431);
    assert_eq!(server.ask(&call("ListStreams", "{}")).status, 200);
}

#[test]
fn bodies_that_are_too_large() {
    let server = Running::with(|config| config.max_body = 1000);
    let fits = format!("{{\"x\":\"{}\"}}", "y".repeat(992));
    assert_eq!(fits.len(), 1000);
    assert_eq!(server.ask(&call("ListStreams", &fits)).status, 200);
    // Read and dropped, so that a client that sends first and reads later gets its answer.
    let answer = server.ask(&call("ListStreams", &"y".repeat(1001)));
    assert_eq!((answer.status, answer.body.len(), answer.header("connection")), (413, 0, Some("close")));
    // Announced beyond all measure, or asked for first: not read at all.
    let head = |length: u64, more: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\n{}{more}Content-Length: {length}\r\n\r\n",
            headers("ListStreams")
        )
    };
    assert_eq!(server.ask(&head(1 << 40, "")).status, 413);
    assert_eq!(server.ask(&head(1001, "Expect: 100-continue\r\n")).status, 413);
    let endless = format!("{}\r\n", head(0, "").replace("Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n"));
    let mut connection = server.connect();
    connection.send(endless);
    for _ in 0..5 {
        connection.send(format!("3e8\r\n{}\r\n", "z".repeat(1000)));
    }
    assert_eq!(connection.answer().unwrap().status, 413);
}

#[test]
fn a_body_that_trickles_is_cut() {
    let pace = Pace { window: Duration::from_millis(200), bytes: 100 };
    let server = Running::with(|config| config.pace = pace);
    let mut connection = server.connect();
    connection
        .send(format!("POST / HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 100\r\n\r\n{{", headers("ListStreams")));
    let started = Instant::now();
    let answer = connection.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(connection.is_closed());
}

#[test]
fn half_a_head_and_idle_connections_are_closed() {
    let server = Running::with(|config| {
        config.head_timeout = Duration::from_millis(300);
        config.idle_timeout = Duration::from_millis(600);
    });
    let (mut half, mut idle, mut fresh) = (server.connect(), server.connect(), server.connect());
    assert_eq!(idle.ask(&call("ListStreams", "{}")).status, 200);
    half.send("POST / HTTP/1.1\r\nHost: loc");
    let started = Instant::now();
    assert!(half.is_closed());
    assert!(idle.is_closed());
    assert!(fresh.is_closed());
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn half_a_head_that_came_with_a_request_has_no_more_time() {
    let server = Running::with(|config| {
        config.head_timeout = Duration::from_millis(300);
        config.idle_timeout = Duration::from_secs(600);
    });
    let mut connection = server.connect();
    connection.send(call("ListStreams", "{}") + "POST / HTTP/1.1\r\nHost: loc");
    assert_eq!(connection.answer().unwrap().status, 200);
    assert!(connection.is_closed());
}

#[test]
fn connections_beyond_the_most_wait_for_requests_to_end() {
    let server = Running::with(|config| config.max_connections = 1);
    server.fake.closed.store(true, Ordering::SeqCst);
    let mut first = server.connect();
    first.send(call("PutRecord", common::PUT));
    server.wait_for(1);
    let mut second = server.connect();
    second.send(call("ListStreams", "{}"));
    second.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(std::io::Read::read(&mut second.stream, &mut [0]).is_err(), "it is not served yet");
    server.fake.gate.notify_one();
    assert_eq!(first.answer().unwrap().status, 200);
    second.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(second.answer().unwrap().status, 200);
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let pace = Pace { window: Duration::from_millis(300), bytes: 1000 };
    let mut server = Running::with(|config| {
        config.pace = pace;
        config.drain = Duration::from_secs(60);
    });
    server.fake.page.store(12 << 20, Ordering::SeqCst);
    let mut connections: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.send(call("GetRecords", "{\"ShardIterator\":\"x\"}").repeat(3));
    }
    server.wait_for(3);
    // A drain waits for what is in flight: long before its end, nothing of them is left.
    let started = Instant::now();
    server.begin_stop();
    assert_eq!(server.wait().cut, 0);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn clients_that_do_not_read_do_not_keep_others_from_memory() {
    let server = Running::with(|config| {
        config.memory = 32 << 20;
        config.memory_wait = Duration::from_millis(300);
        // Nothing else cuts them.
        config.pace = Pace { window: Duration::from_secs(600), bytes: 1 };
    });
    // Three take more than the budget, and leave what small requests need.
    server.fake.page.store(11 << 20, Ordering::SeqCst);
    let read = call("GetRecords", "{\"ShardIterator\":\"x\"}");
    let mut stalled: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut stalled {
        connection.send(&read);
    }
    server.wait_for(3);
    let mut patient = server.connect();
    // A refusal does not end the connection.
    common::until("there is room", || {
        let answer = patient.ask(&read);
        assert!(matches!((answer.status, answer.header("connection")), (200 | 503, None)), "{answer:?}");
        answer.status == 200
    });
    assert!(stalled.iter_mut().any(|connection| connection.answer().is_none()));
}

#[test]
fn memory_for_answers_is_shared() {
    let server = Running::with(|config| {
        config.memory = 1 << 20;
        config.memory_wait = Duration::from_secs(20);
    });
    server.fake.page.store(300 << 10, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let answer = server.ask(&call("GetRecords", "{\"ShardIterator\":\"x\"}"));
                assert_eq!(answer.status, 200);
                assert!(answer.body.len() > 400 << 10);
            });
        }
    });
}

#[test]
fn without_memory_the_answer_is_to_come_again() {
    let server = Running::with(|config| {
        // Room for one: a put's body counts three times.
        config.memory = 3000;
        config.memory_wait = Duration::from_millis(50);
        config.max_body = 2000;
    });
    server.fake.closed.store(true, Ordering::SeqCst);
    let body = |length: usize| format!("{{\"PartitionKey\":\"k\",\"Data\":\"\",\"x\":\"{}\"}}", "y".repeat(length));
    // One takes what there is, one overdraws.
    let (mut first, mut second) = (server.connect(), server.connect());
    first.send(call("PutRecord", &body(900)));
    second.send(call("PutRecord", &body(900)));
    server.wait_for(2);
    let refused = server.ask(&call("PutRecord", &body(900)));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.text().starts_with("{\"__type\":\"ServiceUnavailable\""), "{}", refused.text());
    for _ in 0..2 {
        server.fake.gate.notify_one();
    }
    assert_eq!((first.answer().unwrap().status, second.answer().unwrap().status), (200, 200));
    server.fake.closed.store(false, Ordering::SeqCst);
    assert_eq!(server.ask(&call("PutRecord", &body(900))).status, 200);
}

#[test]
fn http2_with_prior_knowledge() {
    let server = Running::start();
    server.fake.page.store(3 << 20, Ordering::SeqCst);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::task::spawn(connection);
        let ask = |operation: &'static str, body: &'static str| {
            let mut sender = sender.clone();
            async move {
                let request = http::Request::post("http://localhost:1/")
                    .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
                    .header("content-type", common::JSON)
                    .header("x-amz-date", "a")
                    .header("authorization", "A Credential=AKID,Signature=b,SignedHeaders=c")
                    .body(Full::new(bytes::Bytes::from(body)))
                    .unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.version(), http::Version::HTTP_2);
                assert!(response.headers().contains_key("x-amzn-requestid"));
                assert!(response.headers().contains_key("content-length"));
                let status = response.status().as_u16();
                (status, response.into_body().collect().await.unwrap().to_bytes().len())
            }
        };
        assert_eq!(ask("CreateStream", "{}").await, (200, 0));
        let (list, none, unknown, page) = tokio::join!(
            ask("ListStreams", "{}"),
            ask("ListStreams", ""),
            ask("Nonsense", "{}"),
            ask("GetRecords", "{\"ShardIterator\":\"x\"}")
        );
        assert_eq!((list.0, none.0, unknown.0, page.0), (200, 400, 400, 200));
        assert!(page.1 > 4 << 20);
        driver.abort();
    });
}
