//! Messages of `application/vnd.amazon.eventstream`.
//!
//! A message is its length, its headers' length, a CRC of these two, the headers, the payload, and a CRC of all before
//! it. Numbers are big-endian; the CRC is zlib's.

use crc_fast::CrcAlgorithm::Crc32IsoHdlc;

/// The headers of a message.
pub(super) struct Message {
    headers: [(&'static str, &'static str); 3],
}

const MESSAGE_TYPE: &str = ":message-type";
const CONTENT_TYPE: &str = ":content-type";
/// The type of a header whose value is a string.
const STRING: u8 = 7;
/// A header's bytes beside its name and its value: the lengths of both, and the value's type.
const HEADER: usize = 4;
/// The two lengths.
const LENGTHS: usize = 8;
const CRC: usize = 4;

impl Message {
    /// An event.
    pub fn event(name: &'static str, content_type: &'static str) -> Message {
        Message { headers: [(MESSAGE_TYPE, "event"), (":event-type", name), (CONTENT_TYPE, content_type)] }
    }

    /// An error.
    pub fn exception(name: &'static str, content_type: &'static str) -> Message {
        Message { headers: [(MESSAGE_TYPE, "exception"), (":exception-type", name), (CONTENT_TYPE, content_type)] }
    }

    fn headers_len(&self) -> usize {
        self.headers.iter().map(|(name, value)| HEADER + name.len() + value.len()).sum()
    }

    /// The length of the message without a payload.
    pub fn len(&self) -> usize {
        LENGTHS + CRC + self.headers_len() + CRC
    }

    /// The message with the payload that `write` appends, of about `expected` bytes.
    pub fn bytes(&self, expected: usize, write: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() + expected);
        bytes.resize(LENGTHS + CRC, 0);
        for (name, value) in &self.headers {
            // Both are ours, and short.
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(STRING);
            bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        let mut bytes = write(bytes);
        let length = (bytes.len() + CRC) as u32;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes[4..LENGTHS].copy_from_slice(&(self.headers_len() as u32).to_be_bytes());
        let prelude = crc(&bytes[..LENGTHS]);
        bytes[LENGTHS..LENGTHS + CRC].copy_from_slice(&prelude);
        let whole = crc(&bytes);
        bytes.extend_from_slice(&whole);
        bytes
    }
}

fn crc(bytes: &[u8]) -> [u8; CRC] {
    (crc_fast::checksum(Crc32IsoHdlc, bytes) as u32).to_be_bytes()
}
