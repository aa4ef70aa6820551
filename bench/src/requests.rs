//! Put requests that are built once and renumbered for each sending, so that the load generator does little of its own.

use std::rc::Rc;

use base64_simd::STANDARD;
use bytes::Bytes;

use crate::payload::{DIGITS, Payload, digits, in_base64, number_bytes};

/// From this size on a record's noise is not copied into each connection's request but shared.
const SHARED_FROM: usize = 64 * 1024;

/// How bodies are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// JSON 1.1.
    Json,
    /// CBOR 1.1.
    Cbor,
}

impl Codec {
    /// The content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }
}

/// Which operation puts the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// One record per request.
    PutRecord,
    /// As many per request as the payload's shape says.
    PutRecords,
}

impl Operation {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PutRecord => "PutRecord",
            Self::PutRecords => "PutRecords",
        }
    }
}

/// The body of a put, which can be sent again with other records in it.
#[derive(Debug, Clone)]
pub struct PutBody {
    codec: Codec,
    /// What holds the numbers.
    front: Vec<u8>,
    /// What follows it and never changes.
    back: Bytes,
    /// Per record, where its number stands in the data and in the key.
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    data: usize,
    key: usize,
}

impl PutBody {
    /// A body whose records have no numbers yet.
    #[must_use]
    pub fn new(stream: &str, operation: Operation, codec: Codec, payload: &Rc<Payload>) -> Self {
        let mut building = Building { front: Vec::new(), places: Vec::new() };
        let shape = payload.shape();
        let back = match (codec, operation) {
            (Codec::Json, Operation::PutRecord) => {
                building.text(&format!("{{\"StreamName\":\"{stream}\","));
                building.json_record(None);
                Bytes::from(format!("{}\"}}", payload.base64(0)))
            }
            (Codec::Json, Operation::PutRecords) => {
                building.text(&format!("{{\"StreamName\":\"{stream}\",\"Records\":["));
                for index in 0..shape.per_request {
                    building.text(if index == 0 { "{" } else { ",{" });
                    building.json_record(Some(payload.base64(index)));
                    building.text("}");
                }
                building.text("]}");
                Bytes::new()
            }
            (Codec::Cbor, Operation::PutRecord) => {
                building.cbor_head(MAP, 3);
                building.cbor_text("StreamName");
                building.cbor_text(stream);
                building.cbor_record(shape.record_bytes, &[]);
                Bytes::copy_from_slice(payload.bytes(0))
            }
            (Codec::Cbor, Operation::PutRecords) => {
                building.cbor_head(MAP, 2);
                building.cbor_text("StreamName");
                building.cbor_text(stream);
                building.cbor_text("Records");
                building.cbor_head(ARRAY, shape.per_request);
                for index in 0..shape.per_request {
                    building.cbor_head(MAP, 2);
                    building.cbor_record(shape.record_bytes, payload.bytes(index));
                }
                Bytes::new()
            }
        };
        let Building { mut front, places } = building;
        let back = if back.len() < SHARED_FROM {
            front.extend_from_slice(&back);
            Bytes::new()
        } else {
            back
        };
        Self { codec, front, back, places }
    }

    /// Bytes of the body.
    #[must_use]
    pub fn length(&self) -> usize {
        self.front.len() + self.back.len()
    }

    /// Numbers the records from `first` on, and gives the two parts to send.
    pub fn numbered(&mut self, first: u64) -> (&[u8], &Bytes) {
        for (number, place) in (first..).zip(&self.places) {
            let digits = digits(number);
            self.front[place.key..place.key + DIGITS].copy_from_slice(&digits);
            match self.codec {
                Codec::Json => self.front[place.data..place.data + DIGITS].copy_from_slice(&in_base64(digits)),
                Codec::Cbor => {
                    let bytes = number_bytes(number);
                    self.front[place.data..place.data + bytes.len()].copy_from_slice(&bytes);
                }
            }
        }
        (&self.front, &self.back)
    }
}

/// CBOR's major types, in their place in a head.
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const ARRAY: u8 = 4 << 5;
const MAP: u8 = 5 << 5;

struct Building {
    front: Vec<u8>,
    places: Vec<Place>,
}

impl Building {
    fn text(&mut self, text: &str) {
        self.front.extend_from_slice(text.as_bytes());
    }

    /// Key and data of a record; without noise the data are left open at their end.
    fn json_record(&mut self, noise: Option<&str>) {
        self.text("\"PartitionKey\":\"");
        let key = self.front.len();
        self.front.extend_from_slice(&digits(0));
        self.text("\",\"Data\":\"");
        let data = self.front.len();
        self.front.extend_from_slice(&digits(0));
        if let Some(noise) = noise {
            self.text(noise);
            self.text("\"");
        }
        self.places.push(Place { data, key });
    }

