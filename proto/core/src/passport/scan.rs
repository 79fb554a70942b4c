//! Looks over foreign bytes before they are decoded.
//!
//! A decoded declaration takes some hundred bytes of memory, and two on the wire: 4 MiB of empty ones would take half a
//! gigabyte. So records are counted first, without building anything.

use std::borrow::Cow;

use prost::encoding::WireType;

use super::{
    error::Malformed,
    limits::{RECORDS_MAX, SCAN_DEPTH_MAX},
};
use crate::wire::{Field, Token, Tokens, Value};

/// Number of the field `file` in `FileDescriptorSet`.
const SET_FILE: u32 = 1;

/// Number of the field `source_code_info` in `FileDescriptorProto`.
const FILE_SOURCE_CODE_INFO: u32 = 9;

/// The set without comments and line numbers, which have no meaning here, once it is known to be decodable in bounded memory.
pub(super) fn slim(descriptor_set: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    // What this cannot read is left to the decoder, which says where it fails.
    let slim = without_source(descriptor_set).map_or(Cow::Borrowed(descriptor_set), Cow::Owned);
    if records(&slim, SCAN_DEPTH_MAX) > RECORDS_MAX {
        return Err(Malformed::TooManyRecords);
    }
    Ok(slim)
}

/// `None`: the bytes are not well-formed.
fn without_source(descriptor_set: &[u8]) -> Option<Vec<u8>> {
    let mut slim = Vec::with_capacity(descriptor_set.len());
    let mut tokens = Tokens::padded(descriptor_set);
    while let Some((token, whole)) = next(&mut tokens)? {
        match token {
            Token::Field(Field { number: SET_FILE, value: Value::Bytes(file) }) => {
                let file = file_without_source(file)?;
                prost::encoding::encode_key(SET_FILE, WireType::LengthDelimited, &mut slim);
                prost::encoding::encode_varint(file.len() as u64, &mut slim);
                slim.extend_from_slice(&file);
            }
            _ => slim.extend_from_slice(whole),
        }
    }
    Some(slim)
}

fn file_without_source(file: &[u8]) -> Option<Vec<u8>> {
    let mut slim = Vec::with_capacity(file.len());
    let mut tokens = Tokens::padded(file);
    while let Some((token, whole)) = next(&mut tokens)? {
        if !matches!(token, Token::Field(Field { number: FILE_SOURCE_CODE_INFO, .. })) {
            slim.extend_from_slice(whole);
        }
    }
    Some(slim)
}

/// The next token with all its bytes; `Some(None)` at the end, `None` where the bytes are not well-formed.
fn next<'m>(tokens: &mut Tokens<'m>) -> Option<Option<(Token<'m>, &'m [u8])>> {
    let before = tokens.rest();
    let token = tokens.next_token().ok()?;
    let whole = before.get(..before.len() - tokens.rest().len())?;
    Some(token.map(|token| (token, whole)))
}

/// Length-delimited records at any depth, up to where the bytes stop being well-formed. A text that reads as a message by
/// chance counts for more than one: the count errs on the safe side.
fn records(message: &[u8], depth: usize) -> usize {
    let mut count = 0;
    let mut tokens = Tokens::padded(message);
    // A group's fields are read as fields of the message around it, which counts them all the same.
    while let Ok(Some(token)) = tokens.next_token() {
        if let Token::Field(Field { value: Value::Bytes(payload), .. }) = token {
            count += 1;
            if depth > 0 && count <= RECORDS_MAX {
                count += records(payload, depth - 1);
            }
        }
    }
    count
}
