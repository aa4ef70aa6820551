//! Changes to the bytes of a file at rest.

use super::Input;

/// A change.
pub(super) struct Edit {
    /// Which file.
    pub(super) file: u8,
    kind: u8,
    at: u16,
    value: u64,
}

impl Edit {
    /// The next change that the input asks for.
    pub(super) fn read(input: &mut Input<'_>) -> Option<Edit> {
        if input.0.is_empty() {
            return None;
        }
        let (kind, file, at) = (input.byte(), input.byte(), u16::from(input.byte()) | u16::from(input.byte()) << 8);
        let value = match kind % 8 {
            0 | 1 => u64::from(input.byte()),
            _ => input.number(),
        };
        Some(Edit { file, kind, at, value })
    }
}

/// Changes `bytes`. A place is counted from the file's start or, with the high bit of the kind, from the start of one of
/// `starts`, which its upper bits choose.
pub(super) fn apply(bytes: &mut Vec<u8>, edit: &Edit, starts: &[usize]) {
    let Edit { kind, at, value, .. } = *edit;
    let at = match starts {
        [_, ..] if kind & 0x80 != 0 => starts[usize::from(at >> 10) % starts.len()] + usize::from(at & 0x3ff),
        // Beyond 64 KiB only every sixteenth byte can be changed.
        _ if kind & 0x40 != 0 => usize::from(at) * 16,
        _ => usize::from(at),
    };
    let numbers = value.to_le_bytes();
    let mut put = |at: usize, new: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at.saturating_add(new.len())) {
            place.copy_from_slice(new);
        }
    };
    match kind % 8 {
        0 => put(at, &numbers[..1]),
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (value % 8);
            }
        }
        2 => put(at, &numbers[..4]),
        3 => put(at, &numbers),
        // As near to the end of the numbers as the first byte says.
        4 => put(at, &(!(value & 0xff)).to_le_bytes()),
        5 => bytes.truncate(at),
        6 => {
            // Some bytes of the file once more, elsewhere: a commit, a block, a footer.
            let (from, length) = (value as u16 as usize, (value >> 16) as u16 as usize);
            let piece = bytes.get(from..from.saturating_add(length)).unwrap_or_default().to_vec();
            if at + piece.len() > bytes.len() && at <= bytes.len() {
                bytes.resize(at + piece.len(), 0);
            }
            if let Some(place) = bytes.get_mut(at..at.saturating_add(piece.len())) {
                place.copy_from_slice(&piece);
            }
        }
        _ => bytes.resize(bytes.len() + value as u8 as usize, (value >> 8) as u8),
    }
}
