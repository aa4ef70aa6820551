//! Writing shapes: a shape drives an [`Encoder`], which a wire format implements.

use std::borrow::Cow;

use bytes::Bytes;

use crate::Timestamp;

/// A shape that can be written to an answer.
pub trait Encode {
    /// Writes this value.
    fn encode<E: Encoder>(&self, encoder: &mut E);
}

/// A wire format's writer. Calls come properly nested: a structure is `begin_structure`, for each of its members
/// `member` and then the value, `end_structure`.
pub trait Encoder {
    /// Opens a structure.
    fn begin_structure(&mut self);
    /// The name of the member whose value follows. Names come from the model: ASCII letters and digits, or `__type`.
    fn member(&mut self, name: &'static str);
    /// Closes a structure.
    fn end_structure(&mut self);
    /// Opens a list of `length` elements.
    fn begin_list(&mut self, length: usize);
    /// An element's value follows.
    fn element(&mut self);
    /// Closes a list.
    fn end_list(&mut self);
    /// Opens a map of `length` entries.
    fn begin_map(&mut self, length: usize);
    /// The key of the entry whose value follows.
    fn key(&mut self, key: &str);
    /// Closes a map.
    fn end_map(&mut self);
    /// A string.
    fn string(&mut self, value: &str);
    /// An integer or a long.
    fn integer(&mut self, value: i64);
    /// A boolean.
    fn boolean(&mut self, value: bool);
    /// A blob.
    fn blob(&mut self, value: &[u8]);
    /// A timestamp.
    fn timestamp(&mut self, value: Timestamp);
}

/// Writes a member that is always there.
pub(crate) fn required<E: Encoder>(encoder: &mut E, name: &'static str, value: &impl Encode) {
    encoder.member(name);
    value.encode(encoder);
}

/// Writes a member if it is there.
pub(crate) fn optional<E: Encoder>(encoder: &mut E, name: &'static str, value: &Option<impl Encode>) {
    if let Some(value) = value {
        required(encoder, name, value);
    }
}

impl Encode for String {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.string(self);
    }
}

impl Encode for Cow<'_, str> {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.string(self);
    }
}

impl Encode for i32 {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.integer(i64::from(*self));
    }
}

impl Encode for i64 {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.integer(*self);
    }
}

impl Encode for bool {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.boolean(*self);
    }
}

impl Encode for Timestamp {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.timestamp(*self);
    }
}

impl Encode for Bytes {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.blob(self);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.begin_list(self.len());
        for value in self {
            encoder.element();
            value.encode(encoder);
        }
        encoder.end_list();
    }
}
