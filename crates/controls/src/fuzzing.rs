//! A door for the fuzzing targets, and for nobody else: readers that are not called but from within. It may change at any
//! time.

use crate::duration;

/// Reads a duration, in ms.
///
/// # Errors
/// What would be right, after the name of the member.
pub fn parse_duration(member: &str, text: &str) -> Result<u64, String> {
    duration::parse(member, text)
}
