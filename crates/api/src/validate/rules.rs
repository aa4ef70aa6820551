//! The kinds of constraints that service models know.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use regex::bytes::Regex;

use super::render::{Capped, Lengths, List, Map};
use super::{Path, Report, Validate};
use crate::Blob;

/// A constraint, or several, on values of one type.
pub trait Rule<T> {
    /// Reports each violation by `value`, which is found at `path`.
    fn check(&self, value: &T, path: Path<'_>, report: &mut Report);
}

/// A rule for values that AWS does not report on their own when they are elements of a list or entries of a map: the
/// list or the map is reported instead.
pub trait ScalarRule<T>: Rule<T> {
    /// Whether `value` keeps the rule.
    fn allows(&self, value: &T) -> bool;

    /// The rule in AWS's words.
    fn words(&self) -> String;
}

/// Everything is allowed.
#[derive(Debug)]
pub struct AnyRule;

impl<T> Rule<T> for AnyRule {
    fn check(&self, _: &T, _: Path<'_>, _: &mut Report) {}
}

impl<T> ScalarRule<T> for AnyRule {
    fn allows(&self, _: &T) -> bool {
        true
    }

    fn words(&self) -> String {
        String::new()
    }
}

/// A regular expression that must match the whole value.
///
/// The models' expressions are Java's: `\d`, `\s` and `\w` are ASCII.
#[derive(Debug)]
pub struct Pattern {
    expression: &'static str,
    shown: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// A pattern of the model's `expression`.
    pub const fn new(expression: &'static str) -> Pattern {
        Pattern::shown_as(expression, expression)
    }

    /// A pattern of the model's `expression`, which AWS prints as `shown`.
    pub const fn shown_as(expression: &'static str, shown: &'static str) -> Pattern {
        Pattern { expression, shown, compiled: OnceLock::new() }
    }

    /// The compiled expression; `None` if it does not compile, which a test rules out for the generated ones.
    pub(crate) fn compiled(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(&format!(r"\A(?-u:{})\z", self.expression)).ok()).as_ref()
    }

    fn matches(&self, value: &str) -> bool {
        self.compiled().is_none_or(|regex| regex.is_match(value.as_bytes()))
    }
}

/// Limits of a string's length, in UTF-16 units as Java counts, and a pattern.
#[derive(Debug)]
pub struct StringRule {
    /// The shortest length.
    pub min: Option<usize>,
    /// The greatest length.
    pub max: Option<usize>,
    /// What the whole string must match.
    pub pattern: Option<&'static Pattern>,
}

impl StringRule {
    fn lengths(&self) -> Lengths {
        Lengths { min: self.min, max: self.max }
    }
}

fn utf16_length(value: &str) -> usize {
    if value.is_ascii() { value.len() } else { value.encode_utf16().count() }
}

impl Rule<Cow<'_, str>> for StringRule {
    fn check(&self, value: &Cow<'_, str>, path: Path<'_>, report: &mut Report) {
        let shown = Capped(value);
        let subject = format_args!("Value '{shown}' at '{path}'");
        if let Some(pattern) = self.pattern
            && !pattern.matches(value)
        {
            let shown = pattern.shown;
            report.add(subject, format_args!("Member must satisfy regular expression pattern: {shown}"));
        }
        self.lengths().check(utf16_length(value), subject, report);
    }
}

impl ScalarRule<Cow<'_, str>> for StringRule {
    fn allows(&self, value: &Cow<'_, str>) -> bool {
        self.lengths().allow(utf16_length(value)) && self.pattern.is_none_or(|pattern| pattern.matches(value))
    }

    fn words(&self) -> String {
        let mut words = self.lengths().words();
        if let Some(pattern) = self.pattern {
            words.push(format!("Member must satisfy regular expression pattern: {}", pattern.shown));
        }
        words.join(", ")
    }
}

/// Limits of a blob's length in bytes.
#[derive(Debug)]
pub struct BlobRule {
    /// The shortest length.
    pub min: Option<usize>,
    /// The greatest length.
    pub max: Option<usize>,
}

impl Rule<Blob<'_>> for BlobRule {
    fn check(&self, value: &Blob<'_>, path: Path<'_>, report: &mut Report) {
        let lengths = Lengths { min: self.min, max: self.max };
        lengths.check(value.decoded_len(), format_args!("Value at '{path}'"), report);
    }
}

/// Limits of a number.
#[derive(Debug)]
pub struct IntegerRule {
    /// The least value.
    pub min: Option<i64>,
    /// The greatest value.
    pub max: Option<i64>,
}

impl Rule<i32> for IntegerRule {
    fn check(&self, value: &i32, path: Path<'_>, report: &mut Report) {
        self.check(&i64::from(*value), path, report);
    }
}

