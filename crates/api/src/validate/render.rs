//! Values and lengths in AWS's words.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::Report;
use super::rules::Shown;

/// Limits of a length.
pub(super) struct Lengths {
    pub min: Option<usize>,
    pub max: Option<usize>,
}

impl Lengths {
    pub fn allow(&self, length: usize) -> bool {
        self.min.is_none_or(|min| length >= min) && self.max.is_none_or(|max| length <= max)
    }

    pub fn check(&self, length: usize, subject: fmt::Arguments<'_>, report: &mut Report) {
        if let Some(min) = self.min.filter(|min| length < *min) {
            report.add(subject, format_args!("Member must have length greater than or equal to {min}"));
        }
        if let Some(max) = self.max.filter(|max| length > *max) {
            report.add(subject, format_args!("Member must have length less than or equal to {max}"));
        }
    }

    /// Both limits, the upper one first, as AWS lists them for elements.
    pub fn words(&self) -> Vec<String> {
        let max = self.max.map(|max| format!("Member must have length less than or equal to {max}"));
        let min = self.min.map(|min| format!("Member must have length greater than or equal to {min}"));
        max.into_iter().chain(min).collect()
    }
}

/// How many characters of a value are shown.
const SHOWN_MAX: usize = 1024;

/// A value cut after [`SHOWN_MAX`] characters, with `...` for the rest: what is wrong with a value of megabytes is not
/// worth an answer of as many, for each violation anew.
pub(super) struct Capped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Capped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = Head { to: f, left: SHOWN_MAX, is_cut: false };
        let written = write!(head, "{}", self.0);
        // The error with which the cut ends the value's own rendering.
        if head.is_cut { f.write_str("...") } else { written }
    }
}

/// Passes on as many characters as are left, and fails at the next one.
struct Head<'a, 'f> {
    to: &'a mut fmt::Formatter<'f>,
    left: usize,
    is_cut: bool,
}

impl fmt::Write for Head<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.left) {
            None => {
                self.left -= text.chars().count();
                self.to.write_str(text)
            }
            Some((end, _)) => {
                self.left = 0;
                self.is_cut = true;
                self.to.write_str(&text[..end])?;
                Err(fmt::Error)
            }
        }
    }
}

/// A list of scalars: `[a, b]`.
pub(super) struct List<'v, T>(pub &'v [T]);

impl<T: Shown> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, element) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            element.show(f)?;
        }
        f.write_str("]")
    }
}

/// A map: `{k=v, k2=v2}`, in the order in which a Java `HashMap` gives its entries.
pub(super) struct Map<'v>(pub &'v BTreeMap<Cow<'v, str>, Cow<'v, str>>);

impl fmt::Display for Map<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<_> = self.0.iter().collect();
        let buckets = java_buckets(entries.len());
        entries.sort_by_key(|(key, _)| java_bucket(key, buckets));
        f.write_str("{")?;
        for (index, (key, value)) in entries.into_iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{key}={value}")?;
        }
        f.write_str("}")
    }
}

/// How many buckets a `HashMap` of `entries` has: 16, doubled whenever it is more than three quarters full.
fn java_buckets(entries: usize) -> u32 {
    let mut buckets = 16;
    while entries > buckets as usize / 4 * 3 {
        buckets *= 2;
    }
    buckets
}

/// The bucket of a key: its `hashCode`, with the upper half mixed into the lower one.
fn java_bucket(key: &str, buckets: u32) -> u32 {
    let hash = key.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash ^ (hash >> 16)) & (buckets - 1)
}
