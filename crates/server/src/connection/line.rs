//! A connection's two states: at rest, when nothing is held but the socket, and served by hyper, which has buffers of
//! tens of kilobytes. Connections begin at rest, and those of HTTP/1.1 go back there when they are idle: ten thousand
//! that clients keep in their pools cost what ten thousand sockets do.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, Service};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Activity, Protocol};
use crate::answer::Answer;

/// How HTTP/2 begins. No method of HTTP/1.1 does.
const HTTP2: &[u8] = b"PRI";

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It rests no more.
    Begun,
    Over,
    /// It ends because the peer has broken the protocol, or gone beyond its limits.
    Broken,
}

/// A connection, as a future of its next turn.
pub(super) struct Line<'p, S, H>
where
    H: HttpService<Incoming>,
{
    protocol: &'p Protocol,
    handler: H,
    activity: Arc<Activity>,
    state: State<S, H>,
    /// No request but one that has begun is to be served.
    closing: bool,
    /// Whether hyper has the connection and has not looked at it yet.
    is_fresh: bool,
}

type Http1<S, H> = http1::Connection<TokioIo<Watched<S>>, H>;
type Http2<S, H> = http2::Connection<TokioIo<Watched<S>>, H, TokioExecutor>;

enum State<S, H>
where
    H: HttpService<Incoming>,
{
    Resting(Watched<S>),
    Http1(Box<Http1<S, H>>),
    Http2(Pin<Box<Http2<S, H>>>),
    /// Nothing is left to do but to say goodbye.
    Leaving(Watched<S>),
    Over,
}

impl<'p, S, H, F> Line<'p, S, H>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Service<Request<Incoming>, Response = Response<Answer>, Error = Infallible, Future = F> + Clone + Unpin,
    F: Future<Output = Result<Response<Answer>, Infallible>> + Send + 'static,
{
    pub(super) fn new(protocol: &'p Protocol, stream: S, handler: H, activity: Arc<Activity>) -> Self {
        let state = State::Resting(Watched { stream, first: Bytes::new(), activity: Arc::clone(&activity) });
        Line { protocol, handler, activity, state, closing: false, is_fresh: false }
    }

    /// Whether it holds buffers that it could do without.
    pub(super) fn may_rest(&self) -> bool {
        matches!(self.state, State::Http1(_))
    }

    /// Gives the buffers back; says whether the next request has begun. Only for a connection whose requests have all been
    /// answered to the last byte.
    pub(super) fn rest(&mut self) -> bool {
        match mem::replace(&mut self.state, State::Over) {
            State::Http1(connection) if !self.activity.blocked.load(Ordering::Relaxed) => {
                let parts = connection.into_parts();
                // Of a request that has begun, if there is one. A copy: even an empty share keeps the whole buffer.
                let first = Bytes::copy_from_slice(&parts.read_buf);
                self.state = State::Resting(Watched { first, ..parts.io.into_inner() });
                self.activity.seat.give_buffers_back();
            }
            state => self.state = state,
        }
        matches!(&self.state, State::Resting(stream) if !stream.first.is_empty())
    }

    /// Ends it in good form: after the request in flight, if there is one.
    pub(super) fn close(&mut self) {
        self.closing = true;
        match &mut self.state {
            // One that is new may have sent its first request already.
            State::Resting(_) if self.activity.finished.load(Ordering::Relaxed) > 0 => self.leave(),
            State::Resting(_) | State::Leaving(_) | State::Over => {}
            State::Http1(_) if self.is_fresh => self.serve_anew(),
            State::Http1(connection) => Pin::new(&mut **connection).graceful_shutdown(),
            State::Http2(connection) => connection.as_mut().graceful_shutdown(),
        }
    }

    /// Ends it with a word, and waits for nobody to hear it.
    pub(super) async fn close_now(&mut self) {
        self.close();
        poll_fn(|context| {
            let _ = Pin::new(&mut *self).poll(context);
            Poll::Ready(())
        })
        .await;
    }

    fn leave(&mut self) {
        if let State::Resting(stream) = mem::replace(&mut self.state, State::Over) {
            self.state = State::Leaving(stream);
        }
    }

    /// Has a request answered that has come before the connection was to end.
    fn serve_anew(&mut self) {
        if let State::Http1(connection) = mem::replace(&mut self.state, State::Over) {
            self.state = State::Resting(connection.into_parts().io.into_inner());
            self.serve();
        }
    }

    /// Begins to serve what its first bytes ask for.
    fn serve(&mut self) {
        let State::Resting(stream) = mem::replace(&mut self.state, State::Over) else { return };
        let handler = self.handler.clone();
        let served = self.activity.seat.take_buffers();
        self.is_fresh = true;
        if stream.first.starts_with(HTTP2) {
            self.activity.http2.store(true, Ordering::Relaxed);
            let protocol = self.protocol.http2(served);
            let mut connection = Box::pin(protocol.serve_connection(TokioIo::new(stream), handler));
            if self.closing {
                connection.as_mut().graceful_shutdown();
            }
            self.state = State::Http2(connection);
        } else {
            let mut protocol = self.protocol.http1(served);
            if self.closing {
                // A graceful shutdown before hyper's first look would end the connection unanswered.
                protocol.keep_alive(false);
            }
            self.state = State::Http1(Box::new(protocol.serve_connection(TokioIo::new(stream), handler)));
        }
    }
}

