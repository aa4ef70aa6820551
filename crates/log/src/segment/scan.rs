//! Walking through the commits of a segment file.

use std::io;

use bytes::Bytes;
use millstream_env::DiskFile;

use super::footer::{Footer, TRAILER};
use super::format::{COMMIT_ALIGN, COMMIT_FIXED, COMMIT_MAGIC, CommitHead, SEGMENT_FIXED, SegmentHeader, align_up};

const READ_FIRST: usize = 64 << 10;
const READ_MOST: usize = 1 << 20;

/// What a scan for one shard reads where it expects a commit as large as [`READ_FIRST`]: most headers fit.
const READ_HEAD: usize = 8 << 10;

/// Reads commits one after the other, through a buffer that grows while the scan goes on. Bodies inside the buffer are
/// shared, not copied.
pub(crate) struct Scanner<'a> {
    file: &'a dyn DiskFile,
    salt: u64,
    /// Where the next commit is expected.
    pub(crate) position: u64,
    /// Commits end before this position.
    end: u64,
    buffer: Bytes,
    buffer_at: u64,
    read: usize,
    /// Whether most bodies are stepped over.
    sparse: bool,
}

/// A commit found in a file.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) head: CommitHead,
}

impl Found {
    /// Where the next commit starts.
    pub(crate) fn next(&self) -> u64 {
        align_up(self.position + self.head.total(), COMMIT_ALIGN)
    }

    /// Where block number `at` has its body.
    pub(crate) fn body_position(&self, at: usize) -> u64 {
        let before: u64 = self.head.blocks[..at].iter().map(|b| u64::from(b.length)).sum();
        self.position + CommitHead::length_for(self.head.blocks.len()) as u64 + before
    }
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, salt: u64, position: u64, end: u64) -> Scanner<'a> {
        Scanner {
            file,
            salt,
            position,
            end,
            buffer: Bytes::new(),
            buffer_at: position,
            read: READ_FIRST,
            sparse: false,
        }
    }

    /// A scanner for one shard's blocks among others': large commits are not read but for their headers and for the
    /// bodies asked for with [`Scanner::read_body`].
    pub(crate) fn sparse(file: &'a dyn DiskFile, salt: u64, position: u64, end: u64) -> Scanner<'a> {
        Scanner { sparse: true, read: READ_HEAD, ..Scanner::new(file, salt, position, end) }
    }

    /// The commit at the present position, and moves behind it; `None` if there is no sound header there (the position
    /// then stays).
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.position + COMMIT_FIXED as u64 > self.end {
            return Ok(None);
        }
        let fixed = self.bytes(self.position, COMMIT_FIXED)?;
        let Some(blocks) = CommitHead::blocks(&fixed, self.salt) else { return Ok(None) };
        let length = CommitHead::length_for(blocks);
        if self.position + length as u64 > self.end {
            return Ok(None);
        }
        let bytes = self.bytes(self.position, length)?;
        let Some(head) = CommitHead::decode(&bytes, self.salt) else { return Ok(None) };
        let found = Found { position: self.position, head };
        if found.position + found.head.total() > self.end {
            return Ok(None);
        }
        self.position = found.next();
        if self.sparse {
            self.read = if found.head.total() >= READ_FIRST as u64 { READ_HEAD } else { READ_FIRST };
        }
        Ok(Some(found))
    }

    /// Looks for the next sound header from the present position on, at every place where a commit may start.
    pub(crate) fn resync(&mut self) -> io::Result<Option<Found>> {
        let magic = COMMIT_MAGIC.to_le_bytes();
        let mut at = self.position;
        while at + COMMIT_FIXED as u64 <= self.end {
            let n = (READ_MOST as u64).min(self.end - at) as usize;
            let piece = self.bytes(at, n)?;
            let hit = piece.chunks(COMMIT_ALIGN as usize).position(|c| c.starts_with(&magic));
            match hit {
                None => at += align_up(n as u64, COMMIT_ALIGN),
                Some(chunk) => {
                    at += chunk as u64 * COMMIT_ALIGN;
                    self.position = at;
                    if let Some(found) = self.next()? {
                        return Ok(Some(found));
                    }
                    at += COMMIT_ALIGN;
                }
            }
        }
        Ok(None)
    }

    /// The body of block number `at`, not yet checked.
    pub(crate) fn body(&mut self, found: &Found, at: usize) -> io::Result<Bytes> {
        self.bytes(found.body_position(at), found.head.blocks[at].length as usize)
    }

    /// Fills `into` with the body of block number `at`, not yet checked.
    pub(crate) fn read_body(&mut self, found: &Found, at: usize, into: &mut [u8]) -> io::Result<()> {
        let position = found.body_position(at);
        let start = position.checked_sub(self.buffer_at).and_then(|start| usize::try_from(start).ok());
        match start.and_then(|start| self.buffer.get(start..start + into.len())) {
            Some(body) => {
                into.copy_from_slice(body);
                Ok(())
            }
            None => self.file.read_exact_at(into, position),
        }
    }

    /// `length` bytes from `position` on; `UnexpectedEof` if the file ends before.
    fn bytes(&mut self, position: u64, length: usize) -> io::Result<Bytes> {
        if position >= self.buffer_at {
            let start = (position - self.buffer_at) as usize;
            if start + length <= self.buffer.len() {
                return Ok(self.buffer.slice(start..start + length));
            }
        }
        if length >= READ_MOST {
            let mut own = vec![0; length];
            self.file.read_exact_at(&mut own, position)?;
            return Ok(own.into());
        }
        let room = self.end.max(position + length as u64) - position;
        let want = (self.read.max(length) as u64).min(room) as usize;
        if !self.sparse {
            self.read = (self.read * 2).min(READ_MOST);
        }
        let mut buffer = vec![0; want];
        let have = self.file.read_full_at(&mut buffer, position)?;
        if have < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(have);
        self.buffer = buffer.into();
        self.buffer_at = position;
        Ok(self.buffer.slice(..length))
    }
}

