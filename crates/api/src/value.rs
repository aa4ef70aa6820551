//! The wire's scalar values that Rust has no type for.

use std::borrow::Cow;
use std::fmt;

use base64_simd::STANDARD;

/// An instant in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Bytes of a request, borrowed from its body.
///
/// JSON carries them as base64. The text is checked when the request is decoded and turned into bytes only by
/// [`Blob::append_to`], so that they are written once, to where they stay.
#[derive(Clone, Default)]
pub struct Blob<'a>(Form<'a>);

#[derive(Clone)]
enum Form<'a> {
    /// Text that was found to be valid base64 of `decoded_len` bytes.
    Base64 { text: Cow<'a, [u8]>, decoded_len: usize },
    /// The bytes themselves.
    Raw(Cow<'a, [u8]>),
}

impl Default for Form<'_> {
    fn default() -> Self {
        Form::Raw(Cow::Borrowed(&[]))
    }
}

impl<'a> Blob<'a> {
    /// A blob of these very bytes.
    pub fn from_bytes(bytes: impl Into<Cow<'a, [u8]>>) -> Blob<'a> {
        Blob(Form::Raw(bytes.into()))
    }

    /// A blob from padded, canonical standard base64.
    ///
    /// # Errors
    /// What AWS says of a text that isn't such base64.
    pub fn from_base64(text: impl Into<Cow<'a, [u8]>>) -> Result<Blob<'a>, String> {
        let text = text.into();
        match STANDARD.check(&text).and_then(|()| STANDARD.decoded_length(&text)) {
            Ok(decoded_len) => Ok(Blob(Form::Base64 { text, decoded_len })),
            Err(_) => Err(complaint(&String::from_utf8_lossy(&text))),
        }
    }

    /// The number of bytes.
    pub fn decoded_len(&self) -> usize {
        match &self.0 {
            Form::Base64 { decoded_len, .. } => *decoded_len,
            Form::Raw(bytes) => bytes.len(),
        }
    }

    /// Appends the bytes.
    pub fn append_to(&self, target: &mut Vec<u8>) {
        match &self.0 {
            Form::Base64 { text, .. } => {
                let decoded = STANDARD.decode_append(text, target);
                debug_assert!(decoded.is_ok(), "checked when the blob was made");
            }
            Form::Raw(bytes) => target.extend_from_slice(bytes),
        }
    }

    /// The bytes in a vector of their own.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.decoded_len());
        self.append_to(&mut bytes);
        bytes
    }
}

/// Two blobs are equal when their bytes are, however they were sent.
impl PartialEq for Blob<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Base64 { text: mine, .. }, Form::Base64 { text: theirs, .. }) => mine == theirs,
            (Form::Raw(mine), Form::Raw(theirs)) => mine == theirs,
            _ => self.decoded_len() == other.decoded_len() && self.to_vec() == other.to_vec(),
        }
    }
}

impl Eq for Blob<'_> {}

/// Shows the length only: the content is the customer's.
impl fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.decoded_len())
    }
}

/// AWS's words for a text that is not base64. Its decoder looks at the length, then at each character, then at the
/// unused bits of the last one. Characters are counted and shown as Java does, in UTF-16 units where it matters.
fn complaint(text: &str) -> String {
    let length = text.encode_utf16().count();
    let reason = if !length.is_multiple_of(4) {
        format!("Base64 encoded length is expected a multiple of 4 bytes but found: {length}")
    } else if let Some(bad) = first_bad_character(text) {
        format!("Invalid Base64 character: '{bad}'")
    } else {
        // The slip in the last word is AWS's.
        "Invalid last non-pad Base64 character dectected".to_owned()
    };
    format!("'{text}' can not be converted to a Blob: {reason}")
}

fn first_bad_character(text: &str) -> Option<char> {
    let unpadded = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    unpadded.chars().find(|c| !matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complaint_about(text: &str) -> String {
        Blob::from_base64(text.as_bytes()).expect_err("not base64")
    }

    #[test]
    fn base64_is_refused_in_awss_words() {
        assert_eq!(
            complaint_about("YQ="),
            "'YQ=' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3"
        );
        assert_eq!(complaint_about("=AA="), "'=AA=' can not be converted to a Blob: Invalid Base64 character: '='");
        assert_eq!(
            complaint_about("YW=="),
            "'YW==' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"
        );
        assert_eq!(
            complaint_about("+H1="),
            "'+H1=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"
        );
        assert_eq!(complaint_about("ab_-"), "'ab_-' can not be converted to a Blob: Invalid Base64 character: '_'");
        assert_eq!(complaint_about("===="), "'====' can not be converted to a Blob: Invalid Base64 character: '='");
        assert_eq!(complaint_about("A==="), "'A===' can not be converted to a Blob: Invalid Base64 character: '='");
        assert_eq!(complaint_about("äbcd"), "'äbcd' can not be converted to a Blob: Invalid Base64 character: 'ä'");
    }

    #[test]
    fn nothing_is_a_blob_too() {
        let blob = Blob::from_base64(&b""[..]).expect("empty");
        assert_eq!(blob.decoded_len(), 0);
        assert_eq!(blob, Blob::default());
        assert_eq!(blob.to_vec(), Vec::<u8>::new());
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let blob = Blob::from_base64(STANDARD.encode_to_string(&bytes).into_bytes()).expect("valid");
            prop_assert_eq!(blob.decoded_len(), bytes.len());
            prop_assert_eq!(blob.to_vec(), bytes.clone());
            prop_assert_eq!(blob, Blob::from_bytes(bytes));
        }

        #[test]
        fn any_text_decodes_or_is_refused_with_a_reason(text in "[A-Za-z0-9+/=_ é]{0,12}") {
            match Blob::from_base64(text.clone().into_bytes()) {
                Ok(blob) => prop_assert_eq!(STANDARD.encode_to_string(blob.to_vec()), text),
                Err(reason) => prop_assert!(reason.contains("can not be converted to a Blob: ")),
            }
        }
    }
}
