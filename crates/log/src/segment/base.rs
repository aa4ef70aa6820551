//! The base: an offset below which an engine gives out none, in a file of its own like the epoch's. Only a restore sets it.

use std::io;
use std::path::Path;

use millstream_env::{Disk, Env, OpenMode};

use super::epoch;
use super::format::NUMBER_MAX;
use crate::copy::copy;
use crate::{CopiedFile, Offset};

const NAME: &str = "base";

/// The base of the engine in `dir`; 0 if none was set.
pub(crate) fn read_base(disk: &dyn Disk, dir: &Path) -> io::Result<Offset> {
    let path = dir.join(NAME);
    let bytes = match disk.read_file(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        bytes => bytes?,
    };
    epoch::decode(&bytes)
        .filter(|base| *base <= NUMBER_MAX)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display())))
}

/// Has the engine in the directory `dir`, which is not open, give out no offset below `base`: each shard that stands lower
/// jumps there when its log is opened next. For a copy of logs whose originals have gone on. Durable when it returns.
/// Blocks.
///
/// # Errors
/// The disk's.
pub fn set_base(env: &Env, dir: &Path, base: Offset) -> io::Result<()> {
    env.disk.write_file(&dir.join(NAME), &epoch::encode(base))
}

/// Gives the copy `to` of an engine's directory the same epoch, so that it goes on from there.
pub(crate) fn copy_epoch(disk: &dyn Disk, dir: &Path, to: &Path) -> io::Result<CopiedFile> {
    let file = disk.open(&dir.join(epoch::NAME), OpenMode::Read)?;
    let sum = copy(disk, &*file, &[], &to.join(epoch::NAME), file.len()?)?;
    Ok(CopiedFile { path: epoch::NAME.into(), sum, shared: false })
}
