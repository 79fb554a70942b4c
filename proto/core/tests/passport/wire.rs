//! Edits protobuf bytes at any depth and keeps them well-formed.

use proptest::{prelude::*, sample::Index};

/// Texts that mean something in a descriptor set.
const WORDS: &[&str] = &[
    "",
    ".ir.example.v1.Person",
    ".ir.example.v1.ListResponse.ByNameEntry",
    ".ir.example.v1.Sex",
    ".google.protobuf.Any",
    "google/protobuf/descriptor.proto",
    "proto2",
    "editions",
    "national_id",
    "chapar.v1",
];

#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// Which field to take at each level, and whether to go into it.
    path: Vec<(Index, bool)>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Remove,
    Repeat,
    Number(u32),
    Varint(u64),
    Word(Index),
    /// Adds a field with a small value, such as an option that was not set.
    Insert(u32, u64),
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let what = prop_oneof![
        Just(What::Remove),
        Just(What::Repeat),
        (1_u32..20).prop_map(What::Number),
        prop_oneof![0_u64..20, Just(u64::MAX), Just(u64::from(u32::MAX)), Just(50_601)].prop_map(What::Varint),
        any::<Index>().prop_map(What::Word),
        (1_u32..20, 0_u64..20).prop_map(|(number, value)| What::Insert(number, value)),
    ];
    // Mostly downwards: the interesting declarations stand deep.
    let path = proptest::collection::vec((any::<Index>(), prop::bool::weighted(0.85)), 1..8);
    (path, what).prop_map(|(path, what)| Edit { path, what })
}

pub(crate) fn edited(bytes: &[u8], edit: &Edit) -> Vec<u8> {
    apply(bytes, &edit.path, &edit.what).unwrap_or_else(|| bytes.to_vec())
}

enum Payload {
    Varint(u64),
    Bytes(Vec<u8>),
}

/// `None`: the bytes are no message that this can edit.
fn apply(bytes: &[u8], path: &[(Index, bool)], what: &What) -> Option<Vec<u8>> {
    let mut fields = parse(bytes)?;
    let ((index, deeper), rest) = path.split_first()?;
    if fields.is_empty() {
        return None;
    }
    let at = index.index(fields.len());
    if *deeper
        && let Payload::Bytes(inner) = &fields[at].1
        && let Some(inner) = apply(inner, rest, what)
    {
        fields[at].1 = Payload::Bytes(inner);
        return Some(encode(&fields));
    }
    match what {
        What::Remove => drop(fields.remove(at)),
        What::Repeat => {
            let copy = (
                fields[at].0,
                match &fields[at].1 {
                    Payload::Varint(value) => Payload::Varint(*value),
                    Payload::Bytes(bytes) => Payload::Bytes(bytes.clone()),
                },
            );
            fields.push(copy);
        }
        What::Number(number) => fields[at].0 = *number,
        What::Varint(value) => fields[at].1 = Payload::Varint(*value),
        What::Word(word) => fields[at].1 = Payload::Bytes(word.get(WORDS).as_bytes().to_vec()),
        What::Insert(number, value) => fields.push((*number, Payload::Varint(*value))),
    }
    Some(encode(&fields))
}

fn parse(mut bytes: &[u8]) -> Option<Vec<(u32, Payload)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0)?;
        let payload = match tag & 7 {
            0 => Payload::Varint(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Payload::Bytes(inner.to_vec())
            }
            _ => return None,
        };
        fields.push((number, payload));
    }
    Some(fields)
}

fn encode(fields: &[(u32, Payload)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, payload) in fields {
        match payload {
            Payload::Varint(value) => {
                prost::encoding::encode_varint(u64::from(number << 3), &mut bytes);
                prost::encoding::encode_varint(*value, &mut bytes);
            }
            Payload::Bytes(inner) => {
                prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut bytes);
                prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
                bytes.extend_from_slice(inner);
            }
        }
    }
    bytes
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}
