//! The few forms of protobuf that an export is made of, appended to a buffer that is used again and again: a struct of strings a
//! span would be some sixty allocations a call.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// Bytes that the length of a nested message takes, if it is between 128 B and 16 KiB as a call's span is.
const LENGTH_BYTES: usize = 2;

/// Appends bytes or a text, and nothing for none: absent is how protobuf writes them.
pub(super) fn bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        begun(field, bytes.len(), out);
        out.extend_from_slice(bytes);
    }
}

/// Appends an enumeration's number.
pub(super) fn number(field: u32, number: i32, out: &mut Vec<u8>) {
    encode_key(field, WireType::Varint, out);
    // Protobuf writes a negative number as 64 bits.
    encode_varint(i64::from(number).cast_unsigned(), out);
}

/// Appends a number of four bytes.
pub(super) fn fixed32(field: u32, number: u32, out: &mut Vec<u8>) {
    encode_key(field, WireType::ThirtyTwoBit, out);
    out.extend_from_slice(&number.to_le_bytes());
}

/// Appends a number of eight bytes.
pub(super) fn fixed64(field: u32, number: u64, out: &mut Vec<u8>) {
    encode_key(field, WireType::SixtyFourBit, out);
    out.extend_from_slice(&number.to_le_bytes());
}

/// Appends the beginning of a nested message of `length` bytes, which follow.
pub(super) fn begun(field: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

/// Appends a nested message, which `write` writes.
pub(super) fn message(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(field, WireType::LengthDelimited, out);
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    write(out);
    let length = (out.len() - at - LENGTH_BYTES) as u64;
    if let (LENGTH_BYTES, Some(place)) = (encoded_len_varint(length), out.get_mut(at..at + LENGTH_BYTES)) {
        // The low seven bits, with the mark that more follow, and the next seven.
        place.copy_from_slice(&[(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
        return;
    }
    let mut prefix = Vec::new();
    encode_varint(length, &mut prefix);
    out.splice(at..at + LENGTH_BYTES, prefix);
}

/// The value of an attribute, as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Any<'a> {
    Text(&'a [u8]),
    Count(u64),
    Bytes(&'a [u8]),
}

/// Bytes of the longest varint.
const MAX_VARINT_BYTES: usize = 10;
/// Lengths below this take one byte.
const ONE_BYTE: usize = 0x80;
/// What a `KeyValue` with a text holds besides both, where each length takes one byte: three keys of fields and three lengths.
const SHORT_BYTES: usize = 6;
/// Keys of the fields `KeyValue.key`, `KeyValue.value` and `AnyValue.string_value`: number times eight, and 2 for what has a length.
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;
const STRING_VALUE: u8 = 1 << 3 | 2;
/// Key of `AnyValue.int_value`, a varint.
const INT_VALUE: u8 = 3 << 3;

/// Appends an attribute of a span. Its lengths are known before it is written.
pub(super) fn attribute(field: u32, key: &str, value: Any<'_>, out: &mut Vec<u8>) {
    // What nearly all of them are, in a fraction of the time.
    let fits = |length: usize| field < 16 && key.len() + length + SHORT_BYTES < ONE_BYTE;
    let mut begin = |value_bytes: usize| {
        let key_length = key.len() as u8;
        let length = key_length + value_bytes as u8 + 4;
        out.extend_from_slice(&[(field as u8) << 3 | 2, length, KEY, key_length]);
        out.extend_from_slice(key.as_bytes());
    };
    match value {
        Any::Text(text) if fits(text.len()) => {
            begin(2 + text.len());
            let length = text.len() as u8;
            out.extend_from_slice(&[VALUE, length + 2, STRING_VALUE, length]);
            return out.extend_from_slice(text);
        }
        Any::Count(count) if fits(MAX_VARINT_BYTES) => {
            let bytes = encoded_len_varint(count);
            begin(1 + bytes);
            out.extend_from_slice(&[VALUE, 1 + bytes as u8, INT_VALUE]);
            return encode_varint(count, out);
        }
        _ => {}
    }
    let (value_field, wire_type, length) = match value {
        Any::Text(text) => (1, WireType::LengthDelimited, encoded_len_varint(text.len() as u64) + text.len()),
        Any::Count(count) => (3, WireType::Varint, encoded_len_varint(count)),
        Any::Bytes(bytes) => (7, WireType::LengthDelimited, encoded_len_varint(bytes.len() as u64) + bytes.len()),
    };
    // With the one byte of the key of each field.
    let value_bytes = 1 + length;
    let key_bytes = 1 + encoded_len_varint(key.len() as u64) + key.len();
    begun(field, key_bytes + 1 + encoded_len_varint(value_bytes as u64) + value_bytes, out);
    bytes(1, key.as_bytes(), out);
    begun(2, value_bytes, out);
    encode_key(value_field, wire_type, out);
    match value {
        Any::Text(bytes) | Any::Bytes(bytes) => {
            encode_varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
        Any::Count(count) => encode_varint(count, out),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, KeyValue, any_value::Value},
        trace::v1::Span,
    };
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_nested_message_of_any_length_is_read_back() {
        for length in [0, 1, 100, 127, 128, 129, 16_380, 16_383, 16_384, 40_000] {
            let name = "n".repeat(length);
            let mut out = vec![0xee];
            message(2, &mut out, |out| bytes(5, name.as_bytes(), out));
            // The field before it, as a span within its scope.
            let scope = opentelemetry_proto::tonic::trace::v1::ScopeSpans::decode(&out[1..]).unwrap();
            assert_eq!(scope.spans, [Span { name, ..Span::default() }], "{length}");
            assert_eq!(scope.encode_to_vec(), out[1..], "{length}: in the shortest form");
        }
    }

    proptest! {
        #[test]
        fn an_attribute_is_what_the_library_writes(key in "[a-z.]{1,200}", text in ".{0,300}", count in 0..=i64::MAX, blob: Vec<u8>) {
            let sent = [
                (Any::Text(text.as_bytes()), Value::StringValue(text.clone())),
                (Any::Count(count.cast_unsigned()), Value::IntValue(count)),
                (Any::Bytes(&blob), Value::BytesValue(blob.clone())),
            ];
            for (written, value) in sent {
                let mut out = Vec::new();
                attribute(9, &key, written, &mut out);
                let value = Some(AnyValue { value: Some(value) });
                let span = Span { attributes: vec![KeyValue { key: key.clone(), value, ..KeyValue::default() }], ..Span::default() };
                prop_assert_eq!(out, span.encode_to_vec());
            }
        }
    }
}