    fn cbor_record(&mut self, record_bytes: usize, noise: &[u8]) {
        self.cbor_text("PartitionKey");
        self.cbor_head(TEXT, DIGITS);
        let key = self.front.len();
        self.front.extend_from_slice(&digits(0));
        self.cbor_text("Data");
        self.cbor_head(BYTES, record_bytes);
        let data = self.front.len();
        self.front.extend_from_slice(&number_bytes(0));
        self.front.extend_from_slice(noise);
        self.places.push(Place { data, key });
    }

    fn cbor_text(&mut self, text: &str) {
        self.cbor_head(TEXT, text.len());
        self.text(text);
    }

    fn cbor_head(&mut self, major: u8, value: usize) {
        match value {
            0..24 => self.front.push(major | value as u8),
            24..0x100 => self.front.extend_from_slice(&[major | 24, value as u8]),
            0x100..0x1_0000 => {
                self.front.push(major | 25);
                self.front.extend_from_slice(&(value as u16).to_be_bytes());
            }
            _ => {
                self.front.push(major | 26);
                self.front.extend_from_slice(&(value as u32).to_be_bytes());
            }
        }
    }
}

/// A body of CBOR or JSON with string values only, e.g. that of GetShardIterator; numbers go in as they are.
#[must_use]
pub fn get_records_body(codec: Codec, iterator: &str) -> Vec<u8> {
    match codec {
        Codec::Json => format!("{{\"ShardIterator\":\"{iterator}\"}}").into_bytes(),
        Codec::Cbor => {
            let mut building = Building { front: Vec::new(), places: Vec::new() };
            building.cbor_head(MAP, 1);
            building.cbor_text("ShardIterator");
            building.cbor_text(iterator);
            building.front
        }
    }
}

/// As base64, what bytes are as data: for bodies that are not built here.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode_to_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Shape;

    fn whole(body: &mut PutBody, first: u64) -> Vec<u8> {
        let length = body.length();
        let (front, back) = body.numbered(first);
        let whole = [front, back].concat();
        assert_eq!(whole.len(), length);
        whole
    }

    #[test]
    fn json_records_are_numbered_and_known_again() {
        for (operation, shape) in [
            (Operation::PutRecord, Shape::single(1024)),
            (Operation::PutRecord, Shape::single(1 << 20)),
            (Operation::PutRecords, Shape { per_request: 3, record_bytes: 100 }),
        ] {
            let payload = Payload::new(shape);
            let mut body = PutBody::new("s", operation, Codec::Json, &payload);
            let first = 4095 * 3;
            let value: serde_json::Value = serde_json::from_slice(&whole(&mut body, first)).unwrap();
            let records = match operation {
                Operation::PutRecord => vec![value.clone()],
                Operation::PutRecords => value["Records"].as_array().unwrap().clone(),
            };
            assert_eq!((value["StreamName"].as_str(), records.len()), (Some("s"), shape.per_request));
            for (index, record) in (first..).zip(&records) {
                let (data, key) = (record["Data"].as_str().unwrap(), record["PartitionKey"].as_str().unwrap());
                assert_eq!(STANDARD.decode_to_vec(data).unwrap().len(), shape.record_bytes);
                assert_eq!(payload.number(key, data), Some(index));
            }
        }
    }

    #[test]
    fn cbor_records_are_numbered_and_known_again() {
        for (operation, shape) in [
            (Operation::PutRecord, Shape::single(1 << 17)),
            (Operation::PutRecords, Shape { per_request: 300, record_bytes: 100 }),
        ] {
            let payload = Payload::new(shape);
            let mut body = PutBody::new("s", operation, Codec::Cbor, &payload);
            let whole = whole(&mut body, 600);
            let mut decoder = minicbor::Decoder::new(&whole);
            decoder.map().unwrap();
            assert_eq!((decoder.str().unwrap(), decoder.str().unwrap()), ("StreamName", "s"));
            if operation == Operation::PutRecords {
                assert_eq!(decoder.str().unwrap(), "Records");
                assert_eq!(decoder.array().unwrap(), Some(300));
            }
            for number in 600..600 + shape.per_request as u64 {
                if operation == Operation::PutRecords {
                    assert_eq!(decoder.map().unwrap(), Some(2));
                }
                assert_eq!(decoder.str().unwrap(), "PartitionKey");
                let key = decoder.str().unwrap();
                assert_eq!(decoder.str().unwrap(), "Data");
                assert_eq!(payload.number_of_bytes(key, decoder.bytes().unwrap()), Some(number));
            }
            assert_eq!(decoder.position(), whole.len());
        }
    }
}
