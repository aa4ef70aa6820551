//! Aggregated records of the producer library.

use bytes::Bytes;
use md5::{Digest, Md5};
use millstream_kpl::deaggregate;

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// Any bytes, as they are and as the message inside a record with the right digest.
pub(super) fn kpl(input: &[u8]) {
    check(&Bytes::copy_from_slice(input));
    check(&wrapped(input));
}

fn wrapped(message: &[u8]) -> Bytes {
    let mut record = MAGIC.to_vec();
    record.extend_from_slice(message);
    record.extend_from_slice(&Md5::digest(message));
    record.into()
}

fn check(record: &Bytes) {
    let Some(users) = deaggregate(record) else { return };
    let all: usize = users.iter().map(|user| user.data.len()).sum();
    assert!(all <= record.len(), "no byte is given twice");
    for (place, user) in (0..).zip(&users) {
        assert_eq!(user.sub_sequence_number, place);
        user.hash_key();
    }
    // Written anew in the order of the fields it gives the same.
    let mut message = Vec::new();
    for user in &users {
        field(&mut message, 1, user.partition_key.as_bytes());
    }
    for user in &users {
        field(&mut message, 2, user.explicit_hash_key.as_deref().unwrap_or_default().as_bytes());
    }
    for (place, user) in (0..).zip(&users) {
        let mut inner = Vec::new();
        number(&mut inner, 1 << 3);
        number(&mut inner, place);
        if user.explicit_hash_key.is_some() {
            number(&mut inner, 2 << 3);
            number(&mut inner, place);
        }
        field(&mut inner, 3, &user.data);
        field(&mut message, 3, &inner);
    }
    if !message.is_empty() {
        assert_eq!(deaggregate(&wrapped(&message)).as_ref(), Some(&users));
    }
}

/// A field of bytes.
fn field(message: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    number(message, tag << 3 | 2);
    number(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn number(message: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}
