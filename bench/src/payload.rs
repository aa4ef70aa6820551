//! The records that loads put: recognisable, each unlike all others, and cheap to make.
//!
//! A record's first nine bytes are its number, written as twelve digits of the base64 alphabet, which are also its partition
//! key; so records spread over the shards and are known again when they are read. What follows is noise that does not
//! compress and depends on the record's place in its request.

use std::rc::Rc;

use base64_simd::STANDARD;
use millstream_harness::Random;

/// Digits of a record's number, and bytes of its partition key.
pub const DIGITS: usize = 12;
/// Bytes of the number in the data.
const NUMBER_BYTES: usize = DIGITS / 4 * 3;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Each digit's value; 255 for what is none.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [255; 256];
    let mut index = 0;
    while index < ALPHABET.len() {
        values[ALPHABET[index] as usize] = index as u8;
        index += 1;
    }
    values
}

/// How requests are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Records per request.
    pub per_request: usize,
    /// Bytes of data per record.
    pub record_bytes: usize,
}

impl Shape {
    /// One record of this many bytes.
    #[must_use]
    pub const fn single(record_bytes: usize) -> Self {
        Self { per_request: 1, record_bytes }
    }

    /// Bytes of data and key of one record.
    #[must_use]
    pub fn counted_bytes(self) -> usize {
        self.record_bytes + DIGITS
    }
}

/// The noise of all records of one shape, shared by who puts and who reads.
#[derive(Debug)]
pub struct Payload {
    shape: Shape,
    /// Per place in a request, what follows the number.
    noise: Vec<Noise>,
}

#[derive(Debug)]
struct Noise {
    bytes: Vec<u8>,
    base64: String,
}

impl Payload {
    /// The payload of a shape.
    #[must_use]
    pub fn new(shape: Shape) -> Rc<Self> {
        let noise = (0..shape.per_request).map(|index| {
            let mut bytes = vec![0; shape.record_bytes.saturating_sub(NUMBER_BYTES)];
            Random::new(index as u64).fill(&mut bytes);
            let base64 = STANDARD.encode_to_string(&bytes);
            Noise { bytes, base64 }
        });
        Rc::new(Self { shape, noise: noise.collect() })
    }

    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What follows the number in the record at `index` of a request, as base64.
    #[must_use]
    pub fn base64(&self, index: usize) -> &str {
        &self.noise[index].base64
    }

    /// What follows the number in the record at `index` of a request.
    #[must_use]
    pub fn bytes(&self, index: usize) -> &[u8] {
        &self.noise[index].bytes
    }

    /// The number of a record that was read as base64, if its key and data are those of one that was put.
    #[must_use]
    pub fn number(&self, key: &str, data: &str) -> Option<u64> {
        let number = number(key)?;
        let (head, rest) = data.split_at_checked(DIGITS)?;
        let same = in_base64(digits(number)) == head.as_bytes();
        (same && self.noise[self.place(number)].base64 == rest).then_some(number)
    }

    /// As [`Payload::number`], of data as they are.
    #[must_use]
    pub fn number_of_bytes(&self, key: &str, data: &[u8]) -> Option<u64> {
        let number = number(key)?;
        let (head, rest) = data.split_at_checked(NUMBER_BYTES)?;
        (number_bytes(number) == head && self.noise[self.place(number)].bytes == rest).then_some(number)
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number % self.shape.per_request as u64).unwrap_or_default()
    }
}

/// A number as a partition key.
#[must_use]
pub fn digits(number: u64) -> [u8; DIGITS] {
    let mut digits = [b'A'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest & 63) as usize];
        rest >>= 6;
    }
    digits
}

/// The digits of a key as the base64 of a number: its alphabet has `+` and `/`, from which keys stay free.
#[must_use]
pub fn in_base64(digits: [u8; DIGITS]) -> [u8; DIGITS] {
    digits.map(|digit| match digit {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    })
}

/// A number as the first bytes of data.
#[must_use]
pub fn number_bytes(number: u64) -> [u8; NUMBER_BYTES] {
    let mut bytes = [0; NUMBER_BYTES];
    bytes[NUMBER_BYTES - 8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn number(key: &str) -> Option<u64> {
    if key.len() != DIGITS {
        return None;
    }
    key.bytes().try_fold(0u64, |number, digit| match VALUES[usize::from(digit)] {
        255 => None,
        value => number.checked_mul(64)?.checked_add(u64::from(value)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_alike_in_keys_and_in_data() {
        for value in [0, 1, 63, 64, 4095 * 64 + 62, u64::from(u32::MAX), u64::MAX >> 1] {
            let digits = digits(value);
            assert_eq!(number(std::str::from_utf8(&digits).unwrap()), Some(value));
            assert_eq!(STANDARD.decode_to_vec(in_base64(digits)).unwrap(), number_bytes(value));
        }
        assert_eq!(number("AAAAAAAAAA+B"), None);
        assert_eq!(number("AAAA"), None);
    }

    #[test]
    fn only_the_very_record_is_known_again() {
        let payload = Payload::new(Shape { per_request: 3, record_bytes: 100 });
        let key = String::from_utf8(digits(4).to_vec()).unwrap();
        let data = [number_bytes(4).as_slice(), payload.bytes(1)].concat();
        assert_eq!(data.len(), 100);
        let base64 = STANDARD.encode_to_string(&data);
        assert_eq!(payload.number(&key, &base64), Some(4));
        assert_eq!(payload.number_of_bytes(&key, &data), Some(4));
        let other_key = String::from_utf8(digits(7).to_vec()).unwrap();
        assert_eq!(payload.number(&other_key, &base64), None);
        let mut changed = data.clone();
        changed[99] ^= 1;
        assert_eq!(payload.number_of_bytes(&key, &changed), None);
        assert_eq!(payload.number(&key, &STANDARD.encode_to_string(&changed)), None);
        assert_eq!(payload.number_of_bytes(&key, &data[..99]), None);
    }
}
