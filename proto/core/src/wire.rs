//! Protocol Buffers' wire format, read in place: fields of a message as views of its bytes, whatever wrote them.
//!
//! Nothing is copied, nothing is allocated, and no bytes make it panic or go on for longer than they are. It takes a message only if
//! every parser in use takes it and reads the same in it. Parsers differ on malformed bytes, and whoever is shown one thing here and
//! another thing by the server behind would be told a lie; so where they differ, this refuses:
//!
//! | bytes | upb 7.36 (C++, Python …) | Go 1.36 | Java 4.36 | prost 0.14 | here |
//! | --- | --- | --- | --- | --- | --- |
//! | a tag or a length padded to more than five bytes | refused | taken | taken | taken | refused, but see [`Tokens::padded`] |
//! | a tag beyond 32 bits | refused | refused | cut off | refused | refused |
//! | a length beyond 32 bits | refused | refused | cut off | refused | refused |
//! | field number 0 | taken | refused | refused | refused | refused |
//! | a varint whose tenth byte goes beyond 64 bits | cut off | refused | cut off | refused | refused |
//! | a varint padded to ten bytes | taken | taken | taken | taken | taken |
//! | groups nested more than 100 deep | refused | taken | refused | refused | refused |
//! | a group that ends as another one, or not at all | refused | refused | refused | refused | refused |
//! | wire types 6 and 7, a length beyond the end | refused | refused | refused | refused | refused |

use thiserror::Error;

/// Greatest field number (Protocol Buffers, "Assigning Field Numbers").
pub const FIELD_NUMBER_MAX: u32 = (1 << 29) - 1;

/// Deepest nesting of groups: what most parsers allow.
pub const GROUP_DEPTH_MAX: usize = 100;

/// Bytes of a varint at most: 64 bits, seven a byte.
const VARINT_BYTES_MAX: usize = 10;

/// Bytes of a tag or a length at most: 32 bits, seven a byte.
const SHORT_VARINT_BYTES_MAX: usize = 5;

/// Wire types (Protocol Buffers, "Message Structure").
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const GROUP_START: u32 = 3;
const GROUP_END: u32 = 4;
const FIXED32: u32 = 5;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// They end within a field.
    #[error("the message is cut short")]
    Short,
    /// A tag that no field has: number 0, more than 32 bits, or padded.
    #[error("a field's tag is malformed")]
    Tag,
    /// A number of more than 64 bits.
    #[error("a number has more than 64 bits")]
    Varint,
    /// A length of more than 32 bits, or padded.
    #[error("a field's length is malformed")]
    Length,
    /// A wire type that there is not.
    #[error("a field has a wire type that there is not")]
    WireType,
    /// A group that ends as another one, or without having begun.
    #[error("a group's end is not that of the group")]
    GroupEnd,
    /// Groups in more than [`GROUP_DEPTH_MAX`] others.
    #[error("groups are nested too deeply")]
    TooDeep,
}

/// A field's value, by its wire type. What it means, and whether the field should have another one, only its reader can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'m> {
    /// `int32`, `int64`, `uint32`, `uint64`, `sint32`, `sint64`, `bool`, an enum.
    Varint(u64),
    /// `fixed64`, `sfixed64`, `double`.
    Fixed64(u64),
    /// `fixed32`, `sfixed32`, `float`.
    Fixed32(u32),
    /// `string`, `bytes`, a message, or packed numbers.
    Bytes(&'m [u8]),
    /// The fields of a group, without the tag that ends it. They are well-formed down to where another message or text begins.
    Group(&'m [u8]),
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'m> {
    /// Its number: 1 to [`FIELD_NUMBER_MAX`].
    pub number: u32,
    /// Its value.
    pub value: Value<'m>,
}

/// A piece of a message as it stands: groups are not gathered, nor is it seen to that they end as they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'m> {
    /// A whole field; its value is no group.
    Field(Field<'m>),
    /// The group with this number begins.
    GroupStart(u32),
    /// The group with this number ends.
    GroupEnd(u32),
}

/// The fields of a message, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'m>(Tokens<'m>);

impl<'m> Fields<'m> {
    /// The fields of `message`.
    #[must_use]
    #[inline]
    pub const fn new(message: &'m [u8]) -> Self {
        Self(Tokens { rest: message, short_varint_bytes_max: SHORT_VARINT_BYTES_MAX })
    }

    /// The next field; `None` at the end of the message.
    ///
    /// # Errors
    /// The bytes are no message. What was read before may not be relied on.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<Field<'m>>, Malformed> {
        match self.0.next_token()? {
            None => Ok(None),
            Some(Token::Field(field)) => Ok(Some(field)),
            Some(Token::GroupStart(number)) => Ok(Some(Field { number, value: Value::Group(self.group(number)?) })),
            Some(Token::GroupEnd(_)) => Err(Malformed::GroupEnd),
        }
    }

    /// The fields up to the end of the group with this number, which has begun.
    fn group(&mut self, number: u32) -> Result<&'m [u8], Malformed> {
        let whole = self.0.rest;
        let mut open = [number; GROUP_DEPTH_MAX];
        let mut depth = 1;
        loop {
            let left = self.0.rest.len();
            match self.0.next_token()?.ok_or(Malformed::Short)? {
                Token::Field(_) => {}
                Token::GroupStart(number) => {
                    *open.get_mut(depth).ok_or(Malformed::TooDeep)? = number;
                    depth += 1;
                }
                Token::GroupEnd(number) => {
                    depth -= 1;
                    if open.get(depth) != Some(&number) {
                        return Err(Malformed::GroupEnd);
                    }
                    if depth == 0 {
                        return Ok(whole.get(..whole.len() - left).unwrap_or_default());
                    }
                }
            }
        }
    }
}

