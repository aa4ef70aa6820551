//! libFuzzer's way into the targets: the environment variable `MILLSTREAM_FUZZ_TARGET` names the one that is fuzzed; `list`
//! prints them all. `run.py` builds and calls this.

#![no_main]
#![expect(clippy::disallowed_methods, reason = "libFuzzer's macro can write its input to a file")]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use millstream_fuzz::{TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn choose() {
    let name = std::env::var("MILLSTREAM_FUZZ_TARGET").unwrap_or_default();
    if name == "list" {
        for target in TARGETS {
            println!("{} {} {}", target.name, target.family, target.longest);
        }
        std::process::exit(0);
    }
    let Some(target) = Target::named(&name) else {
        eprintln!("MILLSTREAM_FUZZ_TARGET: there is no target \"{name}\"; see fuzz/run.py --list");
        std::process::exit(2);
    };
    TARGET.get_or_init(|| target);
}

fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = TARGET.get() {
        target.run(input);
    }
});
