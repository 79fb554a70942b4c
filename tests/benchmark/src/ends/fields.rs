//! Header blocks of both ends (RFC 7541): written as ordinary gRPC ends do, read only as far as needed to judge an answer.

use anyhow::{Result, bail, ensure};

/// A field whose value is the same on every call of a connection.
#[derive(Debug, Clone)]
pub struct Field {
    /// Index of the name in HPACK's static table, 0: the name is spelled out.
    name_index: u8,
    name: &'static str,
    value: String,
}

impl Field {
    /// A field whose name is in the static table, at `name_index` of 15 to 61.
    pub fn known(name_index: u8, value: &str) -> Self {
        Self { name_index, name: "", value: value.to_owned() }
    }

    /// A field with a name of its own.
    pub fn named(name: &'static str, value: &str) -> Self {
        Self { name_index: 0, name, value: value.to_owned() }
    }
}

/// Least size of the other end's table at which fields are kept in it: all of an end's fields fit, so none is ever evicted.
const TABLE_BYTES_MIN: u32 = 1_024;
/// Entries of the static table; dynamic ones are counted on from there.
const STATIC_ENTRIES: u32 = 61;

/// Writes fields as gRPC libraries do: kept in the other end's table when first sent, and an index from then on.
#[derive(Debug)]
pub struct Writer {
    keeps: bool,
    /// When the table was made smaller, the next block must begin by saying so.
    says_empty: bool,
    kept: u32,
    /// For each field, its place in the order of keeping.
    places: Vec<Option<u32>>,
}

impl Writer {
    /// For up to `fields` fields.
    pub fn new(fields: usize) -> Self {
        Self { keeps: true, says_empty: false, kept: 0, places: vec![None; fields] }
    }

    /// The other end's table has `bytes` bytes from now on.
    pub fn table_bytes(&mut self, bytes: u32) {
        if bytes < TABLE_BYTES_MIN && self.keeps {
            self.keeps = false;
            self.says_empty = true;
        }
    }

    /// Does not keep anything in the other end's table.
    pub const fn keep_nothing(&mut self) {
        self.keeps = false;
    }

    /// Begins a block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if self.says_empty {
            self.says_empty = false;
            out.push(0x20);
        }
    }

    /// Appends `field`, the `number`th of those that this writer writes.
    pub fn put(&mut self, out: &mut Vec<u8>, number: usize, field: &Field) {
        let place = self.places.get(number).copied().flatten();
        if let (true, Some(place)) = (self.keeps, place) {
            put_integer(out, 0x80, 7, STATIC_ENTRIES + self.kept - place);
            return;
        }
        if self.keeps {
            put_integer(out, 0x40, 6, field.name_index.into());
            if let Some(place) = self.places.get_mut(number) {
                *place = Some(self.kept);
            }
            self.kept += 1;
        } else {
            put_integer(out, 0, 4, field.name_index.into());
        }
        if field.name_index == 0 {
            put_string(out, field.name);
        }
        put_string(out, &field.value);
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_integer(out, 0, 7, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

fn put_integer(out: &mut Vec<u8>, pattern: u8, bits: u32, value: u32) {
    let most = (1_u32 << bits) - 1;
    if value < most {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What of an answer's header block matters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether `:status` was there, and 200.
    pub status_200: Option<bool>,
    /// Whether `grpc-status` was there, and 0.
    pub grpc_status_0: Option<bool>,
}

/// The spellings of what is looked for: as it is, and in HPACK's Huffman code.
const GRPC_STATUS: [&[u8]; 2] = [b"grpc-status", &[0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f]];
const OK: [&[u8]; 2] = [b"0", &[0x07]];
const STATUS_200: [&[u8]; 2] = [b"200", &[0x10, 0x01]];

/// Looks through a block that refers to nothing before it: the reader announces a table of no bytes.
///
/// # Errors
/// When the block is cut short, or refers to a table that there is not.
pub fn look_through(block: &[u8]) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut rest = Reader(block);
    while let Some(&first) = rest.0.first() {
        if first & 0x80 != 0 {
            match rest.integer(7)? {
                8 => seen.status_200 = Some(true),
                9..=14 => seen.status_200 = Some(false),
                0 => bail!("index 0"),
                1..=STATIC_ENTRIES => {}
                other => bail!("index {other} is in a table of no bytes"),
            }
            continue;
        }
        if first & 0xe0 == 0x20 {
            rest.integer(5)?;
            continue;
        }
        let bits = if first & 0x40 != 0 { 6 } else { 4 };
        let name_index = rest.integer(bits)?;
        ensure!(name_index <= STATIC_ENTRIES, "name {name_index} is in a table of no bytes");
        let name = if name_index == 0 { Some(rest.string()?) } else { None };
        let value = rest.string()?;
        if (8..=14).contains(&name_index) {
            seen.status_200 = Some(value.is(STATUS_200));
        } else if name.is_some_and(|name| name.is(GRPC_STATUS)) {
            seen.grpc_status_0 = Some(value.is(OK));
        }
    }
    Ok(seen)
}

struct Reader<'a>(&'a [u8]);

#[derive(Clone, Copy)]
struct Text<'a> {
    huffman: bool,
    bytes: &'a [u8],
}

