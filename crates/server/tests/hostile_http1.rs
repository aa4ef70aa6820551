//! What clients of HTTP/1.1 can do to wear the server out, each beside an honest client that must be served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Connection, Running, call, headers, until};
use millstream_server::{Pace, ServerConfig};

const SHORT: Duration = Duration::from_millis(300);

/// A second and its parts instead of ten: what is waited for comes soon.
fn quick(config: &mut ServerConfig) {
    config.head_timeout = SHORT;
    config.pace = Pace { window: SHORT, bytes: 1000 };
}

/// The head of a call of PutRecord, up to what says how long its body is.
fn put_head(more: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{}{more}\r\n", headers("PutRecord"))
}

/// Sends `bytes` again and again, until the server has had enough.
fn keep_sending(connection: &mut Connection<TcpStream>, bytes: &[u8], pause: Duration) {
    until("the connection ends", || {
        std::thread::sleep(pause);
        connection.stream.write_all(bytes).is_err()
    });
}

#[test]
fn heads_that_drip_are_cut() {
    let server = Running::with(quick);
    let mut dripping: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for connection in &mut dripping {
        connection.send("POST / HTTP/1.1\r\n");
    }
    server.serves_others();
    for connection in &mut dripping {
        // One byte after the other makes it no longer.
        keep_sending(connection, b"x", Duration::from_millis(5));
    }
    assert_eq!(server.cut("slow_head"), 20);
    server.serves_others();
}

#[test]
fn empty_lines_between_requests_are_no_requests() {
    let server = Running::with(|config| {
        config.idle_timeout = Duration::from_secs(600);
        quick(config);
    });
    let mut connection = server.connect();
    assert_eq!(connection.ask(&call("ListStreams", "{}")).status, 200);
    keep_sending(&mut connection, b"\r\n", Duration::from_millis(5));
    assert_eq!(server.cut("slow_head"), 1);
}

#[test]
fn heads_have_a_size() {
    let server = Running::start();
    let many: String = (0..101).map(|n| format!("X-{n}: x\r\n")).collect();
    let heads = [
        (431, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")),
        (431, format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 << 10))),
        (431, format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(64 << 10))),
    ];
    for (status, head) in &heads {
        let mut connection = server.connect();
        // It may have had enough before all is sent.
        let _ = connection.stream.write_all(head.as_bytes());
        assert!(connection.answer().is_none_or(|answer| answer.status == *status));
        assert!(connection.rest().is_empty());
    }
    until("they are counted", || server.cut("protocol_error") == heads.len() as u64);
    // A head without an end is not kept whole.
    let mut endless = server.connect();
    endless.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    keep_sending(&mut endless, &[b'x'; 4096], Duration::ZERO);
    server.serves_others();
}

