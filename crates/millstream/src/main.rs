//! The program `millstream`.

use std::process::ExitCode;

fn main() -> ExitCode {
    millstream::run()
}
