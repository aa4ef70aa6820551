//! Answers: what they carry, and who is told when they have left.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};

use crate::budget::Permit;
use crate::connection::OpenRequest;

/// An answer before it is put on the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: StatusCode,
    pub content_type: Option<&'static str>,
    pub body: Vec<u8>,
    /// The client should try again soon.
    pub retry: bool,
    /// The connection can't be used on: a part of the request was not read.
    pub close: bool,
    /// The methods that a path takes, with a refusal of another one.
    pub allow: Option<&'static str>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: Option<&'static str>) -> Reply {
        Reply { status, content_type, body: Vec::new(), retry: false, close: false, allow: None }
    }

    /// The response on the wire. `permit` is given back and `open` ends when its last byte was handed to the socket.
    pub(crate) fn into_response(self, permit: Option<Permit>, mut open: OpenRequest) -> Response<Answer> {
        open.answered();
        let http1 = open.is_http1();
        let length = self.body.len();
        let end = End { _permit: permit, _open: open };
        let answer = if self.body.is_empty() {
            Answer { data: None, _end: Some(end) }
        } else {
            Answer { data: Some(Bytes::from_owner(Held { bytes: self.body, _end: end })), _end: None }
        };
        let mut response = Response::new(answer);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // hyper leaves it out of HTTP/2 answers without a body.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if self.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self.close && http1 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What ends with an answer.
struct End {
    _permit: Option<Permit>,
    _open: OpenRequest,
}

/// An answer's bytes. HTTP/2 keeps them in its own queue after the body has ended, so that only the bytes' own end says
/// that they have left.
struct Held {
    bytes: Vec<u8>,
    _end: End,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of a response: all in one piece, or nothing.
pub(crate) struct Answer {
    data: Option<Bytes>,
    _end: Option<End>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}