impl Text<'_> {
    fn is(&self, spellings: [&[u8]; 2]) -> bool {
        self.bytes == spellings[usize::from(self.huffman)]
    }
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8> {
        let Some((&first, rest)) = self.0.split_first() else { bail!("the block is cut short") };
        self.0 = rest;
        Ok(first)
    }

    fn integer(&mut self, bits: u32) -> Result<u32> {
        let most = (1_u32 << bits) - 1;
        let mut value = u32::from(self.byte()?) & most;
        if value < most {
            return Ok(value);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("an integer of more than four bytes")
    }

    fn string(&mut self) -> Result<Text<'a>> {
        let huffman = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)? as usize;
        let Some((bytes, rest)) = self.0.split_at_checked(length) else { bail!("the block is cut short") };
        self.0 = rest;
        Ok(Text { huffman, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_status_however_it_is_spelled() {
        let plain = b"\x40\x0bgrpc-status\x010";
        let huffman = b"\x00\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x81\x07";
        for block in [&plain[..], &huffman[..]] {
            assert_eq!(look_through(block).unwrap(), Seen { status_200: None, grpc_status_0: Some(true) });
        }
        assert_eq!(look_through(b"\x40\x0bgrpc-status\x0213").unwrap().grpc_status_0, Some(false));
        assert_eq!(look_through(b"\x20\x88").unwrap().status_200, Some(true));
        assert_eq!(look_through(b"\x08\x03200").unwrap().status_200, Some(true));
        assert_eq!(look_through(b"\x8d").unwrap().status_200, Some(false));
    }

    #[test]
    fn refuses_what_it_cannot_know() {
        for block in [&b"\xbe"[..], b"\x7f\x00\x0112", b"\x40\x0bgrpc", b"\xff"] {
            assert!(look_through(block).is_err(), "{block:x?}");
        }
    }

    #[test]
    fn keeps_a_field_once_and_refers_to_it_from_then_on() {
        let fields = [Field::named("te", "trailers"), Field::known(31, "application/grpc")];
        let mut writer = Writer::new(2);
        let mut first = Vec::new();
        for (number, field) in fields.iter().enumerate() {
            writer.put(&mut first, number, field);
        }
        assert!(first.starts_with(b"\x40\x02te\x08trailers\x5f\x10application/grpc"), "{first:x?}");
        let mut second = Vec::new();
        for (number, field) in fields.iter().enumerate() {
            writer.put(&mut second, number, field);
        }
        assert_eq!(second, [0x80 | 63, 0x80 | 62]);
        writer.table_bytes(0);
        let mut third = Vec::new();
        writer.begin(&mut third);
        writer.put(&mut third, 0, &fields[0]);
        assert_eq!(third, b"\x20\x00\x02te\x08trailers");
    }
}
