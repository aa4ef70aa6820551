//! SubscribeToShard over HTTP/1.1: the events of one subscription, one at a time.

use std::io;
use std::time::Duration;

use memchr::memmem;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connection::Endpoint;
use crate::kinesis::CallError;

const OPERATION: &str = "SubscribeToShard";
/// The service sends an event every five seconds at least: who hears nothing for this long is not served.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of an event around its headers and payload: lengths and two checksums.
const FRAME: usize = 16;

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `SubscribeToShardEvent`, or the exception's name.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
}

/// A subscription that the service has accepted.
#[derive(Debug)]
pub struct Subscription {
    stream: TcpStream,
    /// As it came: chunks.
    raw: Vec<u8>,
    /// What was in the chunks, and is not an event yet.
    body: Vec<u8>,
    /// Whether the last chunk has come.
    over: bool,
}

impl Subscription {
    /// Subscribes the consumer to a shard from its oldest record on, or from behind the sequence number `after`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn open(
        endpoint: &Endpoint,
        consumer: &str,
        shard: &str,
        after: Option<&str>,
    ) -> Result<Self, CallError> {
        let position = match after {
            None => json!({ "Type": "TRIM_HORIZON" }),
            Some(number) => json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number }),
        };
        let input = json!({ "ConsumerARN": consumer, "ShardId": shard, "StartingPosition": position });
        let request = endpoint.request(OPERATION, input.to_string().as_bytes());
        let mut stream = TcpStream::connect(endpoint.address).await.map_err(broken)?;
        stream.write_all(&request).await.map_err(broken)?;
        let mut opened = Self { stream, raw: Vec::new(), body: Vec::new(), over: false };
        let head = loop {
            if let Some(end) = memmem::find(&opened.raw, b"\r\n\r\n") {
                break String::from_utf8_lossy(&opened.raw.drain(..end + 4).collect::<Vec<u8>>()).to_ascii_lowercase();
            }
            opened.read_some().await.map_err(broken)?;
        };
        if head.starts_with("http/1.1 200 ") {
            return Ok(opened);
        }
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        while opened.raw.len() < length.unwrap_or(0) {
            opened.read_some().await.map_err(broken)?;
        }
        let error: Value = serde_json::from_slice(&opened.raw).unwrap_or_default();
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        Err(CallError::Service {
            operation: OPERATION.to_owned(),
            status,
            code: text("__type"),
            message: text("message"),
        })
    }

    /// The next event after the initial response; `None` when the service has ended the subscription.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes for a minute, or what comes is no event stream.
    pub async fn next(&mut self) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = frame(&mut self.body)? {
                if event.kind == "initial-response" {
                    continue;
                }
                return Ok(Some(event));
            }
            if self.over {
                return Ok(None);
            }
            match chunk(&mut self.raw)? {
                Some(data) if data.is_empty() => self.over = true,
                Some(data) => self.body.extend_from_slice(&data),
                None => self.read_some().await?,
            }
        }
    }

    async fn read_some(&mut self) -> io::Result<()> {
        let read = timeout(SILENCE, self.stream.read_buf(&mut self.raw)).await;
        match read.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the subscription is silent"))?? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}

fn broken(cause: io::Error) -> CallError {
    CallError::Connection { operation: OPERATION.to_owned(), cause }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Takes the chunk at the start of `raw`, if all of it is there. The last one is empty.
fn chunk(raw: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let Some(line) = memmem::find(raw, b"\r\n") else { return Ok(None) };
    let length = std::str::from_utf8(&raw[..line]).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let start = line + 2;
    let end = start + length.ok_or_else(|| invalid("no chunk"))?;
    if raw.len() < end + 2 {
        return Ok(None);
    }
    let data = raw[start..end].to_vec();
    raw.drain(..end + 2);
    Ok(Some(data))
}

/// Takes the event at the start of `body`, if all of it is there. Checksums are the server's tests' concern.
fn frame(body: &mut Vec<u8>) -> io::Result<Option<Event>> {
    let word = |at: usize| body.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes);
    let (Some(length), Some(headers)) = (word(0), word(4)) else { return Ok(None) };
    let (length, headers) = (length as usize, headers as usize);
    if length < FRAME + headers {
        return Err(invalid("no event"));
    }
    if body.len() < length {
        return Ok(None);
    }
    let kind = kind(&body[12..12 + headers]).ok_or_else(|| invalid("an event without a type"))?;
    let payload = serde_json::from_slice(&body[12 + headers..length - 4]).unwrap_or_default();
    body.drain(..length);
    Ok(Some(Event { kind, payload }))
}

/// The value of `:event-type` or `:exception-type` among an event's headers, all of which are strings.
fn kind(mut headers: &[u8]) -> Option<String> {
    while let Some((length, rest)) = headers.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (size, rest) = rest.get(1..)?.split_at_checked(2)?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(size.try_into().ok()?)))?;
        if name == b":event-type" || name == b":exception-type" {
            return String::from_utf8(value.to_vec()).ok();
        }
        headers = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, payload: &str) -> Vec<u8> {
        let mut headers = vec![11];
        headers.extend_from_slice(b":event-type");
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(kind.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(kind.as_bytes());
        let length = u32::try_from(FRAME + headers.len() + payload.len()).unwrap();
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&headers);
        frame.extend_from_slice(payload.as_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame
    }

    #[test]
    fn events_are_taken_when_they_are_whole() {
        let whole = event("SubscribeToShardEvent", r#"{"Records":[]}"#);
        for end in 0..whole.len() {
            assert_eq!(frame(&mut whole[..end].to_vec()).unwrap(), None);
        }
        let mut two = [whole, event("InternalFailureException", "{}")].concat();
        assert_eq!(frame(&mut two).unwrap().unwrap().payload, json!({ "Records": [] }));
        assert_eq!(frame(&mut two).unwrap().unwrap().kind, "InternalFailureException");
        assert!(two.is_empty());
    }

    #[test]
    fn chunks_are_taken_when_they_are_whole() {
        let mut raw = b"a\r\n0123456789\r\n0\r\n\r\n".to_vec();
        assert_eq!(chunk(&mut raw[..8].to_vec()).unwrap(), None);
        assert_eq!(chunk(&mut raw).unwrap(), Some(b"0123456789".to_vec()));
        assert_eq!(chunk(&mut raw).unwrap(), Some(Vec::new()));
        assert!(chunk(&mut b"no chunk\r\n".to_vec()).is_err());
    }
}
