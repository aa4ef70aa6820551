//! A stream's settings: what each can be, from what was asked for and what was answered.
//!
//! One client changes one stream's settings, one after the other. A change that was acknowledged is there; one that was
//! refused is not; one without an answer is there or not, whole.

use std::collections::BTreeMap;

/// What a setting that was never set is.
pub const ABSENT: &str = "";

/// Settings by name, each with what it can be now.
#[derive(Debug, Default)]
pub struct Facts {
    possible: BTreeMap<String, Vec<String>>,
}

impl Facts {
    /// The setting is known to be this.
    pub fn is(&mut self, name: &str, value: &str) {
        self.possible.insert(name.to_owned(), vec![value.to_owned()]);
    }

    /// A change is about to be asked for.
    pub fn becomes(&mut self, name: &str, value: &str) {
        let possible = self.possible.entry(name.to_owned()).or_insert_with(|| vec![ABSENT.to_owned()]);
        possible.push(value.to_owned());
    }

    /// The last change was acknowledged.
    pub fn acknowledged(&mut self, name: &str) {
        if let Some(possible) = self.possible.get_mut(name) {
            possible.drain(..possible.len() - 1);
        }
    }

    /// The last change was refused.
    pub fn refused(&mut self, name: &str) {
        if let Some(possible) = self.possible.get_mut(name) {
            possible.pop();
        }
    }

    /// What the setting can be, the likeliest last.
    #[must_use]
    pub fn of(&self, name: &str) -> &[String] {
        self.possible.get(name).map_or(&[], Vec::as_slice)
    }

    /// Compares with what is there after a restart, and takes it over. One line for each setting that cannot be so.
    pub fn compare(&mut self, there: &BTreeMap<String, String>) -> Vec<String> {
        let absent = ABSENT.to_owned();
        let mut wrong = Vec::new();
        for (name, value) in there.iter().filter(|(name, _)| !self.possible.contains_key(*name)) {
            wrong.push(format!("{name} is {value:?}, and nobody has set it"));
        }
        for (name, possible) in &mut self.possible {
            let value = there.get(name).unwrap_or(&absent);
            if !possible.contains(value) {
                wrong.push(format!("{name} is {value:?} and must be one of {possible:?}"));
            }
            *possible = vec![value.clone()];
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(value: &str) -> BTreeMap<String, String> {
        [("tag".to_owned(), value.to_owned())].into()
    }

    #[test]
    fn an_answer_decides_and_no_answer_leaves_both() {
        let mut facts = Facts::default();
        facts.becomes("tag", "1");
        facts.acknowledged("tag");
        assert_eq!(facts.compare(&there("1")), [""; 0]);
        facts.becomes("tag", "2");
        facts.refused("tag");
        assert_eq!(facts.compare(&there("2")).len(), 1);
        for value in ["2", "3"] {
            facts.is("tag", "2");
            facts.becomes("tag", "3");
            assert_eq!(facts.compare(&there(value)), [""; 0]);
            assert_eq!(facts.of("tag"), [value]);
        }
    }

    #[test]
    fn what_was_lost_or_is_half_done_is_found_out() {
        let mut facts = Facts::default();
        facts.is("tag", "1");
        assert_eq!(facts.compare(&BTreeMap::new()).len(), 1);
        facts.is("tag", "1");
        facts.becomes("tag", "2");
        assert_eq!(facts.compare(&there("12")).len(), 1);
        assert_eq!(Facts::default().compare(&there("1")).len(), 1);
    }
}
