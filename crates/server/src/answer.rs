//! Answers: what they carry, and who is told when they have left.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};

use crate::budget::Permit;
use crate::codec::RecordsPage;
use crate::connection::OpenRequest;
use crate::subscription::{Broken, Pieces, Subscription};

/// An answer before it is put on the wire.
pub(crate) struct Reply {
    pub status: StatusCode,
    pub content_type: Option<&'static str>,
    pub body: Vec<u8>,
    /// What comes instead of `body`, made while it is sent.
    pub page: Option<Box<RecordsPage>>,
    /// What comes instead of `body`, as it happens.
    pub events: Option<Box<Subscription>>,
    /// The client should try again soon.
    pub retry: bool,
    /// The connection can't be used on: a part of the request was not read.
    pub close: bool,
    /// The methods that a path takes, with a refusal of another one.
    pub allow: Option<&'static str>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: Option<&'static str>) -> Reply {
        Reply {
            status,
            content_type,
            body: Vec::new(),
            page: None,
            events: None,
            retry: false,
            close: false,
            allow: None,
        }
    }

    /// How long the body is, as far as it is known.
    pub(crate) fn len(&self) -> usize {
        self.page.as_ref().map_or(self.body.len(), |page| page.left())
    }

    /// Bytes of memory held until it is sent.
    pub(crate) fn memory(&self) -> usize {
        self.page.as_ref().map_or(self.body.len(), |page| page.memory())
    }

    /// The response on the wire. `permit` is given back and `open` ends when its last byte was handed to the socket.
    pub(crate) fn into_response(self, mut permit: Option<Permit>, mut open: OpenRequest) -> Response<Answer> {
        let http1 = open.is_http1();
        if let Some(permit) = &mut permit {
            permit.leaves_by(open.connection());
        }
        // hyper says how long the others are.
        let is_empty = self.events.is_none() && self.page.is_none() && self.body.is_empty();
        let answer = match (self.events, self.page) {
            (Some(subscription), _) => Answer::Events(Pieces::new(subscription, open)),
            (None, Some(page)) => {
                open.answered();
                Answer::Page { page, end: Some(End { permit, _open: open }) }
            }
            (None, None) => {
                open.answered();
                let end = End { permit, _open: open };
                if self.body.is_empty() {
                    Answer::Whole { data: None, _end: Some(end) }
                } else {
                    Answer::Whole { data: Some(held(self.body, end)), _end: None }
                }
            }
        };
        let mut response = Response::new(answer);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if is_empty {
            // hyper leaves it out of HTTP/2 answers without a body.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
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
pub(crate) struct End {
    permit: Option<Permit>,
    _open: OpenRequest,
}

/// An answer's bytes. HTTP/2 keeps them in its own queue after the body has ended, so that only the bytes' own end says
/// that they have left.
struct Held<E> {
    bytes: Vec<u8>,
    _end: E,
}

impl<E> AsRef<[u8]> for Held<E> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes of an answer or a part of it. `end` is dropped when the last of them was handed to the socket.
pub(crate) fn held<E: Send + 'static>(bytes: Vec<u8>, end: E) -> Bytes {
    Bytes::from_owner(Held { bytes, _end: end })
}

/// The body of a response.
pub(crate) enum Answer {
    /// All in one piece, or nothing.
    Whole { data: Option<Bytes>, _end: Option<End> },
    /// Records, written piece by piece, which each give back what they held. The last piece takes `end` along.
    Page { page: Box<RecordsPage>, end: Option<End> },
    /// The messages of a stream of events.
    Events(Pieces),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Answer::Whole { data, .. } => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Answer::Page { page, end } => {
                let piece = page.next().map(|piece| {
                    if let Some(End { permit: Some(permit), .. }) = end {
                        permit.shrink_to(page.memory() as u64);
                    }
                    match end.take_if(|_| page.left() == 0) {
                        Some(end) => held(piece, end),
                        None => Bytes::from(piece),
                    }
                });
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
            Answer::Events(pieces) => pieces.poll_next(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Whole { data, .. } => data.is_none(),
            Answer::Page { page, .. } => page.left() == 0,
            Answer::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            Answer::Page { page, .. } => SizeHint::with_exact(page.left() as u64),
            Answer::Events(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use millstream_api::kinesis::{GetRecordsOutput, Record};
    use millstream_env::Env;

    use super::*;
    use crate::budget::{Budget, Flow};
    use crate::codec::Format;
    use crate::connection::Activity;

    #[test]
    fn a_page_gives_its_memory_back_as_it_leaves() {
        let budget = Budget::new(64 << 20, Duration::MAX, Env::real(1).clock);
        let activity = Activity::alone();
        let record = Record { data: Bytes::from(vec![7; 4 << 10]), ..Record::default() };
        let output = GetRecordsOutput { records: vec![record; 1000], ..GetRecordsOutput::default() };
        let mut reply = Reply::new(StatusCode::OK, None);
        reply.page = Some(Box::new(RecordsPage::new(Format::Json, output)));
        let mut permit = budget.permit("a".into(), Flow::Out);
        permit.hold(reply.memory() as u64);
        let mut answer = reply.into_response(Some(permit), activity.begin()).into_body();
        let mut context = Context::from_waker(Waker::noop());
        let mut used = vec![budget.used()];
        let mut on_their_way = Vec::new();
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut answer).poll_frame(&mut context) {
            on_their_way.push(frame);
            used.push(budget.used());
        }
        assert!(used.len() > 40 && used.is_sorted_by(|before, after| before > after), "{used:?}");
        assert!(used.last().is_some_and(|last| *last < 1 << 20), "{used:?}");
        drop(answer);
        assert_ne!(budget.used(), 0, "the last piece has not left");
        on_their_way.clear();
        assert_eq!(budget.used(), 0);
    }
}
