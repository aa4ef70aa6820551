//! SubscribeToShard: an HTTP/2 stream of events, taken apart as it arrives.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use millstream_harness::Endpoint;
use serde::Deserialize;
use serde_json::json;

use crate::answers::JsonRecord;
use crate::client::headers;
use crate::error::BenchError;
use crate::payload::Payload;
use crate::requests::Codec;

/// Total length, length of the headers, and the checksum of both.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// A subscription.
#[derive(Debug)]
pub struct Subscription {
    body: RecvStream,
    buffer: Vec<u8>,
}

/// What an event stream carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The first message, before any event.
    Initial,
    /// The numbers of the records of an event.
    Records(Vec<u64>),
}

impl Subscription {
    /// Subscribes a consumer to a shard, at `LATEST` or `TRIM_HORIZON`.
    ///
    /// # Errors
    /// When the service refuses.
    pub async fn open(
        send: &SendRequest<Bytes>,
        endpoint: &Endpoint,
        consumer: &str,
        shard: &str,
        position: &str,
    ) -> Result<Self, BenchError> {
        let body = json!({ "ConsumerARN": consumer, "ShardId": shard, "StartingPosition": { "Type": position } });
        let mut ready = send.clone().ready().await?;
        let (response, mut stream) = ready.send_request(headers(endpoint, "SubscribeToShard", Codec::Json)?, false)?;
        stream.send_data(Bytes::from(body.to_string()), true)?;
        let response = response.await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        if status != 200 {
            let first = body.data().await.transpose()?.unwrap_or_default();
            return Err(BenchError::answer(status, &first));
        }
        Ok(Self { body, buffer: Vec::new() })
    }

    /// The next event; `None` at the end of the subscription.
    ///
    /// # Errors
    /// When the connection breaks, the service reports an error, or a record is not one of the payload's.
    pub async fn next(&mut self, payload: &Payload) -> Result<Option<Event>, BenchError> {
        loop {
            if let Some(length) = whole(&self.buffer) {
                let event = event(&self.buffer[..length], payload)?;
                self.buffer.drain(..length);
                return Ok(Some(event));
            }
            match self.body.data().await {
                None => return Ok(None),
                Some(chunk) => {
                    let chunk = chunk?;
                    self.buffer.extend_from_slice(&chunk);
                    self.body.flow_control().release_capacity(chunk.len())?;
                }
            }
        }
    }
}

/// The length of the message at the start of `bytes`, if it is there whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = number(bytes, 0)?;
    (length >= PRELUDE + CHECKSUM && bytes.len() >= length).then_some(length)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

fn event(message: &[u8], payload: &Payload) -> Result<Event, BenchError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Records<'a> {
        #[serde(borrow)]
        records: Vec<JsonRecord<'a>>,
    }
    let malformed = || BenchError::ReadBack("an event is not as expected".to_owned());
    let headers_end = PRELUDE + number(message, 4).ok_or_else(malformed)?;
    let headers = message.get(PRELUDE..headers_end).ok_or_else(malformed)?;
    let body = message.get(headers_end..message.len() - CHECKSUM).ok_or_else(malformed)?;
    match header(headers, ":event-type") {
        Some("initial-response") => Ok(Event::Initial),
        Some("SubscribeToShardEvent") => {
            let records: Records<'_> = serde_json::from_slice(body)
                .map_err(|error| BenchError::ReadBack(format!("an event is not as expected: {error}")))?;
            let numbers = records.records.iter().map(|record| {
                payload.number(record.partition_key, record.data).ok_or_else(|| {
                    BenchError::ReadBack(format!("a record with key {:?} is not as it was put", record.partition_key))
                })
            });
            Ok(Event::Records(numbers.collect::<Result<Vec<u64>, BenchError>>()?))
        }
        _ => Err(BenchError::ReadBack(format!("the subscription says {}", String::from_utf8_lossy(body)))),
    }
}

/// The value of a header, if it is text.
fn header<'a>(mut headers: &'a [u8], name: &str) -> Option<&'a str> {
    const TEXT: u8 = 7;
    while let Some((length, rest)) = headers.split_first() {
        let (found, rest) = rest.split_at_checked(usize::from(*length))?;
        let (kind, rest) = rest.split_first()?;
        let (length, rest) = rest.split_at_checked(2)?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([length[0], length[1]])))?;
        // The service's headers are all text; another kind's length is not known here.
        if *kind != TEXT {
            return None;
        }
        if found == name.as_bytes() {
            return std::str::from_utf8(value).ok();
        }
        headers = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Shape, digits, number_bytes};
    use crate::requests::base64;

    fn message(kind: &str, body: &str) -> Vec<u8> {
        let mut headers = Vec::new();
        for (name, value) in [(":message-type", "event"), (":event-type", kind)] {
            headers.push(name.len() as u8);
            headers.extend_from_slice(name.as_bytes());
            headers.push(7);
            headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
            headers.extend_from_slice(value.as_bytes());
        }
        let total = PRELUDE + headers.len() + body.len() + CHECKSUM;
        let mut message = Vec::new();
        message.extend_from_slice(&(total as u32).to_be_bytes());
        message.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&headers);
        message.extend_from_slice(body.as_bytes());
        message.extend_from_slice(&[0; CHECKSUM]);
        message
    }

    #[test]
    fn events_are_taken_apart() {
        let payload = Payload::new(Shape::single(50));
        let key = String::from_utf8(digits(9).to_vec()).unwrap();
        let data = base64(&[number_bytes(9).as_slice(), payload.bytes(0)].concat());
        let body = format!(r#"{{"Records":[{{"Data":"{data}","PartitionKey":"{key}"}}],"MillisBehindLatest":0}}"#);
        let bytes = message("SubscribeToShardEvent", &body);
        assert_eq!(whole(&bytes), Some(bytes.len()));
        assert_eq!(whole(&bytes[..bytes.len() - 1]), None);
        assert_eq!(event(&bytes, &payload).unwrap(), Event::Records(vec![9]));
        assert_eq!(event(&message("initial-response", ""), &payload).unwrap(), Event::Initial);
        assert!(event(&message("ResourceNotFoundException", "{}"), &payload).is_err());
        let other = Payload::new(Shape::single(51));
        assert!(event(&bytes, &other).is_err());
    }
}
