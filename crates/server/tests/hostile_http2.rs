//! What clients of HTTP/2 can do to wear the server out, each beside an honest client that must be served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::frames::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS, Http2, PING,
    PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, call_head, field, frame, head,
    reset, setting, whole_call,
};
use common::{Running, call, until};
use millstream_server::{Pace, ServerConfig};

const SHORT: Duration = Duration::from_millis(300);
const GET: &str = "{\"ShardIterator\":\"x\"}";

/// A second and its parts instead of ten: what is waited for comes soon.
fn quick(config: &mut ServerConfig) {
    config.head_timeout = SHORT;
    config.pace = Pace { window: SHORT, bytes: 100_000 };
}

/// Settings that leave the windows of all streams shut.
fn shut() -> Vec<u8> {
    setting(frames::INITIAL_WINDOW_SIZE, 0)
}

/// Begins and cancels requests, some at a time, until the connection is ended; says how many. `begin` makes the frames of
/// one.
fn cancel_until_the_end(http2: &mut Http2, begin: impl Fn(u32) -> Vec<u8>) -> u32 {
    const AT_ONCE: u32 = 15;
    let is_over = |http2: &mut Http2| loop {
        match http2.next() {
            None => return true,
            Some(Frame { kind: PING, flags: ACK, .. }) => return false,
            Some(_) => {}
        }
    };
    let mut first = 1;
    until("the connection is ended", || {
        let streams = || (0..AT_ONCE).map(|n| first + 2 * n);
        let ping = frame(PING, 0, 0, &[0; 8]);
        let begin: Vec<u8> = streams().flat_map(&begin).chain(ping.clone()).collect();
        let cancel: Vec<u8> = streams().flat_map(reset).chain(ping).collect();
        // All have reached the service's door before they are cancelled.
        let over = [begin, cancel].iter().any(|frames| !http2.tries_to_send(frames) || is_over(http2));
        first += 2 * AT_ONCE;
        over
    });
    first / 2
}

/// Sends what `next` gives until the connection is ended for `reason`, while others are served.
fn flood(server: &Running, mut http2: Http2, reason: &str, mut next: impl FnMut(u32) -> Vec<u8> + Send) {
    let before = server.cut(reason);
    let mut answers = http2.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        // A peer that takes all answers is harder to get rid of.
        scope.spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
        scope.spawn(|| {
            let mut round = 0;
            until("the connection is ended", || {
                round += 1;
                !http2.tries_to_send(&next(round))
            });
            let _ = http2.stream.shutdown(std::net::Shutdown::Both);
        });
        server.serves_others();
    });
    until("it is counted", || server.cut(reason) > before);
    server.serves_others();
}

