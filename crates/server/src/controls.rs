//! The way of controls through the server: paths under `/_millstream/` that may change state.
//!
//! A change is a POST with `Content-Type: application/json`, which no web page can send without a preflight request; the
//! guard has looked at `Host` and `Origin` before. What is not switched on has nothing behind its paths.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::body::Body;
use millstream_api::BoxFuture;

use crate::admin::PREFIX;
use crate::answer::Reply;
use crate::body::{self, BodyError, BodyRules};
use crate::budget::Permit;
use crate::config::Pace;
use crate::connection::Activity;
use crate::fault::Dialect;

/// Largest body of a request, bytes.
const BODY: usize = 64 << 10;

/// What a control is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tests, which may ask for faults, another time and a reset.
    Tests,
    /// Snapshots.
    Snapshots,
}

impl Kind {
    /// The kind of a path; `None` if it is no control's.
    pub(crate) fn of(path: &str) -> Option<Kind> {
        match path.strip_prefix(PREFIX)?.split('/').next()? {
            "faults" | "clock" | "reset" => Some(Kind::Tests),
            "snapshot" => Some(Kind::Snapshots),
            _ => None,
        }
    }

    /// Why there is nothing behind its paths.
    fn is_off(self) -> &'static str {
        match self {
            Kind::Tests => "is a test control: start the server with --test-controls",
            Kind::Snapshots => "takes snapshots: start the server with --snapshots DIR",
        }
    }
}

const JSON: Option<&str> = Some("application/json");

/// What can be asked of the server beside the service. The binary wires it in.
pub trait ControlSource: Send + Sync + 'static {
    /// Answers one request.
    fn answer<'a>(&'a self, request: ControlRequest<'a>) -> BoxFuture<'a, ControlAnswer>;
}

/// A request for a control.
#[derive(Clone, Copy, Debug)]
pub struct ControlRequest<'a> {
    /// Whether something may change: it is a POST, not a GET.
    pub changes: bool,
    /// What follows `/_millstream`, with its slash.
    pub path: &'a str,
    /// What follows `?`.
    pub query: Option<&'a str>,
    /// Its body; empty unless something may change.
    pub body: &'a [u8],
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct ControlAnswer {
    /// The HTTP status.
    pub status: u16,
    /// One line of JSON.
    pub body: Vec<u8>,
    /// The methods that the path takes, with a refusal of another one.
    pub allow: Option<&'static str>,
}

/// Answers a request for a control.
pub(crate) async fn answer<B>(
    kind: Kind,
    controls: Option<&dyn ControlSource>,
    head: &Parts,
    body: B,
    pace: Pace,
    connection: &Activity,
    permit: &mut Permit,
) -> Reply
where
    B: Body<Data = Bytes>,
{
    let path = head.uri.path();
    let Some(controls) = controls else {
        let what = format!("{path} {}", kind.is_off());
        return refusal(StatusCode::FORBIDDEN, &what);
    };
    let changes = match head.method {
        Method::GET | Method::HEAD => false,
        Method::POST => true,
        _ => {
            let mut reply = refusal(StatusCode::METHOD_NOT_ALLOWED, "controls take GET and POST");
            reply.allow = Some("GET, HEAD, POST");
            return reply;
        }
    };
    let mut bytes = Bytes::new();
    if changes {
        if Dialect::of(&head.headers) != Dialect::PlainJson {
            return refusal(StatusCode::BAD_REQUEST, "a change is a POST with Content-Type: application/json");
        }
        match body::read(body, BodyRules { max: BODY, pace, times: 1 }, connection, permit).await {
            Ok(read) => bytes = read,
            Err(error) => return unread(error),
        }
    }
    // Just the path within: `/_millstream/clock` is `/clock`.
    let path = path.get(PREFIX.len() - 1..).unwrap_or_default();
    let answer = controls.answer(ControlRequest { changes, path, query: head.uri.query(), body: &bytes }).await;
    let mut reply = Reply::new(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), JSON);
    reply.body = answer.body;
    reply.allow = answer.allow;
    permit.hold(reply.body.len() as u64);
    reply
}

fn unread(error: BodyError) -> Reply {
    let (status, what) = match error {
        BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB"),
        BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
        BodyError::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, "the server is busy"),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "the body broke off"),
    };
    let mut reply = refusal(status, what);
    reply.close = true;
    reply
}

fn refusal(status: StatusCode, what: &str) -> Reply {
    let mut reply = Reply::new(status, JSON);
    reply.body = format!("{}\n", serde_json::json!({ "error": what })).into_bytes();
    reply
}
