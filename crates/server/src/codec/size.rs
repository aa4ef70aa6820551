//! How long an answer will be.

use millstream_api::{Encoder, Timestamp};

use super::Format;

/// Counts the bytes of an answer. A little too many, or, for strings that need escapes in JSON, too few.
pub(super) struct SizeCounter {
    pub bytes: usize,
    costs: &'static Costs,
}

/// What a format writes around the bytes of names and values, at most.
struct Costs {
    structure: usize,
    member: usize,
    list: usize,
    element: usize,
    text: usize,
    number: usize,
    boolean: usize,
    blob: fn(usize) -> usize,
}

static JSON: Costs = Costs {
    // Opening and closing brackets.
    structure: 2,
    // A comma, and the quotes and the colon around a name.
    member: 4,
    list: 2,
    // A comma.
    element: 1,
    // Quotes.
    text: 2,
    // The longest 64-bit integer with its sign; a timestamp is no longer.
    number: 20,
    boolean: "false".len(),
    blob: |bytes| 2 + bytes.div_ceil(3) * 4,
};

/// A head is one byte and up to eight more for a length or a value.
const HEAD: usize = 9;

static CBOR: Costs = Costs {
    structure: 2,
    // Names are shorter than 256 bytes.
    member: 2,
    list: HEAD,
    element: 0,
    text: HEAD,
    // A timestamp's tag takes another byte.
    number: 1 + HEAD,
    boolean: 1,
    blob: |bytes| HEAD + bytes,
};

impl SizeCounter {
    pub fn new(format: Format) -> SizeCounter {
        SizeCounter {
            bytes: 0,
            costs: match format {
                Format::Json => &JSON,
                Format::Cbor => &CBOR,
            },
        }
    }
}

impl Encoder for SizeCounter {
    fn begin_structure(&mut self) {
        self.bytes += self.costs.structure;
    }

    fn member(&mut self, name: &'static str) {
        self.bytes += self.costs.member + name.len();
    }

    fn end_structure(&mut self) {}

    fn begin_list(&mut self, _: usize) {
        self.bytes += self.costs.list;
    }

    fn element(&mut self) {
        self.bytes += self.costs.element;
    }

    fn end_list(&mut self) {}

    fn begin_map(&mut self, _: usize) {
        self.bytes += self.costs.list;
    }

    fn key(&mut self, key: &str) {
        self.bytes += self.costs.member + self.costs.text + key.len();
    }

    fn end_map(&mut self) {}

    fn string(&mut self, value: &str) {
        self.bytes += self.costs.text + value.len();
    }

    fn integer(&mut self, _: i64) {
        self.bytes += self.costs.number;
    }

    fn boolean(&mut self, _: bool) {
        self.bytes += self.costs.boolean;
    }

    fn blob(&mut self, value: &[u8]) {
        self.bytes += (self.costs.blob)(value.len());
    }

    fn timestamp(&mut self, _: Timestamp) {
        self.bytes += self.costs.number;
    }
}
