//! The way of test controls through the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::{Arc, Mutex};

use common::{Answer, Running};
use millstream_api::BoxFuture;
use millstream_server::{ControlAnswer, ControlRequest, ControlSource};

/// Notes what comes through, and answers it.
#[derive(Default)]
struct Noted(Mutex<Vec<String>>);

impl ControlSource for Noted {
    fn answer<'a>(&'a self, request: ControlRequest<'a>) -> BoxFuture<'a, ControlAnswer> {
        let ControlRequest { changes, path, query, body } = request;
        let body = String::from_utf8_lossy(body);
        self.0.lock().unwrap().push(format!("{changes} {path} {} {body}", query.unwrap_or("-")));
        Box::pin(async { ControlAnswer { status: 201, body: b"{}\n".to_vec(), allow: None } })
    }
}

fn ask(server: &Running, method: &str, path: &str, lines: &str, body: &str) -> Answer {
    let length = body.len();
    server.ask(&format!("{method} {path} HTTP/1.1\r\n{lines}Content-Length: {length}\r\n\r\n{body}"))
}

const PAGE: &str = "Host: localhost\r\nContent-Type: application/json; charset=utf-8\r\n";

#[test]
fn without_controls_their_paths_are_refused() {
    let server = Running::start();
    for path in ["/_millstream/faults", "/_millstream/faults/remove", "/_millstream/clock", "/_millstream/reset"] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = ask(&server, method, path, PAGE, "{}");
            assert_eq!(answer.status, 403, "{method} {path}");
            assert!(answer.text().contains("--test-controls"), "{}", answer.text());
        }
    }
    let answer = ask(&server, "POST", "/_millstream/snapshot", PAGE, "{}");
    assert!(answer.status == 403 && answer.text().contains("--snapshots DIR"), "{}", answer.text());
    assert_eq!(ask(&server, "POST", "/_millstream/clocks", PAGE, "{}").status, 404);
}

#[test]
fn what_comes_through_is_what_was_sent() {
    let noted = Arc::new(Noted::default());
    let server = Running::with_controls(Arc::clone(&noted) as Arc<_>);
    assert_eq!(ask(&server, "POST", "/_millstream/clock", PAGE, "{\"rate\": 2}").status, 201);
    assert_eq!(ask(&server, "GET", "/_millstream/faults/journal?after=5", "Host: localhost\r\n", "").status, 201);
    assert_eq!(*noted.0.lock().unwrap(), ["true /clock - {\"rate\": 2}", "false /faults/journal after=5 "]);
    // Health and the like are as they were.
    assert_eq!(ask(&server, "GET", "/_millstream/health", "Host: localhost\r\n", "").status, 200);
}

#[test]
fn what_a_page_could_send_changes_nothing() {
    let noted = Arc::new(Noted::default());
    let server = Running::with_controls(Arc::clone(&noted) as Arc<_>);
    let foreign = "Host: localhost\r\nOrigin: http://evil.example\r\nContent-Type: application/json\r\n";
    assert_eq!(ask(&server, "POST", "/_millstream/reset", foreign, "{}").status, 403);
    let rebound = "Host: evil.example\r\nContent-Type: application/json\r\n";
    assert_eq!(ask(&server, "POST", "/_millstream/reset", rebound, "{}").status, 403);
    for content_type in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-amz-json-1.1\r\n"] {
        let answer = ask(&server, "POST", "/_millstream/reset", &format!("Host: localhost\r\n{content_type}"), "{}");
        assert_eq!(answer.status, 400);
        assert!(answer.text().starts_with("{\"error\":"), "{}", answer.text());
    }
    for method in ["PUT", "DELETE"] {
        let answer = ask(&server, method, "/_millstream/reset", PAGE, "{}");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, POST")));
    }
    let large = ask(&server, "POST", "/_millstream/reset", PAGE, &" ".repeat((64 << 10) + 1));
    assert_eq!(large.status, 413);
    assert_eq!(*noted.0.lock().unwrap(), Vec::<String>::new());
}
