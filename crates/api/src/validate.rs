//! Checking a request against the model's constraints, with AWS's answer to what breaks them.
//!
//! Each shape's generated [`Validate`] walks its members in the model's order and hands each to a [`Rule`]. Nothing is
//! allocated until the first violation.

mod render;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::{Error, ErrorCode};

pub use rules::{
    AnyRule, BlobRule, EnumRule, Enumeration, IntegerRule, ListRule, MapRule, Pattern, Rule, ScalarRule, StringRule,
    StructureListRule, StructureRule,
};

/// AWS reports no more violations than this.
const MOST: usize = 10;

/// A structure whose members have constraints.
pub trait Validate {
    /// Reports every violation within this value, which is found at `path`.
    fn validate(&self, path: Path<'_>, report: &mut Report);
}

/// Where a value is in the request: `records.1.member.data`. A chain on the stack, written out only when it is needed.
#[derive(Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Root,
    Member(&'static str),
    /// Counted from 0; AWS counts from 1.
    Element(usize),
}

impl Path<'static> {
    /// The request itself.
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Root };
}

impl<'p> Path<'p> {
    /// A member of the structure at this path; `name` begins in lower case, as AWS prints it.
    pub fn member(&'p self, name: &'static str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Member(name) }
    }

    /// An element, counted from 0, of the list at this path.
    pub fn element(&'p self, index: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Element(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if !matches!(parent.step, Step::Root) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Member(name) => f.write_str(name),
            Step::Element(index) => write!(f, "{}.member", index + 1),
        }
    }
}

/// The violations found so far.
#[derive(Debug, Default)]
pub struct Report {
    violations: Vec<String>,
}

impl Report {
    /// Checks a member that must be there.
    pub fn required<T, R: Rule<T>>(&mut self, path: Path<'_>, value: Option<&T>, rule: &R) {
        match value {
            Some(value) => rule.check(value, path, self),
            None => self.add(format_args!("Value null at '{path}'"), format_args!("Member must not be null")),
        }
    }

    /// Checks a member if it is there.
    pub fn optional<T, R: Rule<T>>(&mut self, path: Path<'_>, value: &Option<T>, rule: &R) {
        if let Some(value) = value {
            rule.check(value, path, self);
        }
    }

    /// Adds a violation by `subject`, which names the value and where it is.
    fn add(&mut self, subject: fmt::Arguments<'_>, constraint: fmt::Arguments<'_>) {
        if !self.is_full() {
            self.violations.push(format!("{subject} failed to satisfy constraint: {constraint}"));
        }
    }

    /// Whether there are as many violations as AWS reports.
    fn is_full(&self) -> bool {
        self.violations.len() >= MOST
    }

    /// The verdict.
    ///
    /// # Errors
    /// A `ValidationException` that lists the violations, if there are any.
    pub fn finish(self) -> Result<(), Error> {
        let plural = match self.violations.len() {
            0 => return Ok(()),
            1 => "",
            _ => "s",
        };
        let message =
            format!("{} validation error{plural} detected: {}", self.violations.len(), self.violations.join("; "));
        Err(Error::new(ErrorCode::ValidationException, message))
    }
}
