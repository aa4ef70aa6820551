//! Web pages, and what operators ask.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Answer, JSON, Running, SIGNED, headers};

fn guarded() -> Running {
    Running::with(|config| {
        config.allow_hosts = vec!["kinesis.internal".to_owned()];
        config.cors_origins = vec!["https://console.example".to_owned()];
    })
}

fn ask(server: &Running, method: &str, path: &str, lines: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\n{lines}{}Content-Length: 2\r\n\r\n{{}}", headers("ListStreams"));
    server.ask(&request)
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let server = guarded();
    for host in ["localhost", "127.0.0.1:1", "[::1]", "kinesis.internal:80"] {
        assert_eq!(ask(&server, "POST", "/", &format!("Host: {host}\r\n")).status, 200, "{host}");
    }
    for lines in [
        "Host: evil.example\r\n",
        "Host: 10.1.2.3\r\n",
        "Host: localhost\r\nOrigin: http://evil.example\r\n",
        "Host: localhost\r\nOrigin: null\r\n",
    ] {
        for (method, path) in [("POST", "/"), ("OPTIONS", "/"), ("GET", "/_millstream/metrics"), ("GET", "/metrics")] {
            let answer = ask(&server, method, path, lines);
            assert_eq!(answer.status, 403, "{method} {path} {lines}");
            assert!(answer.header("access-control-allow-origin").is_none());
            assert!(answer.text().contains("AccessDeniedException"));
        }
    }
    assert!(server.fake.requests.lock().unwrap().len() == 4);
    let json = ask(&server, "POST", "/", "Host: evil.example\r\n");
    assert_eq!(json.header("content-type"), Some(JSON));
    assert!(json.text().contains("--allow-host"), "{}", json.text());
}

#[test]
fn an_allowed_origin_gets_its_headers() {
    let server = guarded();
    let lines = "Host: localhost\r\nOrigin: https://console.example\r\n";
    let answer = ask(&server, "POST", "/", lines);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://console.example"));
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date")
    );
    assert_eq!(answer.header("vary"), Some("Origin"));
    let preflight = server.ask(&format!(
        "OPTIONS / HTTP/1.1\r\n{lines}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: a,b\r\n\r\n"
    ));
    assert_eq!((preflight.status, preflight.body.len()), (200, 0));
    for (name, value) in [
        ("content-length", "0"),
        ("access-control-allow-origin", "https://console.example"),
        ("access-control-max-age", "172800"),
        ("access-control-allow-headers", "a,b"),
        ("access-control-allow-methods", "POST"),
    ] {
        assert_eq!(preflight.header(name), Some(value), "{name}");
    }
    assert!(preflight.header("x-amzn-requestid").is_some());
    assert!(preflight.header("x-amz-id-2").is_none() && preflight.header("content-type").is_none());
    // Errors can be read by the page too.
    let refused = server.ask(&format!("GET / HTTP/1.1\r\n{lines}\r\n"));
    assert_eq!(refused.status, 403);
    assert!(refused.header("access-control-allow-origin").is_some());
}

#[test]
fn operators_pages() {
    let server = guarded();
    let get = |path: &str| server.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let health = get("/_millstream/health");
    assert_eq!(health.status, 200);
    assert_eq!(health.text(), "{\"status\":\"degraded\",\"problems\":[\"a disk is full\"]}\n");
    assert_eq!(health.header("content-type"), Some("application/json"));
    assert_eq!((get("/_millstream/ready").status, get("/ready").status), (200, 200));
    for path in ["/_millstream/metrics", "/metrics"] {
        let metrics = get(path);
        assert_eq!((metrics.status, metrics.text().as_str()), (200, "a_metric 1\n"));
        assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    }
    assert_eq!(get("/_millstream/nonsense").status, 404);
    let post = server.ask("POST /_millstream/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    // To the service, a path means nothing.
    let path = format!(
        "POST /metrics HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\n\
                        Content-Type: {JSON}\r\n{SIGNED}Content-Length: 2\r\n\r\n{{}}"
    );
    assert_eq!(server.ask(&path).status, 200);
}