#[test]
fn requests_that_are_cancelled_at_once_end_the_connection() {
    let server = Running::start();
    let one = |stream| [frame(HEADERS, END_HEADERS, stream, &call_head("PutRecord", &[])), reset(stream)].concat();
    let mut http2 = Http2::connect(&server, &[]);
    http2.send((0..100).flat_map(|n| one(2 * n + 1)).collect::<Vec<u8>>());
    assert_eq!(http2.end(), Some(ENHANCE_YOUR_CALM));
    until("it is counted", || server.cut("protocol_error") == 1);
    server.serves_others();
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn requests_that_are_cancelled_one_by_one_end_the_connection() {
    let server = Running::with(quick);
    // Some before their body has come, and some while they are at work.
    let head = |stream| frame(HEADERS, END_HEADERS, stream, &call_head("PutRecord", &[]));
    assert!(cancel_until_the_end(&mut Http2::connect(&server, &[]), head) > 2000, "a few are no flood");
    until("it is counted", || server.cut("flood") == 1);
    server.fake.closed.store(true, Ordering::SeqCst);
    let whole = |stream| whole_call(stream, "PutRecord", common::PUT);
    assert!(cancel_until_the_end(&mut Http2::connect(&server, &[]), whole) > 2000, "a few are no flood");
    until("it is counted", || server.cut("flood") == 2);
    server.fake.closed.store(false, Ordering::SeqCst);
    server.serves_others();
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn streams_that_the_server_must_reset_end_the_connection() {
    let server = Running::start();
    let mut http2 = Http2::connect(&server, &[]);
    let head = call_head("PutRecord", &[]);
    for stream in (1..=2 * 1100_u32).step_by(2) {
        // A stream that depends on itself is an error of its own.
        let own = [&stream.to_be_bytes()[..], &[1]].concat();
        let both = [frame(HEADERS, END_HEADERS, stream, &head), frame(PRIORITY, 0, stream, &own)].concat();
        if !http2.tries_to_send(&both) {
            break;
        }
    }
    assert_eq!(http2.end(), Some(ENHANCE_YOUR_CALM));
    until("it is counted", || server.cut("protocol_error") == 1);
    server.serves_others();
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn frames_that_mean_nothing_end_the_connection() {
    let server = Running::with(quick);
    let connect = || Http2::connect(&server, &[]);
    flood(&server, connect(), "flood", |_| frame(PING, 0, 0, &[0; 8]).repeat(1000));
    flood(&server, connect(), "flood", |_| frame(SETTINGS, 0, 0, &shut()).repeat(1000));
    flood(&server, connect(), "flood", |_| frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 1]).repeat(1000));
    flood(&server, connect(), "flood", |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(1000));
    flood(&server, connect(), "flood", |_| frame(0x77, 0, 0, &[0; 16 << 10]));
    // A request now and then buys no more.
    flood(&server, connect(), "flood", |round| {
        [whole_call(2 * round + 1, "ListStreams", "{}"), frame(PING, 0, 0, &[0; 8]).repeat(2000)].concat()
    });
}

#[test]
fn frames_that_break_the_protocol_end_the_connection() {
    let server = Running::start();
    let begin = || {
        let mut http2 = Http2::connect(&server, &[]);
        http2.send(frame(HEADERS, END_HEADERS, 1, &call_head("PutRecord", &[])));
        http2
    };
    let broken = [
        (PROTOCOL_ERROR, frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        (PROTOCOL_ERROR, frame(CONTINUATION, END_HEADERS, 1, &[])),
        (PROTOCOL_ERROR, frame(HEADERS, END_HEADERS, 2, &call_head("PutRecord", &[]))),
        (PROTOCOL_ERROR, frame(SETTINGS, ACK, 0, &[]).repeat(2)),
        (ENHANCE_YOUR_CALM, frame(DATA, 0, 1, &[]).repeat(200)),
        // One byte each.
        (ENHANCE_YOUR_CALM, frame(DATA, 0, 1, b" ").repeat(50_000)),
    ];
    for (before, (error, bytes)) in broken.into_iter().enumerate() {
        let mut http2 = begin();
        let _ = http2.tries_to_send(&bytes);
        let told = http2.end();
        // Closed with bytes unread, what it said may be lost.
        assert!(told.is_none_or(|told| told == error), "{told:?} for {:?}", &bytes[..20.min(bytes.len())]);
        until("it is counted", || server.cut("protocol_error") > before as u64);
    }
    server.serves_others();
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn heads_have_a_size() {
    let server = Running::start();
    // Beyond the limit: the answer says so, and the connection goes on.
    let mut http2 = Http2::connect(&server, &[]);
    http2.settle();
    let long = "x".repeat(16_000);
    let large = call_head("ListStreams", &[("x", long.as_str()); 5]);
    let mut pieces = large.chunks(16_000);
    http2.send(frame(HEADERS, END_STREAM, 1, pieces.next().unwrap()));
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        http2.send(frame(CONTINUATION, flags, 1, piece));
    }
    http2.until(|frame| frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM));
    http2.send(whole_call(3, "ListStreams", "{}"));
    http2.until(|frame| frame.stream == 3 && frame.flags & END_STREAM != 0);
    // A head without an end.
    let mut endless = Http2::connect(&server, &[]);
    endless.settle();
    endless.send(frame(HEADERS, 0, 1, &call_head("ListStreams", &[])));
    while endless.tries_to_send(&frame(CONTINUATION, 0, 1, &field(0, "x", "y"))) {}
    assert!(endless.end().is_none_or(|error| error == ENHANCE_YOUR_CALM));
    // A field that is sent once and named ten thousand times.
    let mut bomb = Http2::connect(&server, &[]);
    bomb.settle();
    let fields = [field(0x40, "x", &"x".repeat(4000)), vec![0xbe; 10_000]].concat();
    bomb.send(frame(HEADERS, END_HEADERS, 1, &[call_head("ListStreams", &[]), fields].concat()));
    assert_eq!(bomb.end(), Some(ENHANCE_YOUR_CALM));
    until("they are counted", || server.cut("protocol_error") == 2);
    server.serves_others();
}

#[test]
fn a_preface_without_an_end_is_cut() {
    let server = Running::with(quick);
    for beginning in [&b"P"[..], b"PRI", &frames::PREFACE[..20], frames::PREFACE] {
        let mut connection = server.connect();
        connection.send(beginning);
        connection.rest();
    }
    assert_eq!(server.cut("slow_head"), 4);
    server.serves_others();
}

#[test]
fn streams_that_do_not_end_are_cut() {
    let server = Running::with(quick);
    let mut http2 = Http2::connect(&server, &[]);
    let head = call_head("PutRecord", &[]);
    http2.send((0..500).flat_map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &head)).collect::<Vec<u8>>());
    server.serves_others();
    let mut answered = 0;
    while answered < 500 {
        let answer = http2.until(|frame| frame.kind == HEADERS);
        assert_ne!(answer.flags & END_STREAM, 0);
        answered += 1;
    }
    assert_eq!(server.refused("too_slow"), 500);
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn streams_beyond_the_most_are_refused() {
    let server = Running::start();
    let mut http2 = Http2::connect(&server, &[]);
    http2.settle();
    let head = call_head("PutRecord", &[]);
    http2.send((0..1100).flat_map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &head)).collect::<Vec<u8>>());
    let mut refused = 0;
    while refused < 100 {
        assert_eq!(http2.until(|frame| frame.kind == RST_STREAM).error(), REFUSED_STREAM);
        refused += 1;
    }
    server.serves_others();
}

