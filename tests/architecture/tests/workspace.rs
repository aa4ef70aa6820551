//! The repository, held against the checks of this crate.

#![allow(clippy::expect_used, clippy::panic)] // it is a test from end to end

use std::path::{Path, PathBuf};
use std::process::Command;

use millstream_architecture::{rooms, tidy};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository's root")
}

fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run: {error}"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

#[test]
fn imports_between_our_crates_follow_the_table() {
    let metadata = output(env!("CARGO"), &["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let metadata = serde_json::from_slice(&metadata).expect("cargo metadata gives JSON");
    let found = rooms::violations(&metadata, rooms::ROOMS);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_are_tidy() {
    // What git ignores is not ours; what is not committed yet counts already.
    let listed = output("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = String::from_utf8(listed).expect("file names are UTF-8");
    let mut found = Vec::new();
    for path in listed.split('\0').filter(|name| !name.is_empty()).map(Path::new).filter(|path| tidy::is_text(path)) {
        // A file can be deleted and not yet committed so.
        if let Ok(text) = std::fs::read_to_string(root().join(path)) {
            found.extend(tidy::violations(path, &text));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let metadata = output(env!("CARGO"), &["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).expect("cargo metadata gives JSON");
    for package in metadata["packages"].as_array().expect("packages") {
        let manifest = package["manifest_path"].as_str().expect("a manifest path");
        let text = std::fs::read_to_string(manifest).expect("a manifest");
        assert!(text.contains("[lints]\nworkspace = true"), "{manifest} does not take the workspace's lints");
    }
}
