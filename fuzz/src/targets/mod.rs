//! The targets, a file for each group of parsers.

mod aggregates;
mod catalog;
mod configuration;
mod edits;
mod events;
mod files;
mod heads;
mod names;
mod requests;
mod segments;
mod service;
mod tokens;
mod world;

use crate::{Memory, Target};

/// Enough for what is read once and given up.
const SMALL: Memory = Memory { fixed: 256 << 10, per_byte: 64 };
/// A list of many empty structures takes a hundred times its size; see `READ` and `KEPT` in the decoder.
const LISTS: Memory = Memory { fixed: 256 << 10, per_byte: 512 };
/// Answers are written in pieces of 128 KiB, and gathered by the target.
const PIECES: Memory = Memory { fixed: 1 << 20, per_byte: 4096 };
/// A simulated machine, whatever runs on it.
const MACHINE: Memory = Memory { fixed: 24 << 20, per_byte: 1024 };

/// The same, and the commits of the largest segment when a repair puts empty ones in their place.
const REPAIRS: Memory = Memory { fixed: 256 << 20, per_byte: 1024 };

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "json", family: "requests", longest: 4096, memory: LISTS, body: requests::json },
    Target { name: "cbor", family: "requests", longest: 4096, memory: LISTS, body: requests::cbor },
    Target { name: "service", family: "requests", longest: 2048, memory: MACHINE, body: service::service },
    Target { name: "answers", family: "events", longest: 2048, memory: PIECES, body: events::answers },
    Target { name: "kpl", family: "events", longest: 2048, memory: LISTS, body: aggregates::kpl },
    Target { name: "heads", family: "heads", longest: 2048, memory: SMALL, body: heads::head },
    Target { name: "tokens", family: "names", longest: 512, memory: SMALL, body: tokens::tokens },
    Target { name: "names", family: "names", longest: 512, memory: SMALL, body: names::names },
    Target { name: "policies", family: "names", longest: 4096, memory: LISTS, body: names::policies },
    Target { name: "config", family: "configuration", longest: 4096, memory: LISTS, body: configuration::config },
    Target { name: "durations", family: "configuration", longest: 64, memory: SMALL, body: configuration::durations },
    Target { name: "structures", family: "log", longest: 4096, memory: SMALL, body: segments::structures },
    Target { name: "segments", family: "log", longest: 256, memory: REPAIRS, body: segments::segments },
    Target { name: "files", family: "log", longest: 1024, memory: MACHINE, body: files::files },
    Target { name: "records", family: "catalog", longest: 4096, memory: LISTS, body: catalog::records },
    Target { name: "stream", family: "catalog", longest: 4096, memory: MACHINE, body: catalog::stream },
    Target { name: "image", family: "catalog", longest: 256, memory: MACHINE, body: catalog::image },
];

/// What is left of an input, taken piece by piece. At its end there are zeros.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(n.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        self.take(8).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Up to 255 bytes.
    fn short(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(usize::from(length))
    }

    /// The same as text.
    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.short()).into_owned()
    }
}
