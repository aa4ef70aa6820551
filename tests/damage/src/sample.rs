//! Which damages are done.

use std::path::{Path, PathBuf};

use crate::damage::Damage;
use crate::image::Image;

/// A sector and a page: what disks lose as a whole.
const LOST: [usize; 2] = [512, 4096];

/// Every damage of the whole run, file by file.
#[must_use]
pub fn every(image: &Image) -> Vec<(PathBuf, Damage)> {
    let mut all = Vec::new();
    for (path, bytes) in &image.files {
        let mut add = |damage: Damage| {
            // What changes nothing is no damage.
            let is_none = matches!(damage, Damage::Zeros { .. }) && damage.done_to(bytes).as_ref() == Some(bytes);
            if !is_none {
                all.push((path.clone(), damage));
            }
        };
        add(Damage::Gone);
        for at in 0..bytes.len() {
            add(Damage::Flip { at, mask: mask(at) });
            add(Damage::Cut { length: at });
        }
        for length in LOST {
            for at in (0..bytes.len()).step_by(length) {
                add(Damage::Zeros { at, length });
            }
        }
        for at in 0..structural(path, bytes.len()) {
            for bit in 0..8 {
                add(Damage::Flip { at, mask: 1 << bit });
            }
            add(Damage::Flip { at, mask: 0xff });
        }
    }
    all
}

/// One bit of each byte, another one from byte to byte.
fn mask(at: usize) -> u8 {
    1 << (at % 8)
}

/// How many bytes of the beginning of a file have each bit flipped.
fn structural(path: &Path, length: usize) -> usize {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let bytes = match name {
        "keys" | "format" | "epoch" | "LOCK" => length,
        "catalog.redb" => 320,
        _ if name.ends_with(".seg") => 96,
        _ => 0,
    };
    bytes.min(length)
}

/// A share of [`every`]: about one in `step`, chosen by `seed`; of the small files one in eight.
#[must_use]
pub fn share(image: &Image, step: u64, seed: u64) -> Vec<(PathBuf, Damage)> {
    let small = |path: &Path| image.files.get(path).is_some_and(|bytes| bytes.len() <= 32);
    let mut state = seed;
    let mut drawn = move || {
        // Of no statistical worth, but the same everywhere.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let all = every(image).into_iter();
    all.filter(|(path, damage)| {
        let drawn = drawn();
        *damage == Damage::Gone || drawn.is_multiple_of(step) || small(path) && drawn.is_multiple_of(8)
    })
    .collect()
}