impl<S, H, F> Future for Line<'_, S, H>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Service<Request<Incoming>, Response = Response<Answer>, Error = Infallible, Future = F> + Clone + Unpin,
    F: Future<Output = Result<Response<Answer>, Infallible>> + Send + 'static,
{
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn> {
        let this = &mut *self;
        this.is_fresh = false;
        match &mut this.state {
            State::Resting(stream) => {
                let is_to_be_served = ready!(stream.poll_first(context)).unwrap_or_default();
                if is_to_be_served {
                    this.serve();
                } else {
                    this.leave();
                }
                Poll::Ready(Turn::Begun)
            }
            State::Http1(connection) => Pin::new(&mut **connection).poll(context).map(|end| last_turn(&end)),
            State::Http2(connection) => connection.as_mut().poll(context).map(|end| last_turn(&end)),
            State::Leaving(stream) => Pin::new(stream).poll_shutdown(context).map(|_| Turn::Over),
            State::Over => Poll::Ready(Turn::Over),
        }
    }
}

/// How hyper ended the connection. An error is the peer's: it went away, or broke the protocol.
fn last_turn(end: &hyper::Result<()>) -> Turn {
    let Err(error) = end else { return Turn::Over };
    let of_http2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    if error.is_parse() || of_http2.is_some_and(|error| error.is_library()) { Turn::Broken } else { Turn::Over }
}

/// A stream that counts its bytes.
struct Watched<S> {
    stream: S,
    /// What was read of it before hyper had it.
    first: Bytes,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Waits until the first bytes say what is spoken; `false` if there are to be none.
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if !HTTP2.starts_with(&self.first) || self.first.len() == HTTP2.len() {
                return Poll::Ready(Ok(true));
            }
            let mut bytes = [0; HTTP2.len()];
            let mut buffer = ReadBuf::new(&mut bytes[..HTTP2.len() - self.first.len()]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            let new = buffer.filled();
            if new.is_empty() {
                return Poll::Ready(Ok(!self.first.is_empty()));
            }
            self.activity.received.fetch_add(new.len() as u64, Ordering::Relaxed);
            self.first = [&self.first, new].concat().into();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let first = self.first.len().min(buf.remaining());
        if first > 0 {
            buf.put_slice(&self.first[..first]);
            self.first.advance(first);
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buf);
        self.activity.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        if first > 0 { Poll::Ready(Ok(())) } else { result }
    }
}