#[test]
fn bodies_that_drip_are_cut_and_slow_ones_are_not() {
    let server = Running::with(quick);
    let mut dripping: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for connection in &mut dripping {
        connection.send(put_head("Content-Length: 100000\r\n") + "{");
    }
    // Slow, and above the pace.
    let mut slow = server.connect();
    let body = format!("{{\"PartitionKey\":\"k\",\"Data\":\"{}\"}}", "A".repeat(8000));
    slow.send(put_head(&format!("Content-Length: {}\r\n", body.len())));
    for piece in body.as_bytes().chunks(400) {
        slow.send(piece);
        std::thread::sleep(SHORT / 6);
    }
    assert_eq!(slow.answer().unwrap().status, 200);
    server.serves_others();
    for connection in &mut dripping {
        assert_eq!(connection.answer().unwrap().status, 408);
        assert!(connection.is_closed());
    }
    assert_eq!(server.refused("too_slow"), 50);
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn chunks_that_mean_nothing_are_refused() {
    let server = Running::with(|config| {
        config.max_body = 1000;
        quick(config);
    });
    let extension = format!("1;{}\r\nx\r\n", "e".repeat(20 << 10));
    let trailer = format!("0\r\nX: {}\r\n\r\n", "x".repeat(70 << 10));
    let trailers: String = (0..200).map(|n| format!("X-{n}: x\r\n")).collect();
    let endless = [
        // One byte each, and never an end.
        (413, "1\r\nx\r\n".repeat(5000)),
        // Within one chunk.
        (413, format!("ffffffff\r\n{}", "x".repeat(5000))),
        (400, extension),
        (400, format!("1;{}\r\nx\r\n", "e".repeat(100)).repeat(400)),
        (400, trailer),
        (400, format!("0\r\n{trailers}\r\n")),
        (400, "fffffffffffffffff\r\n".to_owned()),
        // No byte of a body in all of it.
        (408, "0".repeat(100_000)),
        (408, format!("1{}", " ".repeat(100_000))),
    ];
    for (status, chunks) in endless {
        let mut connection = server.connect();
        connection.send(put_head("Transfer-Encoding: chunked\r\n"));
        let _ = connection.stream.write_all(chunks.as_bytes());
        let answer = connection.answer();
        let shown = &chunks[..chunks.len().min(20)];
        assert!(answer.as_ref().is_none_or(|answer| answer.status == status), "{shown}: {answer:?}");
        assert!(connection.rest().is_empty(), "{shown}");
    }
    assert_eq!(server.fake.entered.load(Ordering::SeqCst), 0);
    server.serves_others();
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn idle_connections_make_room() {
    let server = Running::with(|config| {
        config.max_connections = 40;
        config.idle_timeout = Duration::from_secs(600);
        config.head_timeout = Duration::from_secs(600);
    });
    // One that has a request is nobody's to take.
    server.fake.closed.store(true, Ordering::SeqCst);
    let mut busy = server.connect();
    busy.send(call("PutRecord", common::PUT));
    server.wait_for(1);
    server.fake.closed.store(false, Ordering::SeqCst);
    let mut held = Vec::new();
    for round in 0..10 {
        held.extend((0..30).map(|_| server.connect()));
        // Half a head makes none busy, nor does a request that was answered.
        for connection in held.iter_mut().rev().take(10) {
            connection.send("POST / HTT");
        }
        server.serves_others();
        assert!(server.connections() <= 41.0, "in round {round}");
    }
    assert!(server.cut("crowded") > 250, "{}", server.cut("crowded"));
    assert!(held[0].is_closed(), "the first to come is the first to go");
    server.fake.gate.notify_one();
    assert_eq!(busy.answer().unwrap().status, 200);
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    let server = Running::start();
    std::thread::scope(|scope| {
        for kind in 0..4 {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..500 {
                    let mut connection = server.connect();
                    match kind {
                        0 => {}
                        1 => connection.send("POST"),
                        2 => connection.send(put_head("Content-Length: 1000\r\n")),
                        _ => connection.send(call("ListStreams", "{}")),
                    }
                }
            });
        }
        for _ in 0..20 {
            server.serves_others();
        }
    });
    until("all are gone", || server.connections() == 0.0);
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn requests_are_not_read_ahead_of_answers() {
    let server = Running::with(quick);
    let mut connection = server.connect();
    connection.stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let flood = call("ListStreams", "{}").repeat(100);
    let mut sent = 0;
    // Its answers fill the buffers of the sockets; then nothing is read any more, and soon nobody waits for it.
    let error = loop {
        match connection.stream.write(flood.as_bytes()) {
            Ok(some) => sent += some,
            Err(error) => break error.kind(),
        }
        assert!(sent < 1 << 30, "everything is read");
    };
    let blocked = matches!(error, ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(blocked || matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error:?}");
    server.serves_others();
    until("it is cut", || server.cut("slow_reader") == 1);
    until("its memory is given back", || server.held() == 0.0);
}

#[test]
fn many_requests_on_one_connection_are_no_attack() {
    let server = Running::with(quick);
    let mut connection = server.connect();
    for _ in 0..50 {
        connection.send(call("ListStreams", "{}").repeat(40));
        for _ in 0..40 {
            assert_eq!(connection.answer().unwrap().status, 200);
        }
    }
}

#[test]
fn bodies_that_break_off_give_their_memory_back() {
    let server = Running::start();
    let mut begun: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for connection in &mut begun {
        connection.send(put_head("Content-Length: 100000\r\n") + &" ".repeat(50_000));
    }
    until("they are read", || server.held() >= 50.0 * 3.0 * 50_000.0);
    server.serves_others();
    drop(begun);
    until("they are gone", || server.connections() == 0.0);
    until("their memory is given back", || server.held() == 0.0);
    assert_eq!(server.refused("broken_off"), 50);
    assert_eq!(server.fake.entered.load(Ordering::SeqCst), 1, "none of them is called");
}

#[test]
fn subscribers_that_disappear_give_their_memory_back() {
    let server = Running::start();
    server.fake.events.size.store(100_000, Ordering::SeqCst);
    server.fake.events.count.store(usize::MAX, Ordering::SeqCst);
    let subscribe = call(
        "SubscribeToShard",
        "{\"ConsumerARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/s/\
        consumer/c:1\",\"ShardId\":\"shardId-000000000000\",\"StartingPosition\":{\"Type\":\"LATEST\"}}",
    );
    let mut subscribers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for connection in &mut subscribers {
        connection.send(&subscribe);
    }
    until("events flow", || server.fake.events.given.load(Ordering::SeqCst) > 100);
    server.serves_others();
    drop(subscribers);
    until("they are gone", || server.fake.events.dropped.load(Ordering::SeqCst) == 20);
    until("their memory is given back", || server.held() == 0.0);
}
