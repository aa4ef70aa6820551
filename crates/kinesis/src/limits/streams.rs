//! Limits of single streams: which streams an entry of the configuration means, and which limits a stream can have of
//! its own.

use std::sync::Arc;

use super::Limits;
use crate::resolve::Address;

/// The limits that count for an account as a whole; all others can differ from stream to stream.
pub const OF_ACCOUNTS: [&str; 4] =
    ["shards_in_large_region", "shards_in_region", "on_demand_streams", "streams_in_transition"];

/// Limits of the streams that an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Stream name, in which `*` stands for any characters, or none.
    pub name: String,
    /// Only streams of this account; `None` for every account.
    pub account: Option<String>,
    /// Only streams in this region; `None` for every region.
    pub region: Option<String>,
    /// All of them; those of [`OF_ACCOUNTS`] are not looked at.
    pub limits: Arc<Limits>,
}

impl StreamLimits {
    fn names(&self, stream: &Address) -> bool {
        let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|wanted| wanted == given);
        is(&self.account, &stream.account) && is(&self.region, &stream.region) && matches(&self.name, &stream.name)
    }
}

/// The limits in force: those of the service, and entries for single streams, of which the first that names a stream
/// counts. Resolved when a stream appears, not with each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitTable {
    pub(crate) all: Arc<Limits>,
    pub(crate) streams: Vec<StreamLimits>,
}

impl LimitTable {
    /// The limits of a stream.
    pub(crate) fn of(&self, stream: &Address) -> Arc<Limits> {
        let entry = self.streams.iter().find(|entry| entry.names(stream));
        Arc::clone(entry.map_or(&self.all, |entry| &entry.limits))
    }
}

/// Whether the text is what the pattern says.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The earliest place leaves the most for the parts behind.
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "a"),
            ("a*", "a"),
            ("a*c", "abc"),
            ("a*b*c", "abbc"),
            ("*b*", "abc"),
            ("a**", "ab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "b"), ("a*", "ba"), ("a*a", "a"), ("a*c", "abcd"), ("a*b*c", "acb"), ("*bb", "b")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_entry_that_names_a_stream_counts() {
        let entry = |name: &str, account: Option<&str>, region: Option<&str>, tags: u64| StreamLimits {
            name: name.to_owned(),
            account: account.map(str::to_owned),
            region: region.map(str::to_owned),
            limits: Arc::new(Limits { tags: super::super::Limit::of(tags), ..Limits::aws() }),
        };
        let table = LimitTable {
            all: Arc::new(Limits::aws()),
            streams: vec![
                entry("orders", None, None, 1),
                entry("orders*", Some("111111111111"), None, 2),
                entry("*", None, Some("eu-west-1"), 3),
            ],
        };
        let tags = |account: &str, region: &str, name: &str| {
            let stream = Address { account: account.into(), region: region.into(), name: name.into() };
            table.of(&stream).tags.get()
        };
        assert_eq!(tags("222222222222", "us-east-1", "orders"), Some(1));
        assert_eq!(tags("111111111111", "us-east-1", "orders-2"), Some(2));
        assert_eq!(tags("222222222222", "eu-west-1", "orders-2"), Some(3));
        assert_eq!(tags("222222222222", "us-east-1", "orders-2"), Some(50));
    }
}
