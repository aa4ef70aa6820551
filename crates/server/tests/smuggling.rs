//! Requests whose end two readers could see at different places: a second one hidden in them must never be carried out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::Shutdown;
use std::sync::atomic::Ordering;

use common::frames::{
    self, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Http2, PROTOCOL_ERROR, RST_STREAM, frame,
};
use common::{Running, call, headers};

/// Lists streams, with these header lines, and ends with what may hide another request.
fn list(lines: &str, end: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{}{lines}\r\n{end}", headers("ListStreams"))
}

/// Sends `bytes` and no more; gives the statuses of all answers.
fn statuses(server: &Running, bytes: &[u8]) -> Vec<u16> {
    let mut connection = server.connect();
    connection.send(bytes);
    // It may be closed already.
    let _ = connection.stream.shutdown(Shutdown::Write);
    let text = String::from_utf8_lossy(&connection.rest()).into_owned();
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

fn puts(server: &Running) -> usize {
    server.fake.entered.load(Ordering::SeqCst)
}

#[test]
fn what_says_its_length_badly_hides_nothing() {
    let server = Running::start();
    let hidden = call("PutRecord", common::PUT);
    let after = format!("0\r\n\r\n{hidden}");
    let whole = after.len();
    let shapes = [
        // Two lengths of different kinds: it is read as chunks, as it must be, and nothing after it.
        format!("Content-Length: {whole}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {whole}\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {whole}\r\nConnection: keep-alive\r\n"),
        // Two of one kind.
        format!("Content-Length: 0\r\nContent-Length: {whole}\r\n"),
        format!("Content-Length: {whole}\r\nContent-Length: 0\r\n"),
        "Content-Length: 0, 0\r\n".to_owned(),
        format!("Content-Length: 0,{whole}\r\n"),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        // Numbers that are none.
        "Content-Length: +0\r\n".to_owned(),
        "Content-Length: -0\r\n".to_owned(),
        "Content-Length: 0x0\r\n".to_owned(),
        "Content-Length: 0 0\r\n".to_owned(),
        "Content-Length: 0_0\r\n".to_owned(),
        "Content-Length: 0.0\r\n".to_owned(),
        "Content-Length: \r\n".to_owned(),
        "Content-Length: 99999999999999999999\r\n".to_owned(),
        // Codings that are not the one.
        "Transfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: chunked;q=1\r\n".to_owned(),
        "Transfer-Encoding: \"chunked\"\r\n".to_owned(),
        "Transfer-Encoding: chun ked\r\n".to_owned(),
        "Transfer-Encoding: \u{b}chunked\r\n".to_owned(),
        "Transfer-Encoding:\r\n".to_owned(),
        // Lines that some would read and others not.
        "Transfer-Encoding : chunked\r\n".to_owned(),
        " Transfer-Encoding: chunked\r\n".to_owned(),
        "X: a\r\n Transfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding:\r\n chunked\r\n".to_owned(),
        "X: a\rTransfer-Encoding: chunked\r\n".to_owned(),
        format!("X: a\nTransfer-Encoding: chunked\r\nContent-Length: {whole}\r\n"),
        "X: a\0\r\n".to_owned(),
        "X\0: a\r\n".to_owned(),
        "Transfer-Encoding\0: chunked\r\n".to_owned(),
        "X\r\n".to_owned(),
        ": a\r\n".to_owned(),
    ];
    for lines in &shapes {
        let statuses = statuses(&server, list(lines, &after).as_bytes());
        assert!(statuses.len() <= 1 && statuses.iter().all(|status| *status == 400), "{lines:?}: {statuses:?}");
        assert_eq!(puts(&server), 0, "{lines:?}");
    }
    // The same, said well: two requests that are both carried out.
    let well = list("Transfer-Encoding: chunked\r\n", &format!("2\r\n{{}}\r\n0\r\n\r\n{hidden}"));
    assert_eq!((statuses(&server, well.as_bytes()), puts(&server)), (vec![200, 200], 1));
}

#[test]
fn chunks_that_are_put_badly_hide_nothing() {
    let server = Running::start();
    let hidden = call("PutRecord", common::PUT);
    let shapes = [
        "2\n{}\r\n0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{} \r\n0\r\n\r\n",
        "2;x\n\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "\r\n2\r\n{}\r\n0\r\n\r\n",
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nX\r\n\r\n",
        "2\r\n{}\r\n0\n\r\n",
    ];
    for chunks in shapes {
        let request = list("Transfer-Encoding: chunked\r\n", &format!("{chunks}{hidden}"));
        let statuses = statuses(&server, request.as_bytes());
        assert!(statuses.len() <= 1 && statuses.iter().all(|status| *status == 400), "{chunks:?}: {statuses:?}");
        assert_eq!(puts(&server), 0, "{chunks:?}");
    }
    // What follows a bare line end is taken for trailers, up to where these end.
    let request = list("Transfer-Encoding: chunked\r\n", &format!("2\r\n{{}}\r\n0\r\n\n{hidden}"));
    assert_eq!((statuses(&server, request.as_bytes()), puts(&server)), (vec![200, 400], 0));
}

#[test]
fn bodies_of_refused_requests_are_no_requests() {
    let server = Running::with(|config| config.max_body = 100);
    let hidden = call("PutRecord", common::PUT);
    let length = format!("Content-Length: {}\r\n", hidden.len());
    let heads = [
        (413, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{length}\r\n")),
        (403, "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        (403, format!("POST / HTTP/1.1\r\nHost: evil.example\r\n{length}\r\n")),
        (413, list(&length, "")),
        (413, list(&format!("{length}Expect: 100-continue\r\n"), "")),
        (413, list(&format!("Content-Length: {}\r\n", 1_u64 << 40), "")),
        (405, format!("POST /_millstream/health HTTP/1.1\r\nHost: localhost\r\n{length}\r\n")),
    ];
    for (status, head) in heads {
        assert_eq!(statuses(&server, format!("{head}{hidden}").as_bytes()), [status], "{head}");
        // The body after the answer.
        let mut late = server.connect();
        late.send(&head);
        if head.contains("Expect") || status != 413 {
            assert_eq!(late.answer().unwrap().status, status, "{head}");
        }
        let _ = std::io::Write::write_all(&mut late.stream, hidden.as_bytes());
        let _ = late.stream.shutdown(Shutdown::Write);
        assert!(!String::from_utf8_lossy(&late.rest()).contains("HTTP/1.1 200"), "{head}");
        assert_eq!(puts(&server), 0, "{head}");
    }
}

#[test]
fn hosts_are_said_once() {
    let server = Running::start();
    let hidden = call("PutRecord", common::PUT);
    let ask = |version: &str, target: &str, lines: &str| {
        let head = format!("POST {target} HTTP/{version}\r\n{lines}{}", headers("ListStreams"));
        statuses(&server, format!("{head}Content-Length: 2\r\n\r\n{{}}{hidden}").as_bytes())
    };
    for lines in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nHost: evil.example\r\n"] {
        assert_eq!((ask("1.1", "/", lines), puts(&server)), (vec![400], 0), "{lines:?}");
    }
    assert_eq!(server.refused("ambiguous_host"), 3);
    for (target, lines) in [
        ("http://evil.example/", "Host: localhost\r\n"),
        ("http://localhost/", "Host: evil.example\r\n"),
        ("http://localhost@evil.example/", "Host: localhost\r\n"),
    ] {
        assert_eq!(ask("1.1", target, lines)[0], 403, "{target}");
    }
    // HTTP/1.0 need not say it, and its connections end with the answer.
    let before = puts(&server);
    let answers = {
        let mut connection = server.connect();
        connection.send(format!("POST / HTTP/1.0\r\n{}Content-Length: 2\r\n\r\n{{}}{hidden}", headers("ListStreams")));
        String::from_utf8(connection.rest()).unwrap()
    };
    assert!(answers.starts_with("HTTP/1.0 200") && answers.matches("HTTP/1.").count() == 1, "{answers}");
    let chunked =
        format!("POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    assert_eq!(statuses(&server, chunked.as_bytes()).len(), 1);
    assert_eq!(puts(&server), before);
}

#[test]
fn no_other_protocol_begins_within_a_connection() {
    let server = Running::start();
    let upgrade = list(
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 2\r\n",
        "{}",
    );
    let mut connection = server.connect();
    let answer = connection.ask(&upgrade);
    assert_eq!((answer.status, answer.header("upgrade")), (200, None));
    connection.send(frames::PREFACE);
    assert!(connection.answer().is_none_or(|answer| answer.status >= 400));
    let mut tunnel = server.connect();
    let refused = tunnel.ask("CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(matches!(refused.status, 400..500), "{refused:?}");
    let mut http2 = Http2::connect(&server, &[]);
    let fields = [(":method", "CONNECT"), (":authority", "localhost")];
    let head: Vec<u8> = fields.iter().flat_map(|(name, value)| frames::field(0, name, value)).collect();
    http2.send(frame(HEADERS, END_HEADERS, 1, &head));
    let answer = http2.until(|frame| frame.stream == 1);
    assert!(answer.kind == RST_STREAM || answer.payload[..] != [0x88], "{answer:?}");
    server.serves_others();
}

#[test]
fn http2_says_lengths_once() {
    let server = Running::start();
    let body = common::PUT.as_bytes();
    let long = (body.len() + 1).to_string();
    let shapes = [
        vec![("transfer-encoding", "chunked")],
        vec![("connection", "keep-alive")],
        vec![("content-length", long.as_str())],
        vec![("content-length", "2")],
        vec![("content-length", "x")],
        vec![("content-length", "2"), ("content-length", "3")],
        vec![("Content-Type", "x")],
        vec![("x\r\ny", "x")],
        vec![("x", "a\r\nTransfer-Encoding: chunked")],
        vec![(":path", "/other")],
    ];
    for more in &shapes {
        let mut http2 = Http2::connect(&server, &[]);
        let head = frame(HEADERS, END_HEADERS, 1, &frames::call_head("PutRecord", more));
        http2.send([head, frame(DATA, END_STREAM, 1, body)].concat());
        let ends = |frame: &Frame| matches!(frame.kind, RST_STREAM | GOAWAY | HEADERS);
        let answer = http2.until(ends);
        if answer.kind == HEADERS {
            // A status that HPACK has a number for: 400.
            assert_eq!(answer.payload[0], 0x8c, "{more:?}");
        } else {
            assert_eq!(answer.error(), PROTOCOL_ERROR, "{more:?}");
        }
        assert_eq!(puts(&server), 0, "{more:?}");
    }
    server.serves_others();
}
