//! What operators ask: health, readiness and metrics, under `/_millstream/`.
//!
//! Nothing here changes state; what may is in [`controls`](crate::controls).

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;

use crate::answer::Reply;
use crate::controls::Kind;

/// What our own paths begin with.
pub(crate) const PREFIX: &str = "/_millstream/";

/// Where the answers to operators come from.
#[derive(Clone)]
pub struct HealthSource {
    /// What is wrong now, one line each; empty if all is well.
    pub problems: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Every metric in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for HealthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthSource")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Health,
    Ready,
    Metrics,
    /// Answered by [`controls`](crate::controls).
    Control(Kind),
    /// A path of ours with nothing behind it.
    Unknown,
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'a str,
    problems: &'a [String],
}

const JSON: Option<&str> = Some("application/json");
const PROMETHEUS: Option<&str> = Some("text/plain; version=0.0.4; charset=utf-8");

/// The endpoint that a request is for; `None` if it is for the service, which ignores the path.
pub(crate) fn endpoint(head: &Parts) -> Option<Endpoint> {
    let path = head.uri.path();
    let reads = head.method == Method::GET || head.method == Method::HEAD;
    match path {
        "/_millstream/health" => Some(Endpoint::Health),
        "/_millstream/ready" => Some(Endpoint::Ready),
        "/_millstream/metrics" => Some(Endpoint::Metrics),
        // Where scrapers and probes look first. The service takes no GET, whatever the path.
        "/metrics" if reads => Some(Endpoint::Metrics),
        "/ready" if reads => Some(Endpoint::Ready),
        "/health" if reads => Some(Endpoint::Health),
        _ if path.starts_with(PREFIX) => Some(Kind::of(path).map_or(Endpoint::Unknown, Endpoint::Control)),
        _ => None,
    }
}

/// Answers an operator.
pub(crate) fn answer(endpoint: Endpoint, method: &Method, source: &HealthSource, draining: bool) -> Reply {
    if endpoint != Endpoint::Unknown && method != Method::GET && method != Method::HEAD {
        let mut reply = Reply::new(StatusCode::METHOD_NOT_ALLOWED, None);
        reply.allow = Some("GET, HEAD");
        return reply;
    }
    match endpoint {
        Endpoint::Health => {
            let problems = (source.problems)();
            let status = if problems.is_empty() { "ok" } else { "degraded" };
            json(StatusCode::OK, &Health { status, problems: &problems })
        }
        Endpoint::Ready if draining => {
            json(StatusCode::SERVICE_UNAVAILABLE, &Health { status: "stopping", problems: &[] })
        }
        Endpoint::Ready => json(StatusCode::OK, &Health { status: "ok", problems: &[] }),
        Endpoint::Metrics => {
            let mut reply = Reply::new(StatusCode::OK, PROMETHEUS);
            reply.body = (source.metrics)().into_bytes();
            reply
        }
        Endpoint::Control(_) | Endpoint::Unknown => json(
            StatusCode::NOT_FOUND,
            &Health {
                status: "not found",
                problems: &["there are health, ready, metrics, with --snapshots snapshot, and with --test-controls \
                             faults, clock and reset"
                    .to_owned()],
            },
        ),
    }
}

fn json(status: StatusCode, health: &Health<'_>) -> Reply {
    let mut reply = Reply::new(status, JSON);
    // Strings always serialize.
    reply.body = serde_json::to_vec(health).unwrap_or_default();
    reply.body.push(b'\n');
    reply
}
