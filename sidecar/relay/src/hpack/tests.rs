//! The decoder and the scanner together, as the relay uses them.

mod coding;
mod properties;
mod vectors;

use super::*;

/// Fields as text.
type Read = Vec<(String, String)>;

const WIDE: BlockLimits = BlockLimits { header_list_bytes_max: 1 << 20, fields_max: 1 << 10 };

/// Reads a block of a connection whole; each field is also read from a copy of its bytes alone.
fn read(decoder: &mut Decoder, block: &[u8], limits: &BlockLimits) -> Result<Read, Fault> {
    let (mut scratch, mut text) = (Vec::new(), Vec::new());
    let fields = decoder.fields(block, &mut scratch, limits)?;
    let whole = fields.block();
    let mut read = Read::new();
    for field in fields {
        let field = field?;
        assert_eq!(whole.get(field.at..field.at + field.bytes.len()), Some(field.bytes), "a field is found where it says");
        let copied = one(field.bytes);
        let mut string = |text_of: Text<'_>| {
            let string = String::from_utf8_lossy(text_of.read(&mut text)).into_owned();
            assert_eq!(text_of.len(), text.len().max(text_of.plain().map_or(0, <[u8]>::len)), "a text tells its size");
            text.clear();
            string
        };
        let (name, value) = (string(field.name), string(field.value));
        assert_eq!(copied, (name.clone(), value.clone()), "a copied field is the same field");
        assert_eq!(field.known, KnownName::of_plain(name.as_bytes()), "a name is known in each coding: {name}");
        read.push((name, value));
    }
    Ok(read)
}

/// Reads a field that stands alone in a block.
fn one(block: &[u8]) -> (String, String) {
    let mut fields = Fields::new(block, &WIDE);
    let field = fields.next().expect("a field").expect("a sound field");
    assert!(fields.next().is_none(), "one field");
    let string = |text: Text<'_>| String::from_utf8_lossy(text.read(&mut Vec::new())).into_owned();
    (string(field.name), string(field.value))
}

/// Reads a block of a peer without a dynamic table.
fn scan(block: &[u8]) -> Result<Read, Fault> {
    let mut decoder = Decoder::default();
    decoder.acknowledged_no_table();
    read(&mut decoder, block, &WIDE)
}

fn fields(expected: &[(&str, &str)]) -> Result<Read, Fault> {
    Ok(expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

fn compression<T>(read: Result<T, Fault>) -> bool {
    matches!(read, Err(Fault::Compression(_)))
}

fn malformed<T>(read: Result<T, Fault>) -> bool {
    matches!(read, Err(Fault::Malformed(_)))
}

/// A literal field without indexing, its strings given as they stand.
fn literal(name: &[u8], name_coded: bool, value: &[u8], value_coded: bool) -> Vec<u8> {
    let mut block = vec![0x00];
    for (raw, coded) in [(name, name_coded), (value, value_coded)] {
        integer::put(&mut block, if coded { 0x80 } else { 0x00 }, 7, raw.len());
        block.extend_from_slice(raw);
    }
    block
}
