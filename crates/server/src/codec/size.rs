//! How long an answer will be.

use millstream_api::{Encoder, Timestamp};

/// Counts the bytes of an answer as JSON. A little too many, or, for strings that need escapes, too few.
#[derive(Default)]
pub(super) struct SizeCounter {
    pub bytes: usize,
}

/// A comma, and the quotes and the colon around a name.
const MEMBER: usize = 4;
/// The longest 64-bit integer with its sign; a timestamp is no longer.
const NUMBER: usize = 20;
/// A comma.
const ELEMENT: usize = 1;
/// An opening and a closing bracket, quote or the like.
const PAIR: usize = 2;

impl Encoder for SizeCounter {
    fn begin_structure(&mut self) {
        self.bytes += PAIR;
    }

    fn member(&mut self, name: &'static str) {
        self.bytes += MEMBER + name.len();
    }

    fn end_structure(&mut self) {}

    fn begin_list(&mut self, _: usize) {
        self.bytes += PAIR;
    }

    fn element(&mut self) {
        self.bytes += ELEMENT;
    }

    fn end_list(&mut self) {}

    fn begin_map(&mut self, _: usize) {
        self.bytes += PAIR;
    }

    fn key(&mut self, key: &str) {
        self.bytes += MEMBER + key.len();
    }

    fn end_map(&mut self) {}

    fn string(&mut self, value: &str) {
        self.bytes += PAIR + value.len();
    }

    fn integer(&mut self, _: i64) {
        self.bytes += NUMBER;
    }

    fn boolean(&mut self, value: bool) {
        self.bytes += if value { "true".len() } else { "false".len() };
    }

    fn blob(&mut self, value: &[u8]) {
        self.bytes += PAIR + value.len().div_ceil(3) * 4;
    }

    fn timestamp(&mut self, _: Timestamp) {
        self.bytes += NUMBER;
    }
}
