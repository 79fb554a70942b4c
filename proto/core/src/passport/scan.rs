//! Looks over foreign bytes before they are decoded.
//!
//! A decoded declaration takes some hundred bytes of memory, and two on the wire: 4 MiB of empty ones would take half a
//! gigabyte. So records are counted first, without building anything.

use std::borrow::Cow;

use super::{
    error::Malformed,
    limits::{RECORDS_MAX, SCAN_DEPTH_MAX},
};

/// Number of the field `file` in `FileDescriptorSet`.
const SET_FILE: u64 = 1;

/// Number of the field `source_code_info` in `FileDescriptorProto`.
const FILE_SOURCE_CODE_INFO: u64 = 9;

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
    let mut rest = descriptor_set;
    while !rest.is_empty() {
        let (field, whole, after) = next(rest)?;
        match field {
            Field { number: SET_FILE, payload: Some(file) } => {
                let file = file_without_source(file)?;
                prost::encoding::encode_varint(SET_FILE << 3 | 2, &mut slim);
                prost::encoding::encode_varint(file.len() as u64, &mut slim);
                slim.extend_from_slice(&file);
            }
            _ => slim.extend_from_slice(whole),
        }
        rest = after;
    }
    Some(slim)
}

fn file_without_source(file: &[u8]) -> Option<Vec<u8>> {
    let mut slim = Vec::with_capacity(file.len());
    let mut rest = file;
    while !rest.is_empty() {
        let (field, whole, after) = next(rest)?;
        if field.number != FILE_SOURCE_CODE_INFO {
            slim.extend_from_slice(whole);
        }
        rest = after;
    }
    Some(slim)
}

/// Length-delimited records at any depth, up to where the bytes stop being well-formed. A text that reads as a message by
/// chance counts for more than one: the count errs on the safe side.
fn records(message: &[u8], depth: usize) -> usize {
    let mut count = 0;
    let mut rest = message;
    while let Some((field, _, after)) = next(rest) {
        if let Some(payload) = field.payload {
            count += 1;
            if depth > 0 && count <= RECORDS_MAX {
                count += records(payload, depth - 1);
            }
        }
        rest = after;
    }
    count
}

struct Field<'a> {
    number: u64,
    /// Of a length-delimited field.
    payload: Option<&'a [u8]>,
}

/// The first field, all its bytes, and the bytes after it. `None`: there is none, or it is not well-formed.
fn next(bytes: &[u8]) -> Option<(Field<'_>, &[u8], &[u8])> {
    let mut rest = bytes;
    let tag = varint(&mut rest)?;
    let mut payload = None;
    match tag & 7 {
        0 => drop(varint(&mut rest)?),
        1 => rest = rest.get(8..)?,
        2 => {
            let length = usize::try_from(varint(&mut rest)?).ok()?;
            let (inner, after) = rest.split_at_checked(length)?;
            payload = Some(inner);
            rest = after;
        }
        // A group's fields are read as fields of the message around it, which counts them all the same.
        3 | 4 => {}
        5 => rest = rest.get(4..)?,
        _ => return None,
    }
    let whole = bytes.get(..bytes.len() - rest.len())?;
    Some((Field { number: tag >> 3, payload }, whole, rest))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}