/// The tokens of a message, one after the other: for who looks over bytes that another reader will decode.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'m> {
    rest: &'m [u8],
    short_varint_bytes_max: usize,
}

impl<'m> Tokens<'m> {
    /// The tokens of `message`, where tags and lengths may be padded to ten bytes: whatever prost decodes, this reads. Who bounds
    /// what a decoder will do must not see less than it.
    #[must_use]
    pub const fn padded(message: &'m [u8]) -> Self {
        Self { rest: message, short_varint_bytes_max: VARINT_BYTES_MAX }
    }

    /// What was not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'m [u8] {
        self.rest
    }

    /// The next token; `None` at the end of the message.
    ///
    /// # Errors
    /// The bytes are no message.
    #[inline]
    pub fn next_token(&mut self) -> Result<Option<Token<'m>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        let value = match wire_type {
            VARINT => Value::Varint(varint(&mut self.rest)?),
            BYTES => Value::Bytes(self.delimited()?),
            FIXED64 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            FIXED32 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            GROUP_START => return Ok(Some(Token::GroupStart(number))),
            GROUP_END => return Ok(Some(Token::GroupEnd(number))),
            _ => return Err(Malformed::WireType),
        };
        Ok(Some(Token::Field(Field { number, value })))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u32), Malformed> {
        let tag = match *self.rest {
            // Numbers below 16, as nearly all are.
            [tag @ 8..0x80, ref rest @ ..] => {
                self.rest = rest;
                u32::from(tag)
            }
            _ => self.short_varint(Malformed::Tag)?,
        };
        if tag >> 3 == 0 { Err(Malformed::Tag) } else { Ok((tag >> 3, tag & 7)) }
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'m [u8], Malformed> {
        let length = match *self.rest {
            [length @ ..0x80, ref rest @ ..] => {
                self.rest = rest;
                usize::from(length)
            }
            _ => usize::try_from(self.short_varint(Malformed::Length)?).map_err(|_| Malformed::Length)?,
        };
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*array)
    }

    /// A tag or a length: 32 bits.
    fn short_varint(&mut self, malformed: Malformed) -> Result<u32, Malformed> {
        let before = self.rest.len();
        let number = varint(&mut self.rest).map_err(|error| if error == Malformed::Varint { malformed } else { error })?;
        if before - self.rest.len() > self.short_varint_bytes_max {
            return Err(malformed);
        }
        u32::try_from(number).map_err(|_| malformed)
    }
}

impl<'m> Value<'m> {
    /// The bytes, if its wire type is that of a text, of bytes or of a message.
    #[must_use]
    pub const fn bytes(self) -> Option<&'m [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Numbers of a packed field: varints one after the other.
#[derive(Debug, Clone, Copy)]
pub struct PackedVarints<'m>(&'m [u8]);

/// The numbers in the value of a packed field.
#[must_use]
pub const fn packed_varints(value: &[u8]) -> PackedVarints<'_> {
    PackedVarints(value)
}

impl Iterator for PackedVarints<'_> {
    type Item = Result<u64, Malformed>;

    /// The next number. After an error there is no other.
    fn next(&mut self) -> Option<Result<u64, Malformed>> {
        if self.0.is_empty() {
            return None;
        }
        let number = varint(&mut self.0);
        if number.is_err() {
            self.0 = &[];
        }
        Some(number)
    }
}

/// Takes a number off the beginning of `bytes`.
#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    match **bytes {
        [byte @ ..0x80, ref rest @ ..] => {
            *bytes = rest;
            Ok(byte.into())
        }
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            // The tenth byte has room for one bit.
            if at + 1 == VARINT_BYTES_MAX && *byte > 1 {
                return Err(Malformed::Varint);
            }
            *bytes = bytes.get(at + 1..).unwrap_or_default();
            return Ok(number);
        }
    }
    Err(if bytes.len() < VARINT_BYTES_MAX { Malformed::Short } else { Malformed::Varint })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod tests;
