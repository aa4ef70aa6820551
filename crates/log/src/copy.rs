//! Copies of files, with what tells later whether they are still the same.

use std::io::{self, IoSlice};
use std::path::Path;

use millstream_env::{Disk, DiskFile, OpenMode};

/// How much is read and written at a time.
const PIECE: u64 = 1 << 20;

/// A copy is synced each time so much of it is written: others' syncs wait for what the disk has taken on.
const SYNC_EVERY: u64 = 4 << 20;

/// What a file holds, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Its length, bytes.
    pub length: u64,
    /// CRC-32C of its bytes.
    pub crc: u32,
}

/// Copies the first `length` bytes of a file to a new one, `head` standing for as many of them, and syncs that. Its name is
/// not synced. Blocks.
///
/// # Errors
/// The disk's; `AlreadyExists` if there is a file `to`, `UnexpectedEof` if there are fewer bytes.
pub fn copy(disk: &dyn Disk, source: &dyn DiskFile, head: &[u8], to: &Path, length: u64) -> io::Result<Sum> {
    let target = disk.open(to, OpenMode::CreateNew)?;
    let mut digest = digest();
    let mut buffer = vec![0; PIECE.min(length) as usize];
    let (mut done, mut synced) = (0, 0);
    while done < length {
        let piece = &mut buffer[..PIECE.min(length - done) as usize];
        source.read_exact_at(piece, done)?;
        // Of a head that is longer than a piece each has its part.
        let head = head.get(done as usize..).unwrap_or_default();
        let head = head.get(..piece.len()).unwrap_or(head);
        piece[..head.len()].copy_from_slice(head);
        digest.update(piece);
        target.write_all_at(&[IoSlice::new(piece)], done)?;
        done += piece.len() as u64;
        if done - synced >= SYNC_EVERY {
            target.sync_data()?;
            synced = done;
        }
    }
    target.sync_data()?;
    Ok(Sum { length, crc: digest.finalize() as u32 })
}

/// Reads a whole file. Blocks.
///
/// # Errors
/// The disk's.
pub fn sum(file: &dyn DiskFile) -> io::Result<Sum> {
    let length = file.len()?;
    let mut digest = digest();
    let mut buffer = vec![0; PIECE.min(length) as usize];
    let mut done = 0;
    while done < length {
        let piece = &mut buffer[..PIECE.min(length - done) as usize];
        file.read_exact_at(piece, done)?;
        digest.update(piece);
        done += piece.len() as u64;
    }
    Ok(Sum { length, crc: digest.finalize() as u32 })
}

/// Of bytes in memory.
#[must_use]
pub fn sum_of(bytes: &[u8]) -> Sum {
    let mut digest = digest();
    digest.update(bytes);
    Sum { length: bytes.len() as u64, crc: digest.finalize() as u32 }
}

/// Makes the names in a directory durable, and in all below it. Blocks.
///
/// # Errors
/// The disk's.
pub fn sync_tree(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for entry in disk.list(dir)?.into_iter().filter(|entry| entry.is_dir) {
        sync_tree(disk, &dir.join(entry.name))?;
    }
    disk.sync_dir(dir)
}

fn digest() -> crc_fast::Digest {
    crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi)
}
