//! A door for the fuzzing targets, and for nobody else: the readers of single structures, and checksums made right again
//! after bytes were changed, so that what lies behind them is tried as well. It may change at any time.

use super::footer::{FOOTER_MAGIC, Footer, TRAILER};
use super::format::{
    BLOCK_ENTRY, COMMIT_ALIGN, COMMIT_FIXED, COMMIT_MAGIC, CommitHead, SEGMENT_FIXED, SegmentHeader, crc32c,
    decode_floors, encode_floors,
};

/// Reads a segment's header. `None` if it is none; else whether it is read the same after it was written.
#[must_use]
pub fn header(bytes: &[u8]) -> Option<bool> {
    let header = SegmentHeader::decode(bytes).ok()?;
    Some(SegmentHeader::decode(&header.encode()).as_ref() == Ok(&header))
}

/// Reads a commit's header and directory, of a segment with the salt that it names. As [`header`].
#[must_use]
pub fn commit(bytes: &[u8]) -> Option<bool> {
    let salt = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
    let head = CommitHead::decode(bytes, salt)?;
    Some(CommitHead::decode(&head.encode(), salt).as_ref() == Some(&head))
}

/// Reads a footer that ends a file of these bytes, of a segment with the salt that it names. As [`header`].
#[must_use]
pub fn footer(bytes: &[u8]) -> Option<bool> {
    let (_, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER)?)?;
    let salt = u64::from_le_bytes(trailer.get(8..16)?.try_into().ok()?);
    let read = |bytes: &[u8], trailer: &[u8]| {
        let (position, length) = Footer::locate(trailer, salt, bytes.len() as u64)?;
        let start = usize::try_from(position).ok()?;
        Footer::decode(bytes.get(start..start.checked_add(length)?)?, trailer)
    };
    let footer = read(bytes, trailer)?;
    let mut again = bytes.get(..usize::try_from(footer.end).ok()?)?.to_vec();
    again.extend_from_slice(&footer.encode(salt));
    let (_, trailer) = again.split_at(again.len() - TRAILER);
    Some(read(&again, trailer).as_ref() == Some(&footer))
}

/// Reads the body of a trim. Whether it is read the same after it was written.
#[must_use]
pub fn floors(bytes: &[u8]) -> bool {
    let floors = decode_floors(bytes);
    decode_floors(&encode_floors(&floors)) == floors
}

/// Where the commits of a segment's file begin, judged by their magic alone.
#[must_use]
pub fn commits(file: &[u8]) -> Vec<usize> {
    let starts = (0..file.len()).step_by(COMMIT_ALIGN as usize);
    starts.filter(|at| file[*at..].starts_with(&COMMIT_MAGIC.to_le_bytes())).collect()
}

/// Makes every checksum of a segment's file right again, as far as its structure still shows where they are.
pub fn mend(file: &mut [u8]) {
    let word = |file: &[u8], at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize);
    mend_header(file);
    for at in commits(file) {
        let Some(blocks) = word(file, at + 52) else { continue };
        let directory = at + COMMIT_FIXED;
        let Some(mut body) = blocks.checked_mul(BLOCK_ENTRY).and_then(|length| length.checked_add(directory)) else {
            continue;
        };
        if body > file.len() {
            continue;
        }
        let end_of_directory = body;
        for entry in (directory..body).step_by(BLOCK_ENTRY) {
            let length = word(file, entry + 20).unwrap_or_default();
            let crc = file.get(body..body.saturating_add(length)).map(crc32c);
            if let Some(crc) = crc {
                put(file, entry + 52, crc);
            }
            body = body.saturating_add(length);
        }
        put(file, at + 48, (body - at) as u32);
        let crc = crc32c(&file[at + 8..end_of_directory]);
        put(file, at + 4, crc);
    }
    mend_footer(file);
}

fn mend_header(file: &mut [u8]) {
    let Some(fixed) = file.get(..SEGMENT_FIXED) else { return };
    let length = u32::from_le_bytes([fixed[68], fixed[69], fixed[70], fixed[71]]) as usize;
    if let Some(crc) = file.get(SEGMENT_FIXED..SEGMENT_FIXED.saturating_add(length)).map(crc32c) {
        put(file, 72, crc);
    }
    let crc = crc32c(&file[..SEGMENT_FIXED - 4]);
    put(file, SEGMENT_FIXED - 4, crc);
}

fn mend_footer(file: &mut [u8]) {
    let Some(trailer) = file.len().checked_sub(TRAILER) else { return };
    if !file[trailer..].starts_with(&FOOTER_MAGIC) {
        return;
    }
    let number = |at: usize| {
        let bytes = file.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    if let (Some(end), Some(length)) = (number(trailer + 16), number(trailer + 24))
        && let Some(crc) = end.checked_add(length).and_then(|after| file.get(end..after)).map(crc32c)
    {
        put(file, trailer + 40, crc);
    }
    let crc = crc32c(&file[trailer..trailer + TRAILER - 4]);
    put(file, trailer + TRAILER - 4, crc);
}

fn put(file: &mut [u8], at: usize, crc: u32) {
    if let Some(place) = file.get_mut(at..at + 4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}
