//! Records that say what they are.

/// The bytes of record `id`: its number, then bytes that follow from it.
#[must_use]
pub fn body(id: u64, size: usize) -> Vec<u8> {
    let mut body = id.to_le_bytes().to_vec();
    body.extend((0..size).map(|n| (id.wrapping_mul(31).wrapping_add(n as u64)) as u8));
    body
}

/// Which record these bytes are, if they are one's, whole and unchanged.
#[must_use]
pub fn id_of(data: &[u8]) -> Option<u64> {
    let id = u64::from_le_bytes(data.get(..8)?.try_into().ok()?);
    (data == body(id, data.len() - 8)).then_some(id)
}

/// The partition key that record `id` is put under.
#[must_use]
pub fn key(id: u64) -> String {
    format!("key-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_no_record() {
        let mut bytes = body(7, 100);
        assert_eq!(id_of(&bytes), Some(7));
        bytes[50] ^= 1;
        assert_eq!(id_of(&bytes), None);
        assert_eq!(id_of(&bytes[..7]), None);
    }
}