/// Reads a segment's header. `Err(Ok(text))` says what is damaged, `Err(Err(e))` that the disk failed.
pub(crate) fn read_header(file: &dyn DiskFile) -> Result<(SegmentHeader, u64), ScanError> {
    let mut fixed = [0; SEGMENT_FIXED];
    read_or_damaged(file, &mut fixed, 0)?;
    let length = SegmentHeader::length(&fixed).map_err(ScanError::Damaged)?;
    if length as u64 > file.len()? {
        return Err(ScanError::Damaged("the file is too short".into()));
    }
    let mut bytes = vec![0; length];
    read_or_damaged(file, &mut bytes, 0)?;
    let header = SegmentHeader::decode(&bytes).map_err(ScanError::Damaged)?;
    Ok((header, length as u64))
}

/// Reads a sealed segment's footer; `None` if it is not sealed (or its footer is damaged: it can be rebuilt).
pub(crate) fn read_footer(file: &dyn DiskFile, salt: u64) -> io::Result<Option<Footer>> {
    let length = file.len()?;
    if length < TRAILER as u64 {
        return Ok(None);
    }
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, length - TRAILER as u64)?;
    let Some((position, size)) = Footer::locate(&trailer, salt, length) else { return Ok(None) };
    let mut index = vec![0; size];
    file.read_exact_at(&mut index, position)?;
    Ok(Footer::decode(&index, &trailer))
}

/// Why something on disk could not be read.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The bytes are there and wrong.
    Damaged(String),
    /// The disk failed.
    Disk(io::Error),
}

impl std::fmt::Display for ScanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScanError::Damaged(what) => f.write_str(what),
            ScanError::Disk(e) => write!(f, "{e}"),
        }
    }
}

impl From<io::Error> for ScanError {
    fn from(e: io::Error) -> ScanError {
        ScanError::Disk(e)
    }
}

fn read_or_damaged(file: &dyn DiskFile, buffer: &mut [u8], at: u64) -> Result<(), ScanError> {
    file.read_exact_at(buffer, at).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => ScanError::Damaged("the file is too short".into()),
        _ => ScanError::Disk(e),
    })
}