impl<S> Watched<S> {
    fn count(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(sent)) => {
                self.activity.sent.fetch_add(*sent as u64, Ordering::Relaxed);
                self.activity.blocked.store(false, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked.store(true, Ordering::Relaxed),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.activity.blocked.store(result.is_pending(), Ordering::Relaxed);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.count(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::answer::Reply;
    use crate::config::ServerConfig;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    /// Sends `pieces` one by one, and reads one answer while the line is served.
    async fn ask(client: &mut DuplexStream, mut line: impl Future<Output = Turn> + Unpin, pieces: &[&[u8]]) -> String {
        let exchange = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                assert!(client.read_buf(&mut answer).await.unwrap() > 0, "closed after {answer:?}");
            }
            String::from_utf8(answer).unwrap()
        };
        let mut exchange = std::pin::pin!(exchange);
        loop {
            tokio::select! {
                answer = &mut exchange => return answer,
                turn = &mut line => if turn == Turn::Over {
                    return exchange.await;
                },
            }
        }
    }

    #[test]
    fn a_line_that_rested_is_served_on() {
        run(async {
            let (protocol, activity) =
                (Protocol::new(&ServerConfig::new("us-east-1", "000000000000")), Activity::alone());
            let requests = Arc::clone(&activity);
            let handler = service_fn(move |_| {
                let open = requests.begin();
                async move { Ok(Reply::new(StatusCode::OK, None).into_response(None, open)) }
            });
            let (mut client, server) = tokio::io::duplex(1 << 10);
            let mut line = Line::new(&protocol, server, handler, activity);
            assert!(!line.may_rest(), "it has no buffers before its first byte");
            for pieces in [&[REQUEST][..], &[b"G", b"E", &REQUEST[2..]], &[&REQUEST[..3], &REQUEST[3..]]] {
                assert!(ask(&mut client, &mut line, pieces).await.starts_with("HTTP/1.1 200 OK\r\n"));
                assert!(line.may_rest());
                assert!(!line.rest(), "nothing has begun");
                assert!(!line.may_rest());
            }
            // Closed in good form: the client is told.
            line.close();
            assert_eq!(line.await, Turn::Over);
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        });
    }

    #[test]
    fn the_first_request_is_answered_though_the_end_has_begun() {
        run(async {
            let protocol = Protocol::new(&ServerConfig::new("us-east-1", "000000000000"));
            // Closed before the first bytes, and between them and the first look at them.
            for closed_late in [false, true] {
                let activity = Activity::alone();
                let requests = Arc::clone(&activity);
                let handler = service_fn(move |_| {
                    let open = requests.begin();
                    async move { Ok(Reply::new(StatusCode::OK, None).into_response(None, open)) }
                });
                let (mut client, server) = tokio::io::duplex(1 << 10);
                let mut line = Line::new(&protocol, server, handler, activity);
                if closed_late {
                    client.write_all(REQUEST).await.unwrap();
                    assert_eq!((&mut line).await, Turn::Begun);
                }
                line.close();
                let pieces = if closed_late { &[][..] } else { &[REQUEST] };
                let answer = ask(&mut client, &mut line, pieces).await;
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                assert!(answer.contains("connection: close\r\n"), "{answer}");
            }
        });
    }

    #[test]
    fn what_has_begun_of_a_request_is_kept() {
        run(async {
            let (protocol, activity) =
                (Protocol::new(&ServerConfig::new("us-east-1", "000000000000")), Activity::alone());
            let requests = Arc::clone(&activity);
            let handler = service_fn(move |_| {
                let open = requests.begin();
                async move { Ok(Reply::new(StatusCode::OK, None).into_response(None, open)) }
            });
            let (mut client, server) = tokio::io::duplex(1 << 10);
            let mut line = Line::new(&protocol, server, handler, activity);
            let one_and_a_half = [REQUEST, &REQUEST[..10]].concat();
            ask(&mut client, &mut line, &[&one_and_a_half]).await;
            assert!(line.rest());
            assert!(ask(&mut client, &mut line, &[&REQUEST[10..]]).await.starts_with("HTTP/1.1 200 OK\r\n"));
        });
    }
}
