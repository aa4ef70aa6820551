//! The committed files are what the models give.

use std::collections::BTreeSet;
use std::fs;

/// Files of a generated module that are written by hand.
const BY_HAND: [&str; 1] = ["tests.rs"];

#[test]
#[allow(clippy::disallowed_methods, reason = "compares files of the source tree")]
fn generating_again_changes_nothing() {
    for service in millstream_codegen::SERVICES {
        let target = millstream_codegen::target(service);
        let generated = millstream_codegen::generate(service).expect("the model can be generated");
        for (file, code) in &generated {
            let committed = fs::read_to_string(target.join(file)).expect("the file is committed");
            assert!(committed == *code, "{service}/{file} is out of date: cargo run -p millstream-codegen");
        }

        let expected: BTreeSet<&str> = generated.iter().map(|(file, _)| file.as_str()).chain(BY_HAND).collect();
        for entry in fs::read_dir(&target).expect("the module's folder exists") {
            let name = entry.expect("the folder can be read").file_name();
            let name = name.to_str().expect("a plain name");
            assert!(expected.contains(name), "{service}/{name} is not generated");
        }
    }
}
