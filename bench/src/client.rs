//! One way to the server, HTTP/1.1 or HTTP/2, with one request under way at a time.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Version};
use millstream_harness::{Connection, Endpoint, Response, SIGNED_AT};
use tokio::net::TcpStream;

use crate::error::BenchError;
use crate::requests::Codec;

/// The largest window, which HTTP/2 can express: a reader that wants to be stalled says so by a small one.
const WINDOW_MAX: u32 = (1 << 31) - 1;

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, a connection for each client.
    Http1,
    /// HTTP/2 without TLS, all clients on one connection.
    Http2,
}

/// What surrounds a body; made once per kind of request.
#[derive(Debug, Clone)]
pub enum Envelope {
    /// The bytes before the body.
    Http1(Vec<u8>),
    /// The headers.
    Http2(Box<http::Request<()>>),
}

/// A client.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    link: Link,
}

#[derive(Debug)]
enum Link {
    Http1(Connection),
    Http2 { send: SendRequest<Bytes>, body: Vec<u8> },
}

impl Client {
    /// `count` clients.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(endpoint: &Endpoint, protocol: Protocol, count: usize) -> Result<Vec<Self>, BenchError> {
        let mut clients = Vec::with_capacity(count);
        match protocol {
            Protocol::Http1 => {
                for _ in 0..count {
                    let link = Link::Http1(Connection::open(endpoint.address).await?);
                    clients.push(Self { endpoint: endpoint.clone(), link });
                }
            }
            Protocol::Http2 => {
                let send = http2(endpoint, WINDOW_MAX).await?;
                clients.extend((0..count).map(|_| Self {
                    endpoint: endpoint.clone(),
                    link: Link::Http2 { send: send.clone(), body: Vec::new() },
                }));
            }
        }
        Ok(clients)
    }

    /// What surrounds a body of `length` bytes.
    ///
    /// # Errors
    /// When the operation makes no valid header.
    pub fn envelope(&self, operation: &str, codec: Codec, length: usize) -> Result<Envelope, BenchError> {
        match self.link {
            Link::Http1(_) => {
                Ok(Envelope::Http1(self.endpoint.head(operation, codec.content_type(), length).into_bytes()))
            }
            Link::Http2 { .. } => Ok(Envelope::Http2(Box::new(headers(&self.endpoint, operation, codec)?))),
        }
    }

    /// Sends a request, its body in two parts, and reads the whole answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not HTTP.
    pub async fn send(&mut self, envelope: &Envelope, front: &[u8], back: &Bytes) -> Result<Response<'_>, BenchError> {
        match (&mut self.link, envelope) {
            (Link::Http1(connection), Envelope::Http1(head)) => {
                connection.write(&[head, front, back]).await?;
                Ok(connection.receive().await?)
            }
            (Link::Http2 { send, body }, Envelope::Http2(headers)) => {
                let mut ready = send.clone().ready().await?;
                let (response, mut stream) = ready.send_request((**headers).clone(), false)?;
                stream.send_data(Bytes::copy_from_slice(front), back.is_empty())?;
                if !back.is_empty() {
                    stream.send_data(back.clone(), true)?;
                }
                let mut response = response.await?;
                body.clear();
                while let Some(chunk) = response.body_mut().data().await {
                    let chunk = chunk?;
                    body.extend_from_slice(&chunk);
                    response.body_mut().flow_control().release_capacity(chunk.len())?;
                }
                Ok(Response { status: response.status().as_u16(), body })
            }
            _ => Err(BenchError::Conditions("an envelope of another protocol".to_owned())),
        }
    }

    /// Makes the envelope of a body and sends both.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn call(&mut self, operation: &str, codec: Codec, body: &[u8]) -> Result<Response<'_>, BenchError> {
        let envelope = self.envelope(operation, codec, body.len())?;
        self.send(&envelope, body, &Bytes::new()).await
    }
}

/// An HTTP/2 connection whose streams have receive windows of `window` bytes.
///
/// # Errors
/// When nobody listens there or it is no HTTP/2.
pub async fn http2(endpoint: &Endpoint, window: u32) -> Result<SendRequest<Bytes>, BenchError> {
    let stream = TcpStream::connect(endpoint.address).await?;
    stream.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(WINDOW_MAX).enable_push(false);
    let (send, connection) = builder.handshake::<_, Bytes>(stream).await?;
    tokio::task::spawn_local(async move {
        // Who uses the connection sees the error as well.
        let _ = connection.await;
    });
    Ok(send)
}

/// The headers of a request.
///
/// # Errors
/// When the operation makes no valid header.
pub fn headers(endpoint: &Endpoint, operation: &str, codec: Codec) -> Result<http::Request<()>, BenchError> {
    http::Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("http://{}/", endpoint.address))
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .header("content-type", codec.content_type())
        .header("x-amz-date", SIGNED_AT)
        .header("authorization", endpoint.authorization())
        .body(())
        .map_err(|error| BenchError::Conditions(error.to_string()))
}
