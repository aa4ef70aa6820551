//! Stopping: requests in flight are finished, nothing else holds it up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Running, call};

#[test]
fn requests_in_flight_are_finished_and_idle_connections_closed() {
    let mut server = Running::start();
    server.fake.closed.store(true, Ordering::SeqCst);
    let (mut busy, mut idle, fresh) = (server.connect(), server.connect(), server.connect());
    assert_eq!(idle.ask(&call("ListStreams", "{}")).status, 200);
    busy.send(call("PutRecord", common::PUT));
    server.wait_for(1);
    server.begin_stop();
    assert!(idle.is_closed());
    drop(fresh);
    let refused = Instant::now();
    while TcpStream::connect(server.address).is_ok() {
        assert!(refused.elapsed() < Duration::from_secs(3), "connections are still accepted");
    }
    server.fake.gate.notify_one();
    let answer = busy.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(server.wait().cut, 0);
}

#[test]
fn nothing_to_finish_is_finished_at_once() {
    let mut server = Running::start();
    let mut idle = server.connect();
    assert_eq!(idle.ask(&call("ListStreams", "{}")).status, 200);
    let _fresh = server.connect();
    let mut half = server.connect();
    half.send("POST / HTTP/1.1\r\n");
    let started = Instant::now();
    server.begin_stop();
    assert_eq!(server.wait().cut, 0);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn a_request_that_takes_longer_than_the_drain_is_cut() {
    let mut server = Running::with(|config| config.drain = Duration::from_millis(200));
    server.fake.closed.store(true, Ordering::SeqCst);
    let mut busy = server.connect();
    busy.send(call("PutRecord", common::PUT));
    server.wait_for(1);
    server.begin_stop();
    assert_eq!(server.wait().cut, 1);
    assert!(busy.answer().is_none());
}

#[test]
fn http2_connections_are_told_to_go() {
    let mut server = Running::start();
    let mut connection = server.connect();
    let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    connection.send(empty_settings);
    // The server's own settings come first: the connection is up.
    let mut received = vec![0; 9];
    std::io::Read::read_exact(&mut connection.stream, &mut received).unwrap();
    server.begin_stop();
    let _ = std::io::Read::read_to_end(&mut connection.stream, &mut received);
    let mut kinds = Vec::new();
    let mut rest = received.as_slice();
    while let [a, b, c, kind, tail @ ..] = rest {
        kinds.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        rest = tail.get(5 + length..).unwrap_or_default();
    }
    const GOAWAY: u8 = 7;
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    assert_eq!(server.wait().cut, 0);
}
