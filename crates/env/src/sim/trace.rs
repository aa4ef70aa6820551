//! What happened, for people, and in one number for comparing two runs.

use std::sync::Arc;

use parking_lot::Mutex;

/// A record of a run. Clones are one trace. It costs next to nothing unless lines are kept.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    digest: u64,
    lines: Option<Vec<String>>,
    off: bool,
}

impl Trace {
    /// A trace of nothing, for runs that nobody compares.
    pub fn off() -> Trace {
        Trace(Arc::new(Mutex::new(Inner { off: true, ..Inner::default() })))
    }

    /// Whether it notes anything.
    pub(super) fn is_on(&self) -> bool {
        !self.0.lock().off
    }

    /// Keeps lines from now on.
    pub fn keep_lines(&self) {
        self.0.lock().lines.get_or_insert_default();
    }

    /// Adds a line. `line` is only called if lines are kept.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0.lock().lines {
            lines.push(line());
        }
    }

    /// Mixes bytes into the digest.
    pub fn digest(&self, bytes: &[u8]) {
        let mut inner = self.0.lock();
        let mut digest = inner.digest ^ bytes.len() as u64;
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            digest = (digest ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
        inner.digest = digest;
    }

    /// A number that differs, but for chance, between runs that differ.
    pub fn sum(&self) -> u64 {
        self.0.lock().digest
    }

    /// The lines kept so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().lines.clone().unwrap_or_default()
    }
}
