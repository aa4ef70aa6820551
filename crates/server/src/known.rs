//! What was found out of a connection's last request: most that follow carry the same headers.

use millstream_api::Error;
use parking_lot::Mutex;

use crate::auth::Caller;

/// Longer texts are not kept: connections at rest are to cost next to nothing.
const LONGEST: usize = 256;

/// What is kept for one connection. Its requests may come at the same time.
#[derive(Debug, Default)]
pub(crate) struct Known {
    host: Mutex<Box<str>>,
    caller: Mutex<Option<(Box<str>, Caller)>>,
}

impl Known {
    /// Whether `host` may be asked for: as last time, or as `find` says.
    pub(crate) fn allows_host(&self, host: &str, find: impl FnOnce() -> bool) -> bool {
        if !host.is_empty() && *host == **self.host.lock() {
            return true;
        }
        let is_allowed = find();
        if is_allowed && host.len() <= LONGEST {
            *self.host.lock() = host.into();
        }
        is_allowed
    }

    /// Whom `credential` names: as last time, or as `find` says.
    ///
    /// # Errors
    /// `find`'s.
    pub(crate) fn caller(
        &self,
        credential: &str,
        find: impl FnOnce() -> Result<Caller, Error>,
    ) -> Result<Caller, Error> {
        if let Some((known, caller)) = &*self.caller.lock()
            && **known == *credential
        {
            return Ok(caller.clone());
        }
        let caller = find()?;
        if credential.len() <= LONGEST {
            *self.caller.lock() = Some((credential.into(), caller.clone()));
        }
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_api::ErrorCode;

    use super::*;

    #[test]
    fn a_host_is_looked_at_once() {
        let known = Known::default();
        assert!(!known.allows_host("", || false));
        assert!(known.allows_host("a", || true));
        assert!(known.allows_host("a", || unreachable!()));
        assert!(!known.allows_host("b", || false));
        assert!(!known.allows_host("b", || false));
        assert!(known.allows_host("a", || unreachable!()));
        let long = "a".repeat(LONGEST + 1);
        assert!(known.allows_host(&long, || true));
        assert!(!known.allows_host(&long, || false));
    }

    #[test]
    fn a_credential_is_looked_at_once() {
        let known = Known::default();
        let caller = |key: &str| Caller { access_key: key.into(), account: "1".into(), region: "r".into() };
        let failure = || Err(Error::bare(ErrorCode::InvalidSignatureException));
        let first = known.caller("a/1", || Ok(caller("a"))).unwrap();
        let second = known.caller("a/1", failure).unwrap();
        assert!(Arc::ptr_eq(&first.access_key, &second.access_key));
        assert!(known.caller("b/1", failure).is_err());
        assert_eq!(known.caller("b/1", || Ok(caller("b"))), Ok(caller("b")));
        assert!(known.caller("a/1", failure).is_err());
    }
}