#[test]
fn the_more_connections_the_less_each_may_begin_with() {
    let server = Running::start();
    let allowed = || {
        let settings = Http2::connect(&server, &[]).until(|frame| frame.kind == SETTINGS);
        let pairs = settings.payload.chunks(6).map(|pair| {
            let (name, value) = pair.split_at(2);
            (u16::from_be_bytes(name.try_into().unwrap()), u32::from_be_bytes(value.try_into().unwrap()))
        });
        let of = |wanted: u16| pairs.clone().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        // The first windows of streams begin with the protocol's own size where nothing is said.
        (of(frames::MAX_CONCURRENT_STREAMS).unwrap(), of(frames::INITIAL_WINDOW_SIZE).unwrap_or(65_535))
    };
    assert_eq!(allowed(), (1000, 512 << 10));
    // Those that only wait take nothing.
    let mut held: Vec<_> = (0..200).map(|_| server.connect()).collect();
    until("all are there", || server.connections() >= 200.0);
    assert_eq!(allowed(), (1000, 512 << 10));
    for connection in &mut held {
        connection.send("POST");
    }
    until("all have begun", || allowed().0 <= (16 << 10) / 200);
    assert!(allowed().1 <= 84 << 10);
}

#[test]
fn answers_that_nobody_takes_are_cut_whatever_else_moves() {
    let server = Running::with(quick);
    server.fake.page.store(1000, Ordering::SeqCst);
    let mut http2 = Http2::connect(&server, &shut());
    http2.send(whole_call(1, "GetRecords", GET));
    server.wait_for(1);
    // Answers without a body need no window.
    let mut stream = 3;
    until("it is cut", || {
        let moves = http2.tries_to_send(&frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            stream,
            &head("HEAD", "/_millstream/ready", &[]),
        ));
        stream += 2;
        std::thread::sleep(SHORT / 20);
        !moves
    });
    assert_eq!(server.cut("slow_reader"), 1);
    server.serves_others();
    until("their memory is given back", || server.held() == 0.0);
}

