//! The epoch's file: raised at every start, so that bytes of an earlier process are never taken for those of a later one.

use std::io;
use std::path::Path;

use millstream_env::{Disk, Env};

use super::format::{NUMBER_MAX, crc32c};
use super::space;

pub(crate) const NAME: &str = "epoch";

/// The epoch of the last start; `None` if there is no file. `InvalidData` if it does not match its checksum.
pub(crate) fn read_epoch(env: &Env, dir: &Path) -> io::Result<Option<u64>> {
    let path = dir.join(NAME);
    let bytes = match env.disk.read_file(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    match decode(&bytes).filter(|epoch| *epoch < NUMBER_MAX) {
        Some(epoch) => Ok(Some(epoch)),
        None => {
            let what = format!("{} is damaged; `millstream check --repair` makes it again", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
    }
}

/// A number and its CRC.
pub(crate) fn encode(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32c(&number.to_le_bytes()).to_le_bytes());
    bytes
}

/// The number, if that is all and it matches its CRC.
pub(crate) fn decode(bytes: &[u8]) -> Option<u64> {
    let (number, crc) = bytes.split_at_checked(8)?;
    let number = u64::from_le_bytes(number.try_into().ok()?);
    (crc == crc32c(&number.to_le_bytes()).to_le_bytes()).then_some(number)
}

/// Writes the epoch's file in an engine's directory `dir` that no engine has open: the next one begins with the epoch after it.
///
/// # Errors
/// The disk's.
pub fn write_epoch(env: &Env, dir: &Path, epoch: u64) -> io::Result<()> {
    let bytes = encode(epoch);
    let path = dir.join(NAME);
    match env.disk.write_file(&path, &bytes) {
        // A full disk must not keep the server from starting: what frees space is done by the server.
        Err(e) if space::is_full_error(&e) && env.disk.remove_file(&dir.join("reserve")).is_ok() => {
            env.disk.write_file(&path, &bytes)
        }
        other => other,
    }
}

/// Reads the epoch's file, writes the next epoch and returns it. Without the file there must be no logs below `streams`: their
/// commits have higher epochs than those of one that begins anew, which would not count after the next start.
pub(crate) fn raise_epoch(env: &Env, dir: &Path, streams: &Path) -> io::Result<u64> {
    let last = match read_epoch(env, dir)? {
        Some(epoch) => epoch,
        None if has_logs(&*env.disk, streams)? => {
            let path = dir.join(NAME);
            let what = format!("{} is missing; `millstream check --repair` makes it again", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        None => 0,
    };
    write_epoch(env, dir, last + 1)?;
    Ok(last + 1)
}

fn has_logs(disk: &dyn Disk, streams: &Path) -> io::Result<bool> {
    for account in disk.list(streams)?.into_iter().filter(|e| e.is_dir) {
        let account = streams.join(account.name);
        for region in disk.list(&account)?.into_iter().filter(|e| e.is_dir) {
            if disk.list(&account.join(region.name))?.iter().any(|e| e.is_dir) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