impl Rule<i64> for IntegerRule {
    fn check(&self, value: &i64, path: Path<'_>, report: &mut Report) {
        let subject = format_args!("Value '{value}' at '{path}'");
        if let Some(min) = self.min.filter(|min| value < min) {
            report.add(subject, format_args!("Member must have value greater than or equal to {min}"));
        }
        if let Some(max) = self.max.filter(|max| value > max) {
            report.add(subject, format_args!("Member must have value less than or equal to {max}"));
        }
    }
}

/// A string of which the model lists the values.
pub trait Enumeration {
    /// The values, in the order in which AWS prints them.
    const SET: &'static [&'static str];

    /// The value on the wire.
    fn as_str(&self) -> &str;

    /// Whether the value is one of the set.
    fn is_recognized(&self) -> bool;
}

/// Only the enumeration's values.
#[derive(Debug)]
pub struct EnumRule;

impl<T: Enumeration> Rule<T> for EnumRule {
    fn check(&self, value: &T, path: Path<'_>, report: &mut Report) {
        if !value.is_recognized() {
            let words = ScalarRule::<T>::words(self);
            report.add(format_args!("Value '{}' at '{path}'", Capped(value.as_str())), format_args!("{words}"));
        }
    }
}

impl<T: Enumeration> ScalarRule<T> for EnumRule {
    fn allows(&self, value: &T) -> bool {
        value.is_recognized()
    }

    fn words(&self) -> String {
        format!("Member must satisfy enum value set: [{}]", T::SET.join(", "))
    }
}

/// Limits of the length of a list of scalars, and a rule for each of them.
#[derive(Debug)]
pub struct ListRule<R> {
    /// The shortest length.
    pub min: Option<usize>,
    /// The greatest length.
    pub max: Option<usize>,
    /// For each element.
    pub element: R,
}

impl<T: Shown, R: ScalarRule<T>> Rule<Vec<T>> for ListRule<R> {
    fn check(&self, value: &Vec<T>, path: Path<'_>, report: &mut Report) {
        let list = Capped(List(value));
        let subject = format_args!("Value '{list}' at '{path}'");
        Lengths { min: self.min, max: self.max }.check(value.len(), subject, report);
        if !value.iter().all(|element| self.element.allows(element)) {
            let words = self.element.words();
            report.add(subject, format_args!("Member must satisfy constraint: [{words}]"));
        }
    }
}

/// Limits of the length of a list of structures, each of which has its own rules.
#[derive(Debug)]
pub struct StructureListRule {
    /// The shortest length.
    pub min: Option<usize>,
    /// The greatest length.
    pub max: Option<usize>,
}

impl<T: Validate> Rule<Vec<T>> for StructureListRule {
    fn check(&self, value: &Vec<T>, path: Path<'_>, report: &mut Report) {
        Lengths { min: self.min, max: self.max }.check(value.len(), format_args!("Value at '{path}'"), report);
        for (index, element) in value.iter().enumerate() {
            if report.is_full() {
                break;
            }
            element.validate(path.element(index), report);
        }
    }
}

/// Limits of a map's size, and rules for its keys and values.
#[derive(Debug)]
pub struct MapRule<K, V> {
    /// The smallest size.
    pub min: Option<usize>,
    /// The greatest size.
    pub max: Option<usize>,
    /// For each key.
    pub key: K,
    /// For each value.
    pub value: V,
}

impl<'a, K, V> Rule<BTreeMap<Cow<'a, str>, Cow<'a, str>>> for MapRule<K, V>
where
    K: ScalarRule<Cow<'a, str>>,
    V: ScalarRule<Cow<'a, str>>,
{
    fn check(&self, value: &BTreeMap<Cow<'a, str>, Cow<'a, str>>, path: Path<'_>, report: &mut Report) {
        let map = Capped(Map(value));
        let subject = format_args!("Value '{map}' at '{path}'");
        Lengths { min: self.min, max: self.max }.check(value.len(), subject, report);
        if !value.keys().all(|key| self.key.allows(key)) {
            report.add(subject, format_args!("Map keys must satisfy constraint: [{}]", self.key.words()));
        }
        if !value.values().all(|value| self.value.allows(value)) {
            report.add(subject, format_args!("Map value must satisfy constraint: [{}]", self.value.words()));
        }
    }
}

/// The structure's own rules.
#[derive(Debug)]
pub struct StructureRule;

impl<T: Validate> Rule<T> for StructureRule {
    fn check(&self, value: &T, path: Path<'_>, report: &mut Report) {
        value.validate(path, report);
    }
}

/// An element of a list as AWS prints it.
pub trait Shown {
    /// Writes the element.
    ///
    /// # Errors
    /// The formatter's.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl Shown for Cow<'_, str> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<T: Enumeration> Shown for T {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
