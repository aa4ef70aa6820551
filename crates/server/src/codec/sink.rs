//! Where an encoder writes: bytes, or only their number.

use base64_simd::STANDARD;

/// What takes an answer's bytes.
pub(super) trait Sink {
    /// How many bytes it has taken.
    fn len(&self) -> usize;
    /// Takes a byte.
    fn push(&mut self, byte: u8);
    /// Takes bytes.
    fn put(&mut self, bytes: &[u8]);
    /// Takes `value` in base64.
    fn put_base64(&mut self, value: &[u8]);
    /// Sets bits of a byte taken earlier.
    fn amend(&mut self, at: usize, bits: u8);
}

impl Sink for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, byte: u8) {
        self.push(byte);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_base64(&mut self, value: &[u8]) {
        STANDARD.encode_append(value, self);
    }

    fn amend(&mut self, at: usize, bits: u8) {
        self[at] |= bits;
    }
}

/// Counts bytes.
#[derive(Debug, Default)]
pub(super) struct Count(pub usize);

impl Sink for Count {
    fn len(&self) -> usize {
        self.0
    }

    fn push(&mut self, _: u8) {
        self.0 += 1;
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn put_base64(&mut self, value: &[u8]) {
        self.0 += STANDARD.encoded_length(value.len());
    }

    fn amend(&mut self, _: usize, _: u8) {}
}
