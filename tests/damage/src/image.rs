//! The files of a data directory, apart from any machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::path::{Path, PathBuf};

use millstream_env::{Disk, OpenMode};

use crate::damage::Damage;

/// Every directory and file below a root.
#[derive(Clone, Debug, Default)]
pub struct Image {
    dirs: BTreeSet<PathBuf>,
    /// Their bytes, by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    /// What is below `root` on a disk.
    #[must_use]
    pub fn of(disk: &dyn Disk, root: &Path) -> Image {
        let mut image = Image::default();
        let mut left = vec![root.to_path_buf()];
        while let Some(dir) = left.pop() {
            for entry in disk.list(&dir).expect("a directory") {
                let path = dir.join(&entry.name);
                if entry.is_dir {
                    left.push(path);
                } else {
                    let bytes = disk.read_file(&path).expect("a file");
                    image.files.insert(path, bytes);
                }
            }
            image.dirs.insert(dir);
        }
        image
    }

    /// Puts the files on an empty disk, with `damage` done to one of them.
    pub fn put(&self, disk: &dyn Disk, damaged: &Path, damage: &Damage) {
        for dir in &self.dirs {
            disk.create_dir_all(dir).expect("a directory");
        }
        for (path, bytes) in &self.files {
            if path != damaged {
                write(disk, path, bytes);
            } else if let Some(bytes) = damage.done_to(bytes) {
                write(disk, path, &bytes);
            }
        }
        for dir in &self.dirs {
            disk.sync_dir(dir).expect("a sync");
        }
    }
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::CreateNew).expect("a new file");
    file.write_all_at(&[IoSlice::new(bytes)], 0).expect("a write");
    file.sync_data().expect("a sync");
}
