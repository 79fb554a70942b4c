//! Writers of fields. None uses the dynamic table or Huffman coding: what we write is short, and bytes are cheaper than cycles.

use super::{Text, integer};

/// Appends a dynamic table size update to 0: the receiver's table is empty from here on, and stays so.
#[inline]
pub fn put_table_size_zero(out: &mut Vec<u8>) {
    out.push(0x20);
}

/// Appends an entry of the static table, name and value; `index` is from 1 to 61, such as [`super::statics::METHOD_POST`].
#[inline]
pub fn put_indexed(out: &mut Vec<u8>, index: u8) {
    debug_assert!((1..=61).contains(&index), "an index of the static table");
    out.push(0x80 | index);
}

/// Appends a field whose name is that of entry `index` of the static table.
#[inline]
pub fn put_static_name(out: &mut Vec<u8>, index: u8, value: &[u8]) {
    integer::put(out, 0x00, 4, usize::from(index));
    put_string(out, value);
}

/// Appends a field; its name is in lower case.
#[inline]
pub fn put_literal(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0x00);
    put_string(out, name);
    put_string(out, value);
}

/// Appends a field whose value is that of another field, coded as it came.
#[inline]
pub fn put_literal_text(out: &mut Vec<u8>, name: &[u8], value: Text<'_>) {
    out.push(0x00);
    put_string(out, name);
    put_text(out, value);
}

/// Appends a field whose value `put_value` appends.
#[inline]
pub fn put_literal_with(out: &mut Vec<u8>, name: &[u8], put_value: impl FnOnce(&mut Vec<u8>)) {
    out.push(0x00);
    put_string(out, name);
    let at = out.len();
    out.push(0);
    put_value(out);
    let value_bytes = out.len().saturating_sub(at + 1);
    if value_bytes < 0x7f {
        if let Some(length) = out.get_mut(at) {
            *length = value_bytes as u8;
        }
    } else {
        lengthen(out, at, value_bytes);
    }
}

/// A value too long for a length of one byte is moved.
#[cold]
fn lengthen(out: &mut Vec<u8>, at: usize, value_bytes: usize) {
    let mut length = Vec::with_capacity(6);
    integer::put(&mut length, 0x00, 7, value_bytes);
    out.splice(at..=at, length);
}

/// Appends a string as it was coded.
#[inline]
pub(super) fn put_text(out: &mut Vec<u8>, text: Text<'_>) {
    integer::put(out, if text.is_huffman() { 0x80 } else { 0x00 }, 7, text.raw().len());
    out.extend_from_slice(text.raw());
}

#[inline]
pub(super) fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    integer::put(out, 0x00, 7, string.len());
    out.extend_from_slice(string);
}