#[test]
fn small_answers_that_nobody_takes_do_not_keep_others_from_memory() {
    const SMALL: usize = 2000;
    let server = Running::with(|config| {
        config.memory = 4 << 20;
        config.large_answer = 64 << 10;
        config.memory_wait = SHORT;
        // It is what they hold that they are cut for, not that they are slow.
        config.pace = Pace { window: Duration::from_secs(600), bytes: 1 };
        config.head_timeout = SHORT;
    });
    // None of them is large enough to count by itself.
    server.fake.page.store(SMALL, Ordering::SeqCst);
    let mut shut: Vec<_> = (0..3).map(|_| Http2::connect(&server, &shut())).collect();
    let mut begun = 0;
    for http2 in &mut shut {
        for n in 0..600 {
            http2.send(whole_call(2 * n + 1, "GetRecords", GET));
        }
        begun += 600;
    }
    until("there is no room", || {
        // Perhaps some of them have been broken off for it already.
        server.fake.entered.load(Ordering::SeqCst) == begun
            || server.refused("no_memory") > 0
            || server.cut("held_memory") > 0
    });
    let mut patient = server.connect();
    let mut stream = 1201;
    until("there is room", || {
        for http2 in &mut shut {
            let head = head("HEAD", "/_millstream/ready", &[]);
            http2.tries_to_send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
        }
        stream += 2;
        let answer = patient.ask(&call("GetRecords", GET));
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        answer.status == 200 && server.cut("held_memory") > 0
    });
    assert_eq!(server.cut("slow_reader"), 0);
    server.serves_others();
}

#[test]
fn connections_that_disappear_give_their_memory_back() {
    let server = Running::start();
    server.fake.page.store(100_000, Ordering::SeqCst);
    let mut http2 = Http2::connect(&server, &shut());
    // The first window is smaller than what is sent.
    http2.settle();
    for n in 0..20 {
        http2.send(whole_call(4 * n + 1, "GetRecords", GET));
        http2.send(frame(HEADERS, END_HEADERS, 4 * n + 3, &call_head("PutRecord", &[])));
        http2.send(frame(DATA, 0, 4 * n + 3, &[b' '; 10_000]));
    }
    server.wait_for(20);
    until("it holds memory", || server.held() > 20.0 * 100_000.0);
    server.serves_others();
    drop(http2);
    until("it is gone", || server.connections() == 0.0);
    until("its memory is given back", || server.held() == 0.0);
    assert_eq!(server.refused("broken_off"), 20);
}

#[test]
fn an_idle_connection_that_makes_room_is_told() {
    let server = Running::with(|config| {
        config.max_connections = 3;
        config.idle_timeout = Duration::from_secs(600);
        // Connections are looked at often.
        config.head_timeout = SHORT;
    });
    let mut http2 = Http2::connect(&server, &[]);
    http2.send(whole_call(1, "ListStreams", "{}"));
    http2.until(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0);
    let mut held = Vec::new();
    until("it has to go", || {
        held.push(server.connect());
        server.serves_others();
        server.cut("crowded") > 20
    });
    assert!(http2.until(|frame| frame.kind == GOAWAY).error() == 0);
    assert_eq!(http2.end(), None);
}
