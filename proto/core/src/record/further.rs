//! Fields that later releases add to records: carried along by who does not know them.

use thiserror::Error;

use super::number::{Shortest, shortest};

/// Longest further fields of one record, in bytes: a record is read and hashed for every call.
pub const FURTHER_BYTES_MAX: usize = 1024;

/// Further fields of a record, in their one form: see [`encode`](super::encode).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FurtherFields<'r>(&'r [u8]);

/// Bytes that are no further fields: cut short, out of order, too long, or with a field that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the further fields are malformed")]
pub struct MalformedFurther;

impl<'r> FurtherFields<'r> {
    /// No further field.
    pub const NONE: Self = Self(&[]);

    /// The fields that these bytes hold.
    ///
    /// # Errors
    /// When they are not the one form of some fields.
    pub fn parse(bytes: &'r [u8]) -> Result<Self, MalformedFurther> {
        if bytes.len() > FURTHER_BYTES_MAX {
            return Err(MalformedFurther);
        }
        let (mut rest, mut last) = (bytes, 0);
        while !rest.is_empty() {
            let (number, _, after) = first(rest).filter(|(number, ..)| *number > last).ok_or(MalformedFurther)?;
            (rest, last) = (after, number);
        }
        Ok(Self(bytes))
    }

    /// Their bytes, as they stand in a record.
    #[must_use]
    pub const fn as_bytes(&self) -> &'r [u8] {
        self.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'r> IntoIterator for FurtherFields<'r> {
    type Item = (u64, &'r [u8]);
    type IntoIter = Numbered<'r>;

    fn into_iter(self) -> Numbered<'r> {
        Numbered(self.0)
    }
}

/// Further fields one by one: the number and the value of each.
#[derive(Debug, Clone, Copy)]
pub struct Numbered<'r>(&'r [u8]);

impl<'r> Iterator for Numbered<'r> {
    type Item = (u64, &'r [u8]);

    fn next(&mut self) -> Option<(u64, &'r [u8])> {
        let (number, value, rest) = first(self.0)?;
        self.0 = rest;
        Some((number, value))
    }
}

/// The first field, and what follows it.
fn first(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let Shortest::Number(number, rest) = shortest(bytes) else { return None };
    let Shortest::Number(length, rest) = shortest(rest) else { return None };
    let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    if value.is_empty() { None } else { Some((number, value, rest)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_one_by_one_in_their_order() {
        let bytes = [1, 1, b'a', 0x80, 0x01, 2, b'b', b'c'];
        let fields: Vec<_> = FurtherFields::parse(&bytes).unwrap().into_iter().collect();
        assert_eq!(fields, [(1, &b"a"[..]), (128, &b"bc"[..])]);
        assert!(FurtherFields::parse(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_has_another_form_than_the_one_is_refused() {
        let long = [&[1, 0xff, 0x07][..], &[0; FURTHER_BYTES_MAX]].concat();
        let bad: [&[u8]; 9] = [
            &[0, 1, 0],
            &[1, 0],
            &[1],
            &[1, 2, 0],
            &[2, 1, 0, 1, 1, 0],
            &[1, 1, 0, 1, 1, 0],
            &[0x81, 0x00, 1, 0],
            &[1, 0x81, 0x00, 0],
            &long,
        ];
        for bytes in bad {
            assert_eq!(FurtherFields::parse(bytes), Err(MalformedFurther), "{bytes:?}");
        }
    }
}
