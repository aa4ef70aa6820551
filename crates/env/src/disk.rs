use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, reads only.
    Read,
    /// Existing file, reads and writes.
    Write,
    /// New file (mode 0600), reads and writes; fails if the name exists.
    CreateNew,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskEntry {
    /// The last component of the path.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// A file system. Every call blocks: callers run on an [`crate::Pool`] or before the server starts.
///
/// Durability is what POSIX gives and no more: bytes are durable after [`DiskFile::sync_data`]; a created, renamed or
/// removed name is durable after [`Disk::sync_dir`] of its directory.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a directory (mode 0700) and those above it that are missing; no error if it exists.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or directory, replacing an existing file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives the file another name as well. Both on one file system.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// How many names the file has.
    fn links(&self, path: &Path) -> io::Result<u64>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all below it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// What a directory holds, sorted by name. `NotFound` if it does not exist.
    fn list(&self, path: &Path) -> io::Result<Vec<DiskEntry>>;
    /// Whether the name exists.
    fn exists(&self, path: &Path) -> bool;
    /// Makes the directory's names durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes that this process may still write on the file system of `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Takes the exclusive lock of a file (created if missing) for the life of the returned handle, or says that
    /// another process holds it (`WouldBlock`).
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Reads a whole file.
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Replaces a file's content so that after a crash it is the old or the new one, whole.
    fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = PathBuf::from(path).into_os_string();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        if self.exists(&temporary) {
            self.remove_file(&temporary)?;
        }
        let file = self.open(&temporary, OpenMode::CreateNew)?;
        let written = file
            .write_all_at(&[IoSlice::new(bytes)], 0)
            .and_then(|()| file.sync_data())
            .and_then(|()| self.rename(&temporary, path));
        if let Err(e) = written {
            // What it took is given back; the error that matters is the first.
            drop(self.remove_file(&temporary));
            return Err(e);
        }
        match path.parent() {
            Some(dir) => self.sync_dir(dir),
            None => Ok(()),
        }
    }
}

/// An open file. Positions are absolute, so a handle may be shared between threads.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `parts`, one after the other, from `offset`; grows the file if needed.
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes all that was written to the file (and its length) durable. After an error nothing may be assumed.
    fn sync_data(&self) -> io::Result<()>;
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space so that writes below `len` cannot meet a full disk.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Says that these bytes will be read soon, so that they may be fetched meanwhile. Only advice.
    fn will_need(&self, offset: u64, length: u64) {
        let _ = (offset, length);
    }

    /// Reads until the buffer is full or the file ends; gives how many bytes. A read may give fewer than it was asked for,
    /// or be interrupted: it is gone on with.
    fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Reads exactly `buffer.len()` bytes, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self.read_full_at(buffer, offset)? {
            done if done < buffer.len() => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
