//! Requests that are built once and renumbered for each sending, so that the load generator does little of its own.
//!
//! A record is 1,024 bytes whose first nine are its number, written as twelve digits of the base64 alphabet, which are
//! also its partition key: each record is unlike all others, spreads over the shards, and is known again when it is read.

use base64_simd::STANDARD;
use millstream_harness::{Endpoint, Random};

use crate::contestant::STREAM;

/// Bytes of data in a record.
pub const RECORD_BYTES: usize = 1024;
/// Digits of a record's number.
const DIGITS: usize = 12;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Where a number goes while a request is built.
const PLACEHOLDER: &str = "############";

/// Which operation puts the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One record per request.
    PutRecord,
    /// This many per request.
    PutRecords(usize),
}

impl Kind {
    /// Records in one request.
    #[must_use]
    pub fn records(self) -> usize {
        match self {
            Self::PutRecord => 1,
            Self::PutRecords(count) => count,
        }
    }

    /// The bytes of data in one request, keys included.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.records() * (RECORD_BYTES + DIGITS)
    }
}

/// A request that can be sent again with other records in it.
#[derive(Debug)]
pub struct Request {
    bytes: Vec<u8>,
    /// Per record, where its number stands in the data and in the key.
    places: Vec<[usize; 2]>,
}

impl Request {
    /// A request whose records have no numbers yet.
    #[must_use]
    pub fn new(endpoint: &Endpoint, kind: Kind) -> Self {
        let record = |index: usize| {
            let noise = noise(index);
            format!("\"Data\":\"{PLACEHOLDER}{noise}\",\"PartitionKey\":\"{PLACEHOLDER}\"")
        };
        let (operation, body) = match kind {
            Kind::PutRecord => ("PutRecord", format!("{{\"StreamName\":\"{STREAM}\",{}}}", record(0))),
            Kind::PutRecords(count) => {
                let records: Vec<String> = (0..count).map(|index| format!("{{{}}}", record(index))).collect();
                ("PutRecords", format!("{{\"StreamName\":\"{STREAM}\",\"Records\":[{}]}}", records.join(",")))
            }
        };
        let bytes = endpoint.request(operation, body.as_bytes());
        let text = String::from_utf8_lossy(&bytes);
        let found: Vec<usize> = text.match_indices(PLACEHOLDER).map(|(at, _)| at).collect();
        let places = found.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        Self { bytes, places }
    }

    /// Numbers the records from `first` on, and gives the bytes to send.
    pub fn numbered(&mut self, first: u64) -> &[u8] {
        for (number, [data, key]) in (first..).zip(&self.places) {
            let digits = digits(number);
            // In the data the alphabet is that of base64, where the key must stay free of its `+` and `/`.
            self.bytes[*key..*key + DIGITS].copy_from_slice(&digits);
            let in_data = digits.map(|digit| match digit {
                b'-' => b'+',
                b'_' => b'/',
                other => other,
            });
            self.bytes[*data..*data + DIGITS].copy_from_slice(&in_data);
        }
        &self.bytes
    }
}

/// What follows the number in the `index`th record of a request, as base64. It does not compress.
fn noise(index: usize) -> String {
    let mut bytes = vec![0; RECORD_BYTES - DIGITS / 4 * 3];
    Random::new(index as u64).fill(&mut bytes);
    STANDARD.encode_to_string(bytes)
}

fn digits(number: u64) -> [u8; DIGITS] {
    let mut digits = [b'A'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(rest % 64).unwrap_or_default()];
        rest /= 64;
    }
    digits
}

/// The number of a record that was read, if its key and data are those of one that was put `per_request` at a time.
#[must_use]
pub fn number_of(key: &str, data: &str, per_request: usize) -> Option<u64> {
    let mut number = 0u64;
    for digit in key.bytes() {
        let value = ALPHABET.iter().position(|candidate| *candidate == digit)?;
        number = number.checked_mul(64)?.checked_add(value as u64)?;
    }
    let (head, rest) = data.split_at_checked(DIGITS)?;
    let same = key.replace('-', "+").replace('_', "/") == head;
    let index = usize::try_from(number).ok()? % per_request;
    (same && NOISE.with(|noises| noises.borrow_mut().matches(index, rest))).then_some(number)
}

thread_local! {
    static NOISE: std::cell::RefCell<Noises> = const { std::cell::RefCell::new(Noises(Vec::new())) };
}

/// The noise of the records of a request, made when it is first asked for.
struct Noises(Vec<String>);

impl Noises {
    fn matches(&mut self, index: usize, text: &str) -> bool {
        while self.0.len() <= index {
            self.0.push(noise(self.0.len()));
        }
        self.0[index] == text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_numbered_and_known_again() {
        let endpoint = Endpoint::new(([127, 0, 0, 1], 1).into(), "000000000000");
        let mut request = Request::new(&endpoint, Kind::PutRecords(3));
        let text = String::from_utf8_lossy(request.numbered(4095 * 3)).into_owned();
        let body: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        for (index, record) in (0u64..).zip(body["Records"].as_array().unwrap()) {
            let (data, key) = (record["Data"].as_str().unwrap(), record["PartitionKey"].as_str().unwrap());
            assert_eq!(STANDARD.decode_to_vec(data).unwrap().len(), RECORD_BYTES);
            assert_eq!(number_of(key, data, 3), Some(4095 * 3 + index));
            assert_eq!(number_of("AAAAAAAAAAAB", data, 3), None);
        }
        assert_eq!(request.places.len(), 3);
    }
}
