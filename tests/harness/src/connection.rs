//! One HTTP/1.1 connection that is kept alive, with as little work per request as possible: the load generator shares
//! the machine with the server that it measures.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where requests go and in whose name.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The server's address.
    pub address: SocketAddr,
    /// The access key id. Without authentication, one of 12 digits is the account.
    pub access_key: String,
    /// The region in the credential scope.
    pub region: String,
}

impl Endpoint {
    /// The endpoint of `account` in us-east-1.
    #[must_use]
    pub fn new(address: SocketAddr, account: &str) -> Self {
        Self { address, access_key: account.to_owned(), region: "us-east-1".to_owned() }
    }

    /// The bytes of a whole request. The signature has the right form and no meaning.
    #[must_use]
    pub fn request(&self, operation: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n\
             Content-Type: application/x-amz-json-1.1\r\nX-Amz-Date: 20260101T000000Z\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/{}/kinesis/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature={:064}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            self.access_key,
            self.region,
            0,
            body.len()
        );
        let mut request = Vec::with_capacity(head.len() + body.len());
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body);
        request
    }
}

/// An answer; the body is borrowed from the connection's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: &'a [u8],
}

/// One connection. After an error it is of no more use.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is not one that this reader knows: it wants `Content-Length`, as every
    /// AWS answer has it.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<Response<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
            self.read_some().await?;
        };
        let end = head.length + head.content_length;
        self.buffer.reserve(end.saturating_sub(self.buffer.len()));
        while self.buffer.len() < end {
            self.read_some().await?;
        }
        if self.buffer.len() > end {
            return Err(invalid("the server sent more than one answer to one request"));
        }
        Ok(Response { status: head.status, body: &self.buffer[head.length..end] })
    }

    async fn read_some(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(())
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// What a reader needs of an answer's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Bytes up to and with the empty line.
    length: usize,
    status: u16,
    content_length: usize,
}

impl Head {
    /// The head at the start of `bytes`, or `None` while it is not complete.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| invalid("the head is not text"))?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| digits.parse().ok()).ok_or_else(|| invalid("no HTTP/1.1 status line"))?;
        let content_length = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .ok_or_else(|| invalid("no Content-Length"))?;
        Ok(Some(Self { length: end + 4, status, content_length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_when_they_are_whole() {
        let head = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\nx: y\r\n\r\n{}";
        for end in 0..head.len() - 2 {
            assert_eq!(Head::parse(&head[..end]).ok().flatten(), None);
        }
        let expected = Head { length: head.len() - 2, status: 400, content_length: 12 };
        assert_eq!(Head::parse(head).ok().flatten(), Some(expected));
    }

    #[test]
    fn answers_without_a_length_are_refused() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(Head::parse(b"SSH-2.0\r\n\r\n").is_err());
    }
}
