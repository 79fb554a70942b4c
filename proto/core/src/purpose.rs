//! What a consumer wants an answer for: stated with a call, kept on record, told to whom was asked about.
//!
//! An application states it in the metadata [`metadata::PURPOSE`]: UTF-8, percent-encoded as `grpc-message` is.

use std::{fmt, sync::Arc};

use crate::metadata;

/// Longest purpose, in bytes of its UTF-8: a sentence, not a document.
pub const PURPOSE_BYTES_MAX: usize = 256;

/// The purpose of a call, as stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose(Arc<str>);

impl Purpose {
    /// Reads the metadata's value. `None`: it is blank, and states nothing.
    ///
    /// # Errors
    /// When it is no percent-encoded UTF-8, too long, or holds control characters.
    pub fn parse(value: &[u8]) -> Result<Option<Self>, MalformedPurpose> {
        let mut text = String::new();
        let stated = read_into(value, &mut text)?;
        Ok(stated.then(|| Self(Arc::from(text))))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as metadata carries it.
    #[must_use]
    pub fn encoded(&self) -> String {
        use fmt::Write as _;
        let mut value = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if matches!(byte, b' '..=b'~') && byte != b'%' {
                value.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(value, "%{byte:02X}");
            }
        }
        value
    }
}

/// The metadata states no purpose that can be kept; the application must correct it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} must be percent-encoded UTF-8 of at most {PURPOSE_BYTES_MAX} bytes without control characters; the application must correct it",
    name = metadata::PURPOSE
)]
pub struct MalformedPurpose;

/// As [`Purpose::parse`], into a text that was used before: for the call path, which allocates nothing. What the text held is
/// gone either way. False: nothing is stated.
///
/// # Errors
/// As [`Purpose::parse`].
pub fn read_into(value: &[u8], text: &mut String) -> Result<bool, MalformedPurpose> {
    let mut bytes = std::mem::take(text).into_bytes();
    bytes.clear();
    decode(value, &mut bytes)?;
    *text = String::from_utf8(bytes).map_err(|_| MalformedPurpose)?;
    text.truncate(text.trim_end().len());
    let blank = text.len() - text.trim_start().len();
    text.drain(..blank);
    if text.chars().any(char::is_control) {
        return Err(MalformedPurpose);
    }
    Ok(!text.is_empty())
}

fn decode(value: &[u8], bytes: &mut Vec<u8>) -> Result<(), MalformedPurpose> {
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let byte = if *first == b'%' {
            let [high, low] = *after.first_chunk::<2>().ok_or(MalformedPurpose)?;
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            rest = &after[2..];
            digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low).ok_or(MalformedPurpose)?
        } else {
            rest = after;
            *first
        };
        if bytes.len() == PURPOSE_BYTES_MAX {
            return Err(MalformedPurpose);
        }
        bytes.push(byte);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stated_purpose_is_read_as_it_was_meant() {
        assert_eq!(Purpose::parse(b"pension file 12").unwrap().unwrap().as_str(), "pension file 12");
        let persian = Purpose::parse("%D8%A8%DB%8C%D9%85%D9%87".as_bytes()).unwrap().unwrap();
        assert_eq!((persian.as_str(), persian.encoded().as_str()), ("بیمه", "%D8%A8%DB%8C%D9%85%D9%87"));
        assert_eq!(Purpose::parse(b"  ").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for malformed in [&b"%"[..], b"%4", b"%zz", b"%FF", b"a%0Ab", &[b'a'; PURPOSE_BYTES_MAX + 1]] {
            assert_eq!(Purpose::parse(malformed), Err(MalformedPurpose), "{malformed:?}");
        }
        assert!(Purpose::parse(&[b'a'; PURPOSE_BYTES_MAX]).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some(purpose)) = Purpose::parse(&value) {
                prop_assert_eq!(Purpose::parse(purpose.encoded().as_bytes()), Ok(Some(purpose)));
            }
        }
    }
}
