//! An open file of the simulated disk.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use super::fault::{crashed, failed};
use super::state::Pending;
use super::{Fault, ReadFault, SimDisk};
use crate::{DiskFile, RandomExt};

pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) id: usize,
    pub(super) lock: Option<PathBuf>,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Some(path) = &self.lock {
            self.disk.state.lock().locks.remove(path);
        }
    }
}

impl SimFile {
    fn change(&self, pending: Pending) -> io::Result<()> {
        let fate = self.disk.operation(|| match &pending {
            Pending::Write(offset, bytes) => {
                (format!("write file {} at {offset}, {} bytes", self.id, bytes.len()), Some(bytes))
            }
            Pending::SetLen(len) => (format!("set length of file {} to {len}", self.id), None),
        })?;
        let mut state = self.disk.state.lock();
        let have = state.content.file(self.id).size();
        if pending.end() > have && state.content.used() + (pending.end() - have) > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match fate.fault {
            Some(Fault::Fail) => return Err(failed()),
            Some(Fault::Full) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Torn) => {
                let random = Arc::clone(&state.chance);
                state.content.file_mut(self.id).change_in_part(pending, &mut || random.u64().is_multiple_of(2));
                return Err(failed());
            }
            Some(Fault::Slow(_)) | None => {}
        }
        let file = state.content.file_mut(self.id);
        file.change(pending);
        let unsynced = file.unsynced();
        state.unsynced_most = state.unsynced_most.max(unsynced);
        if fate.last { Err(crashed()) } else { Ok(()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state.lock();
        if state.crashed {
            return Err(crashed());
        }
        let number = state.reads;
        state.reads += 1;
        let fault = state.read_faults.remove(&number);
        let mut n = state.content.file(self.id).seen.read(offset as usize, buffer);
        state
            .trace
            .note(|| format!("read {number}: file {} at {offset}, {} of {n} bytes {fault:?}", self.id, buffer.len()));
        match fault {
            Some(ReadFault::Fail) => return Err(failed()),
            Some(ReadFault::Interrupted) => return Err(io::ErrorKind::Interrupted.into()),
            Some(ReadFault::Short) if n > 1 => n = 1 + (state.chance.u64() % (n as u64 - 1)) as usize,
            Some(ReadFault::Flip) if n > 0 => buffer[(state.chance.u64() % n as u64) as usize] ^= 0x10,
            _ => {}
        }
        state.read += n as u64;
        Ok(n)
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
        parts.iter().for_each(|p| bytes.extend_from_slice(p));
        self.change(Pending::Write(offset, bytes.into()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let fate = self.disk.operation(|| (format!("sync file {}", self.id), None))?;
        let mut state = self.disk.state.lock();
        if fate.last {
            return Err(crashed());
        }
        let random = Arc::clone(&state.chance);
        let file = state.content.file_mut(self.id);
        match fate.fault {
            None | Some(Fault::Slow(_)) => {
                file.sync();
                return Ok(());
            }
            Some(Fault::Fail | Fault::Full) => file.fail_sync(&mut || false),
            Some(Fault::Torn) => file.fail_sync(&mut || random.u64().is_multiple_of(2)),
        }
        Err(failed())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().content.file(self.id).seen.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Pending::SetLen(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        {
            let mut state = self.disk.state.lock();
            let have = state.content.file(self.id).size();
            if len > have && state.content.used() + (len - have) > state.capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let file = state.content.file_mut(self.id);
            file.allocated = file.allocated.max(len);
            if file.seen.len() as u64 >= len {
                return Ok(());
            }
        }
        self.set_len(len)
    }
}
