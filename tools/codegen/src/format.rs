//! Formatting by the toolchain's rustfmt.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::shapes::Result;

/// The code, formatted with the workspace's settings.
pub fn rustfmt(code: &str, workspace: &Path) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(workspace.join("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("can't start rustfmt: {error}"))?;
    // rustfmt reads all of its input before it writes, so this does not block. Dropping the pipe ends the input.
    let mut input = child.stdin.take().ok_or("rustfmt has no input")?;
    input.write_all(code.as_bytes()).map_err(|error| format!("can't write to rustfmt: {error}"))?;
    drop(input);
    let output = child.wait_with_output().map_err(|error| format!("rustfmt: {error}"))?;
    if !output.status.success() {
        return Err(format!("rustfmt ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("rustfmt: {error}"))
}
