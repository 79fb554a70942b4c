//! Protobuf's wire format of foreign bytes: what is read as a message prost reads too, groups within groups; and what prost reads, the
//! tokens go through to their end.

use chapar_core::wire::{Fields, Malformed, Tokens, Value, packed_varints};
use prost::Message as _;

/// Deeper than messages are nested in earnest.
const DEPTH_MAX: usize = 32;

pub fn run(bytes: &[u8]) {
    // A message that prost knows no field of.
    let theirs = <()>::decode(bytes);
    let ours = walk(bytes, DEPTH_MAX);
    assert!(ours.is_err() || theirs.is_ok(), "taken here and refused there");
    assert!(theirs.is_err() || looked_over(bytes).is_ok(), "taken there and not seen here");
}

fn walk(message: &[u8], depth: usize) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next_field()? {
        assert!(field.number > 0 && field.number < 1 << 29);
        match field.value {
            Value::Bytes(inner) if depth > 0 => {
                // It may be a message, a text or packed numbers: whatever it is, it is walked through.
                let _ = walk(inner, depth - 1);
                assert!(packed_varints(inner).count() <= inner.len());
            }
            Value::Group(inner) if depth > 0 => walk(inner, depth - 1).expect("a group was looked into"),
            _ => {}
        }
    }
    Ok(())
}

fn looked_over(bytes: &[u8]) -> Result<(), Malformed> {
    let mut tokens = Tokens::padded(bytes);
    while tokens.next_token()?.is_some() {}
    assert!(tokens.rest().is_empty());
    Ok(())
}
