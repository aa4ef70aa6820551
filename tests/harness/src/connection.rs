//! One HTTP/1.1 connection that is kept alive, with as little work per request as possible: the load generator shares
//! the machine with the server that it measures.

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// When requests say that they were signed.
pub const SIGNED_AT: &str = "20260101T000000Z";

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

    /// The bytes of a whole request in JSON.
    #[must_use]
    pub fn request(&self, operation: &str, body: &[u8]) -> Vec<u8> {
        let mut request = self.head(operation, "application/x-amz-json-1.1", body.len()).into_bytes();
        request.extend_from_slice(body);
        request
    }

    /// The head of an HTTP/1.1 request whose body has `length` bytes, with the empty line.
    #[must_use]
    pub fn head(&self, operation: &str, content_type: &str, length: usize) -> String {
        format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n\
             Content-Type: {content_type}\r\nX-Amz-Date: {SIGNED_AT}\r\nAuthorization: {}\r\n\
             Content-Length: {length}\r\n\r\n",
            self.address,
            self.authorization(),
        )
    }

    /// The value of a request's `Authorization`, to be sent with [`SIGNED_AT`] as its `X-Amz-Date`. The signature has the
    /// right form and no meaning.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/{}/kinesis/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature={:064}",
            self.access_key, self.region, 0
        )
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

/// One connection. After an error it is of no more use. To a server that closes it after an answer, and says so, it is
/// opened anew for the next request.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Whether the server has said that it closes the connection.
    closes: bool,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, stream: connect(address).await?, buffer: Vec::with_capacity(16 * 1024), closes: false })
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is not one that this reader knows: it wants `Content-Length`, as every
    /// AWS answer has it.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<Response<'_>> {
        self.write(&[request]).await?;
        self.receive().await
    }

    /// Sends bytes, all parts with as few system calls as they can be sent with.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if self.closes {
            self.stream = connect(self.address).await?;
            self.closes = false;
        }
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = slices.as_mut_slice();
        // Empty parts at the front would look like a connection that takes nothing.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = self.stream.write_vectored(left).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn receive(&mut self) -> io::Result<Response<'_>> {
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
        self.closes = head.closes;
        Ok(Response { status: head.status, body: &self.buffer[head.length..end] })
    }

    async fn read_some(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
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
    /// Whether the server closes the connection after this answer.
    closes: bool,
}

impl Head {
    /// The head at the start of `bytes`, or `None` while it is not complete.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = Lines(&bytes[..end]);
        let status = lines.next().and_then(|line| line.strip_prefix(b"HTTP/1.1 ")).and_then(|rest| rest.get(..3));
        let status = status.and_then(number).and_then(|status| u16::try_from(status).ok());
        let status = status.ok_or_else(|| invalid("no HTTP/1.1 status line"))?;
        let (mut content_length, mut closes) = (None, false);
        for line in lines {
            if let Some(value) = value_of(line, b"content-length:") {
                content_length = number(value);
            } else if let Some(value) = value_of(line, b"connection:") {
                closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        let content_length = content_length.ok_or_else(|| invalid("no Content-Length"))?;
        Ok(Some(Self { length: end + 4, status, content_length, closes }))
    }
}

/// The value of a line that starts with `name`, which has a colon at its end.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value.trim_ascii())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The lines of a head, without their ends.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memmem::find(self.0, b"\r\n");
        let (line, rest) = end.map_or((self.0, [].as_slice()), |end| (&self.0[..end], &self.0[end + 2..]));
        self.0 = rest;
        Some(line)
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
        let expected = Head { length: head.len() - 2, status: 400, content_length: 12, closes: false };
        assert_eq!(Head::parse(head).ok().flatten(), Some(expected));
    }

    #[test]
    fn a_server_that_closes_says_so() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n";
        assert!(Head::parse(head).ok().flatten().is_some_and(|head| head.closes));
    }

    #[test]
    fn answers_without_a_length_are_refused() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(Head::parse(b"SSH-2.0\r\n\r\n").is_err());
    }
}
