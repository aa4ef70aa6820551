//! What is kept of earlier fuzzing, tried again: the corpora, and every input that has found something.

#![allow(clippy::expect_used, clippy::disallowed_methods)] // a test, which reads files of the repository

use std::fs;
use std::path::{Path, PathBuf};

use millstream_fuzz::{TARGETS, Target};

/// The files below `kind`/`target`, sorted by name.
fn kept(kind: &str, target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn names_in(kind: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

/// One test for all: memory is measured for the whole process.
#[test]
fn what_is_kept_is_tried_again() {
    for target in TARGETS {
        for file in kept("crashes", target.name).into_iter().chain(kept("corpus", target.name)) {
            let input = fs::read(&file).expect("a file");
            // Seen only if the test fails.
            println!("{}", file.display());
            target.run(&input);
        }
        target.run(&[]);
    }
    for kind in ["corpus", "crashes"] {
        for name in names_in(kind) {
            assert!(Target::named(&name).is_some(), "{kind}/{name} belongs to no target");
        }
    }
    assert!(TARGETS.iter().all(|target| !kept("corpus", target.name).is_empty()), "a target without a corpus");
}
