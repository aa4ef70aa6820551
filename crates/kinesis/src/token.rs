//! Shard iterators and page tokens: what clients carry for us, sealed.
//!
//! A token is base64 (standard alphabet, padded) of
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `00 00 00 00 00 00 00 01`, as in AWS's iterators |
//! | 4 | id of the key, big-endian |
//! | 24 | nonce, random |
//! | rest | XChaCha20-Poly1305 of the fields, padded with zeros; everything before the nonce is authenticated too |
//!
//! padded so that the length is 152 plus a multiple of 16, as AWS's is, and made anew each time: two tokens never equal
//! each other. The longest shard iterator (a stream name of 128 characters) is well below the 512 characters that the API
//! allows.
//!
//! A token proves that we made it, for whom and when. Whether its bearer may use it is asked at every use.

use std::borrow::Cow;

use millstream_log::{ShardIndex, TimeMs};

use crate::sequence::{Position, SequenceNumber, Side};

mod keys;

use keys::Opened;
pub use keys::{KeysError, TokenKeys};

/// How long a shard iterator and a page token can be used, ms.
pub const LIFETIME_MS: u64 = 300_000;

const MAGIC: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
const NONCE: usize = 24;
const TAG: usize = 16;
const HEADER: usize = MAGIC.len() + 4;
const SHORTEST: usize = 152;
const PADDED_TO: usize = 16;

const KIND_ITERATOR: u8 = 1;
const KIND_PAGE: u8 = 2;

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours, or one of another kind.
    #[error("not a token of this kind")]
    Malformed,
    /// Older than [`LIFETIME_MS`], or made before a restore. Times in ms since the epoch.
    #[error("expired")]
    Expired {
        /// When it was made; 0 if that is not known.
        issued: TimeMs,
        /// The time it was compared with.
        now: TimeMs,
    },
}

/// Where a reader stands in a shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIterator<'a> {
    /// The stream's account, twelve digits.
    pub account: Cow<'a, str>,
    /// The stream's region.
    pub region: Cow<'a, str>,
    /// The stream's name.
    pub stream: Cow<'a, str>,
    /// The stream's incarnation id.
    pub incarnation: u64,
    /// The shard.
    pub shard: ShardIndex,
    /// The position in it.
    pub position: Position,
    /// When it was made, ms since the epoch.
    pub issued: TimeMs,
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken<'a> {
    /// The operation that made it, the only one that takes it.
    pub operation: Cow<'a, str>,
    /// Account of what is listed.
    pub account: Cow<'a, str>,
    /// Region of what is listed.
    pub region: Cow<'a, str>,
    /// The stream whose parts are listed; empty if streams are.
    pub stream: Cow<'a, str>,
    /// That stream's incarnation id; 0 without one.
    pub incarnation: u64,
    /// After what to go on, in the operation's own terms.
    pub position: Cow<'a, str>,
    /// What else the first call asked for, in the operation's own terms.
    pub filter: Cow<'a, str>,
    /// When it was made, ms since the epoch.
    pub issued: TimeMs,
}

impl ShardIterator<'_> {
    /// The iterator as text for a client.
    pub fn seal(&self, keys: &TokenKeys) -> String {
        let number = self.position.number;
        let mut fields = Fields::new(KIND_ITERATOR, self.issued);
        fields.text(&self.account);
        fields.text(&self.region);
        fields.text(&self.stream);
        fields.number(self.incarnation);
        fields.number(u64::from(self.shard));
        fields.number(number.create());
        fields.number(number.index());
        fields.number(number.time());
        fields.number(u64::from(self.position.side == Side::After));
        keys.seal(fields.0)
    }

    /// Reads an iterator back, with or without double quotes around it.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] before [`TokenError::Expired`].
    pub fn open(text: &str, keys: &TokenKeys, now: TimeMs) -> Result<ShardIterator<'static>, TokenError> {
        let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        let opened = keys.open(text, now)?;
        let (mut fields, issued) = Reader::new(&opened.fields, KIND_ITERATOR)?;
        let account = fields.text()?;
        let region = fields.text()?;
        let stream = fields.text()?;
        let incarnation = fields.number()?;
        let shard = ShardIndex::try_from(fields.number()?).map_err(|_| TokenError::Malformed)?;
        let (create, index, time) = (fields.number()?, fields.number()?, fields.number()?);
        let side = if fields.number()? == 0 { Side::At } else { Side::After };
        let position = Position { number: SequenceNumber::new(create, index, time, shard), side };
        check_age(&opened, issued, now)?;
        Ok(ShardIterator { account, region, stream, incarnation, shard, position, issued })
    }
}

impl PageToken<'_> {
    /// The token as text for a client.
    pub fn seal(&self, keys: &TokenKeys) -> String {
        let mut fields = Fields::new(KIND_PAGE, self.issued);
        fields.text(&self.operation);
        fields.text(&self.account);
        fields.text(&self.region);
        fields.text(&self.stream);
        fields.number(self.incarnation);
        fields.text(&self.position);
        fields.text(&self.filter);
        keys.seal(fields.0)
    }

    /// Reads a token of `operation` back.
    ///
    /// # Errors
    /// [`TokenError::Malformed`], also for another operation's token, before [`TokenError::Expired`].
    pub fn open(text: &str, operation: &str, keys: &TokenKeys, now: TimeMs) -> Result<PageToken<'static>, TokenError> {
        let opened = keys.open(text, now)?;
        let (mut fields, issued) = Reader::new(&opened.fields, KIND_PAGE)?;
        let token = PageToken {
            operation: fields.text()?,
            account: fields.text()?,
            region: fields.text()?,
            stream: fields.text()?,
            incarnation: fields.number()?,
            position: fields.text()?,
            filter: fields.text()?,
            issued,
        };
        if token.operation != operation {
            return Err(TokenError::Malformed);
        }
        check_age(&opened, issued, now)?;
        Ok(token)
    }
}

/// A token from the future is good: the clock may have been set back over a restart.
fn check_age(opened: &Opened, issued: TimeMs, now: TimeMs) -> Result<(), TokenError> {
    let is_old = opened.is_retired || now.saturating_sub(issued) > LIFETIME_MS;
    if is_old { Err(TokenError::Expired { issued, now }) } else { Ok(()) }
}

/// A token's fields, one after the other, behind the room for header and nonce.
struct Fields(Vec<u8>);

impl Fields {
    fn new(kind: u8, issued: TimeMs) -> Fields {
        let mut bytes = Vec::with_capacity(384);
        bytes.resize(HEADER + NONCE, 0);
        bytes.push(kind);
        let mut fields = Fields(bytes);
        fields.number(issued);
        fields
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Reads what [`Fields`] wrote.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(plain: &'a [u8], kind: u8) -> Result<(Reader<'a>, TimeMs), TokenError> {
        let mut reader = Reader(plain);
        if reader.take(1)? != [kind] {
            return Err(TokenError::Malformed);
        }
        let issued = reader.number()?;
        Ok((reader, issued))
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], TokenError> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(TokenError::Malformed)?;
        self.0 = tail;
        Ok(head)
    }

    fn number(&mut self) -> Result<u64, TokenError> {
        let bytes = self.take(8)?.try_into().map_err(|_| TokenError::Malformed)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn text(&mut self) -> Result<Cow<'static, str>, TokenError> {
        let length = self.take(4)?.try_into().map_err(|_| TokenError::Malformed)?;
        let bytes = self.take(u32::from_be_bytes(length) as usize)?;
        let text = std::str::from_utf8(bytes).map_err(|_| TokenError::Malformed)?;
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod instructions;
#[cfg(test)]
mod tests;
