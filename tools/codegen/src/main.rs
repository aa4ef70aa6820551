//! Writes the generated modules of `crates/api`. Run it from anywhere: `cargo run -p millstream-codegen`.
#![allow(clippy::disallowed_methods, reason = "a tool of the build, which reads and writes the source tree")]

use std::fs;
use std::process::ExitCode;

fn run() -> Result<(), String> {
    for service in millstream_codegen::SERVICES {
        let target = millstream_codegen::target(service);
        for (file, code) in millstream_codegen::generate(service)? {
            let path = target.join(&file);
            fs::write(&path, code).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("codegen: {message}");
            ExitCode::FAILURE
        }
    }
}
