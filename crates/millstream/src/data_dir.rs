//! The data directory: its lock, its format, and where things are in it.

use std::io::{self, IoSlice};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use millstream_env::{Disk, DiskFile, Env, RandomExt};
use millstream_kinesis::snapshot::{DATA_FORMAT, MANIFEST};

/// The newest format of a data directory that this version knows, and the one it writes.
const FORMAT: u32 = DATA_FORMAT;
const FORMAT_NAME: &str = "millstream-data";

/// What a directory has instead of its format while a snapshot is restored to it.
const RESTORING: &str = "restoring";

/// Owned by this process until it is dropped.
pub struct DataDir {
    path: PathBuf,
    /// Holding it open holds the lock.
    _lock: Box<dyn DiskFile>,
}

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It can't be made, or not be written to.
    #[error("{}: cannot be used as a data directory: {error}", path.display())]
    Unusable {
        /// The file or directory that the system refused.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Another process has it.
    #[error("{}: in use by the Millstream with process id {pid}: stop that one first, or use another directory", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The owner's process id, as far as it is known.
        pid: String,
    },
    /// It holds something else.
    #[error("{}: holds other files and is no data directory of Millstream: use an empty or a new one", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// A restore to it did not come to its end.
    #[error("{}: a restore to it was broken off: remove it and restore again", path.display())]
    Unfinished {
        /// The directory.
        path: PathBuf,
    },
    /// It is to be restored to, and holds something.
    #[error("{}: is not empty: restore to an empty directory or a new one", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// It is a snapshot.
    #[error("{}: is a snapshot: `millstream restore` makes a data directory of it", path.display())]
    Snapshot {
        /// The directory.
        path: PathBuf,
    },
    /// There is none.
    #[error("{}: there is no data directory of Millstream", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A newer Millstream wrote it.
    #[error("{}: has data format {found}, but Millstream {} knows formats up to {FORMAT}: it needs a version that knows format {found}", path.display(), env!("CARGO_PKG_VERSION"))]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its `format` file can't be understood.
    #[error("{}: is damaged: it should say {FORMAT_NAME} {FORMAT}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl DataDir {
    /// Takes the directory, and makes it if it does not exist.
    pub fn create(env: &Env, path: &Path) -> Result<DataDir, DataDirError> {
        let disk = &*env.disk;
        // Before anything is changed: what is not ours stays as it is.
        let known = disk.exists(path) && has_format(disk, path)?;
        if !known {
            make(disk, path)?;
        }
        restrict(path);
        let taken = DataDir::take(disk, path)?;
        // Again, as another process may have been here before the lock was held.
        if !has_format(disk, path)? {
            let (format, text) = (path.join("format"), format!("{FORMAT_NAME} {FORMAT}\n"));
            disk.write_file(&format, text.as_bytes()).map_err(|error| unusable(&format, error))?;
        }
        Ok(taken)
    }

    /// Takes a directory that exists.
    pub fn open(env: &Env, path: &Path) -> Result<DataDir, DataDirError> {
        let disk = &*env.disk;
        let format = path.join("format");
        if !disk.exists(&format) {
            let path = path.to_path_buf();
            return Err(if disk.exists(&path.join(RESTORING)) {
                DataDirError::Unfinished { path }
            } else if disk.exists(&path.join(MANIFEST)) {
                DataDirError::Snapshot { path }
            } else {
                DataDirError::Missing { path }
            });
        }
        let taken = DataDir::take(disk, path)?;
        check_format(disk, path, &format)?;
        Ok(taken)
    }

    fn take(disk: &dyn Disk, path: &Path) -> Result<DataDir, DataDirError> {
        let file = path.join("LOCK");
        let lock = match disk.lock(&file) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let pid = disk.read_file(&file).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
                let pid = pid.ok().filter(|pid| !pid.is_empty()).unwrap_or_else(|| "unknown".to_owned());
                return Err(DataDirError::InUse { path: path.to_path_buf(), pid });
            }
            Err(error) => return Err(unusable(&file, error)),
        };
        let pid = format!("{}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.write_all_at(&[IoSlice::new(pid.as_bytes())], 0))
            .map_err(|error| unusable(&file, error))?;
        Ok(DataDir { path: path.to_path_buf(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log engine's directory.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The catalog's file.
    pub fn catalog(&self) -> PathBuf {
        self.path.join("catalog.redb")
    }

    /// The file of the keys that seal iterators and tokens.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }
}

/// A directory that becomes a data directory when all that belongs into it is there.
pub struct Unfinished {
    data: DataDir,
    env: Env,
}

/// What file systems put into a fresh root directory.
const LOST_AND_FOUND: &str = "lost+found";

impl Unfinished {
    /// Whether it can be begun: the directory is missing or empty.
    pub fn may_begin(env: &Env, path: &Path) -> Result<(), DataDirError> {
        let entries = match env.disk.list(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| unusable(path, error))?,
        };
        let path = path.to_path_buf();
        if entries.iter().any(|entry| entry.name == RESTORING) {
            return Err(DataDirError::Unfinished { path });
        }
        // What a restore that was cut short at its very beginning leaves.
        let nothing = ["LOCK", "restoring.tmp", LOST_AND_FOUND];
        let is_empty = entries.iter().all(|entry| nothing.contains(&entry.name.as_str()));
        if is_empty { Ok(()) } else { Err(DataDirError::NotEmpty { path }) }
    }

    /// Takes the directory, and makes it if it does not exist. Until it is finished nobody else can.
    pub fn begin(env: &Env, path: &Path) -> Result<Unfinished, DataDirError> {
        make(&*env.disk, path)?;
        let data = DataDir::take(&*env.disk, path)?;
        // Again, as another process may have been here before the lock was held.
        Unfinished::may_begin(env, path)?;
        restrict(path);
        let (mark, text) = (path.join(RESTORING), format!("{FORMAT_NAME} {FORMAT}\n"));
        env.disk.write_file(&mark, text.as_bytes()).map_err(|error| unusable(&mark, error))?;
        Ok(Unfinished { data, env: env.clone() })
    }

    /// Where things are in it.
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    /// Everything is there, durably: now it is a data directory.
    pub fn finish(self) -> Result<(), DataDirError> {
        let (disk, path) = (&self.env.disk, &self.data.path);
        disk.rename(&path.join(RESTORING), &path.join("format"))
            .and_then(|()| disk.sync_dir(path))
            .map_err(|error| unusable(path, error))
    }

    /// Removes what was put into it, as far as that can be done: what is left says itself that it is not whole.
    pub fn give_up(self) {
        let (disk, path) = (&self.env.disk, &self.data.path);
        let entries = disk.list(path).unwrap_or_default();
        let (mark, mut rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.name == RESTORING);
        rest.retain(|entry| entry.name != LOST_AND_FOUND);
        for entry in rest.into_iter().chain(mark) {
            let path = path.join(entry.name);
            let removed = if entry.is_dir { disk.remove_dir_all(&path) } else { disk.remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "cannot be removed");
                return;
            }
        }
    }
}

/// A path for a directory of this process alone, in the system's temporary directory.
pub fn temporary(env: &Env) -> PathBuf {
    std::env::temp_dir().join(format!("millstream-{}-{:016x}", std::process::id(), env.random.u64()))
}

/// Makes the directory, and its name durable, as those of the directories above it that had to be made.
fn make(disk: &dyn Disk, path: &Path) -> Result<(), DataDirError> {
    let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    // The nearest parent always: a start that was cut short may have made the directory and not synced its name.
    let missing = parents.clone().take_while(|parent| !disk.exists(parent)).count();
    let changed: Vec<&Path> = parents.take(missing + 1).collect();
    disk.create_dir_all(path).map_err(|error| unusable(path, error))?;
    for parent in changed {
        match disk.sync_dir(parent) {
            // A parent that may not be read, as above a mounted volume, is not ours to sync.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(unusable(parent, error)),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the directory has a format, which is then one that this version knows. One without is new: it holds nothing
/// but what a start that was cut short leaves.
fn has_format(disk: &dyn Disk, path: &Path) -> Result<bool, DataDirError> {
    let format = path.join("format");
    if disk.exists(&format) {
        check_format(disk, path, &format)?;
        return Ok(true);
    }
    let entries = disk.list(path).map_err(|error| unusable(path, error))?;
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    if has(RESTORING) {
        return Err(DataDirError::Unfinished { path: path.to_path_buf() });
    }
    if has(MANIFEST) {
        return Err(DataDirError::Snapshot { path: path.to_path_buf() });
    }
    // The lock, and perhaps the format on its way to its name.
    let ours = ["LOCK", "format.tmp", "restoring.tmp", LOST_AND_FOUND];
    if entries.iter().any(|entry| !ours.contains(&entry.name.as_str())) {
        return Err(DataDirError::Foreign { path: path.to_path_buf() });
    }
    Ok(false)
}

fn unusable(path: &Path, error: io::Error) -> DataDirError {
    DataDirError::Unusable { path: path.to_path_buf(), error }
}

/// What is stored is nobody else's business, also where the directory was made by other means (a volume, `mkdir`).
fn restrict(path: &Path) {
    let private = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 == 0);
    if !private && let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)) {
        tracing::warn!(path = %path.display(), %error, "the data directory is open to other users");
    }
}

fn check_format(disk: &dyn Disk, path: &Path, file: &Path) -> Result<(), DataDirError> {
    let bytes = disk.read_file(file).map_err(|error| unusable(file, error))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.split_whitespace();
    let number = match (words.next(), words.next()) {
        (Some(FORMAT_NAME), Some(number)) => number.parse::<u32>().ok(),
        _ => None,
    };
    match number {
        Some(1..=FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(DataDirError::Newer { path: path.to_path_buf(), found }),
        _ => Err(DataDirError::Damaged { path: file.to_path_buf() }),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use millstream_env::sim::{Crash, SimEnv};

    use super::*;

    fn env() -> Env {
        Env::real(1)
    }

    #[test]
    fn a_directory_is_made_private_and_taken_once() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let taken = DataDir::create(&env(), &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_to_string(path.join("format")).unwrap(), "millstream-data 1\n");
        let text = DataDir::create(&env(), &path).err().unwrap().to_string();
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        assert!(DataDir::open(&env(), &path).is_err());
        drop(taken);
        assert!(DataDir::open(&env(), &path).is_ok());
        assert!(DataDir::create(&env(), &path).is_ok());
    }

    #[test]
    fn an_open_directory_is_closed_to_others() {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let _taken = DataDir::create(&env(), temporary.path()).unwrap();
        assert_eq!(std::fs::metadata(temporary.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn other_peoples_files_are_left_alone() {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::write(temporary.path().join("thesis.tex"), "x").unwrap();
        std::fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let untouched = |names: &[&str]| {
            let entries = std::fs::read_dir(temporary.path()).unwrap();
            let mut found: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            found.sort_unstable();
            assert_eq!(found, names);
            assert_eq!(std::fs::metadata(temporary.path()).unwrap().permissions().mode() & 0o777, 0o755);
        };
        assert!(matches!(DataDir::create(&env(), temporary.path()), Err(DataDirError::Foreign { .. })));
        untouched(&["thesis.tex"]);
        // A `format` that is not ours does not make the directory ours.
        std::fs::write(temporary.path().join("format"), "A4").unwrap();
        assert!(matches!(DataDir::create(&env(), temporary.path()), Err(DataDirError::Damaged { .. })));
        untouched(&["format", "thesis.tex"]);
        std::fs::remove_file(temporary.path().join("format")).unwrap();
        assert!(matches!(DataDir::open(&env(), temporary.path()), Err(DataDirError::Missing { .. })));
        let file = temporary.path().join("thesis.tex");
        assert!(matches!(DataDir::create(&env(), &file), Err(DataDirError::Unusable { .. })));
        assert!(matches!(DataDir::create(&env(), &file.join("x")), Err(DataDirError::Unusable { .. })));
    }

    #[test]
    fn a_start_that_was_cut_short_goes_on() {
        let temporary = tempfile::tempdir().unwrap();
        for left in ["LOCK", "format.tmp"] {
            std::fs::write(temporary.path().join(left), "1").unwrap();
        }
        std::fs::create_dir(temporary.path().join("lost+found")).unwrap();
        assert!(DataDir::create(&env(), temporary.path()).is_ok());
    }

    #[test]
    fn a_power_loss_does_not_take_a_new_directory() {
        let machine = SimEnv::new(1);
        machine.disk.create_dir_all(Path::new("/made-by-millstream")).unwrap();
        machine.disk.sync_dir(Path::new("/")).unwrap();
        let path = Path::new("/made-by-millstream/a/b/data");
        drop(DataDir::create(&machine.env(), path).unwrap());
        let machine = machine.restart(Crash::PowerLoss);
        for kept in [path.parent().unwrap().parent().unwrap(), path.parent().unwrap(), path, &path.join("format")] {
            assert!(machine.disk.exists(kept), "{}", kept.display());
        }
    }

    #[test]
    fn formats_are_told_apart() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("data");
        drop(DataDir::create(&env(), &path).unwrap());
        std::fs::write(path.join("format"), "millstream-data 2\n").unwrap();
        let text = DataDir::create(&env(), &path).err().unwrap().to_string();
        assert!(text.contains("needs a version that knows format 2"), "{text}");
        for damaged in ["", "millstream-data", "millstream-data x", "millstream-data 0", "other 1"] {
            std::fs::write(path.join("format"), damaged).unwrap();
            assert!(matches!(DataDir::create(&env(), &path), Err(DataDirError::Damaged { .. })), "{damaged}");
        }
    }
}
