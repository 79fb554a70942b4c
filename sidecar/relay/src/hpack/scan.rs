//! Reading a block without dynamic entries, field by field and in place.

use super::{FIELD_OVERHEAD_BYTES, Fault, KnownName, Text, Word, huffman, integer, statics};

/// What a block may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLimits {
    /// The size of all fields, each counted as its decoded name and value and 32 bytes (RFC 9113, section 6.5.2).
    pub header_list_bytes_max: u32,
    /// Fields of one list.
    pub fields_max: u32,
}

/// One field of a block.
#[derive(Debug, Clone, Copy)]
pub struct Field<'b> {
    /// Its name, as far as it matters here.
    pub known: KnownName,
    /// Its name.
    pub name: Text<'b>,
    /// Its value.
    pub value: Text<'b>,
    /// The whole field as it stands in the block: a copy of it is the same field in any other block.
    pub bytes: &'b [u8],
    /// Where `bytes` begins in [`Fields::block`], so that neighbours can be copied at once.
    pub at: usize,
}

/// The fields of a block, each checked as RFC 9113, section 8.2.1, asks. What depends on the message, such as the order of pseudo-header
/// fields, is the caller's. Ends after the first fault.
#[derive(Debug, Clone)]
pub struct Fields<'b> {
    block: &'b [u8],
    rest: &'b [u8],
    /// What the list may still take.
    list_bytes_left: usize,
    fields_left: u32,
    /// Dynamic table size updates may come only before the first field, and two at most (RFC 7541, section 4.2).
    updates_left: u8,
}

/// Values that need no look at their bytes; they come with most calls.
const TRAILERS: Word = Word::new("trailers");
const GRPC: Word = Word::new("application/grpc");

impl<'b> Fields<'b> {
    /// The fields of a block from a peer whose dynamic table has the size 0.
    #[inline]
    pub(super) fn new(block: &'b [u8], limits: &BlockLimits) -> Self {
        Self {
            block,
            rest: block,
            list_bytes_left: limits.header_list_bytes_max as usize,
            fields_left: limits.fields_max,
            updates_left: 2,
        }
    }

    /// The block that [`Field::at`] counts in.
    pub const fn block(&self) -> &'b [u8] {
        self.block
    }

    #[inline]
    fn step(&mut self) -> Result<Option<Field<'b>>, Fault> {
        loop {
            let before = self.rest;
            let Some((&first, rest)) = before.split_first() else { return Ok(None) };
            self.rest = rest;
            if first & 0xe0 == 0x20 {
                self.update(first)?;
                continue;
            }
            self.updates_left = 0;
            let (known, name, value) = if first & 0x80 != 0 { self.indexed(first)? } else { self.literal(first)? };
            let bytes = before.get(..before.len() - self.rest.len()).unwrap_or_default();
            self.count(name, value)?;
            return Ok(Some(Field { known, name, value, bytes, at: self.block.len() - before.len() }));
        }
    }

    #[cold]
    fn update(&mut self, first: u8) -> Result<(), Fault> {
        self.updates_left =
            self.updates_left.checked_sub(1).ok_or(Fault::Compression("a table size update that is out of place"))?;
        match integer::read(first, 5, &mut self.rest)? {
            0 => Ok(()),
            _ => Err(Fault::Compression("a table size update above SETTINGS_HEADER_TABLE_SIZE")),
        }
    }

    #[inline]
    fn indexed(&mut self, first: u8) -> Result<(KnownName, Text<'b>, Text<'b>), Fault> {
        let &(name, value, known) = self.entry(first, 7)?;
        Ok((known, Text::of_plain(name.as_bytes()), Text::of_plain(value.as_bytes())))
    }

    #[inline]
    fn literal(&mut self, first: u8) -> Result<(KnownName, Text<'b>, Text<'b>), Fault> {
        let prefix_bits = if first & 0x40 != 0 { 6 } else { 4 };
        let (known, name) = if first & ((1 << prefix_bits) - 1) == 0 {
            let (raw, coded) = string(&mut self.rest)?;
            literal_name(raw, coded)?
        } else {
            let &(name, _, known) = self.entry(first, prefix_bits)?;
            (known, Text::of_plain(name.as_bytes()))
        };
        let (raw, coded) = string(&mut self.rest)?;
        let well_known = match known {
            KnownName::Te => Some(&TRAILERS),
            KnownName::ContentType => Some(&GRPC),
            _ => None,
        };
        Ok((known, name, literal_value(raw, coded, well_known)?))
    }

    #[inline]
    fn entry(&mut self, first: u8, prefix_bits: u32) -> Result<&'static statics::Entry, Fault> {
        let index = integer::read(first, prefix_bits, &mut self.rest)?;
        statics::entry(index as usize).ok_or(Fault::Compression("an index outside the tables"))
    }

    #[inline]
    fn count(&mut self, name: Text<'_>, value: Text<'_>) -> Result<(), Fault> {
        self.fields_left = self.fields_left.checked_sub(1).ok_or(Fault::TooManyFields)?;
        let bytes = name.len() + value.len() + FIELD_OVERHEAD_BYTES;
        self.list_bytes_left = self.list_bytes_left.checked_sub(bytes).ok_or(Fault::ListTooLarge)?;
        Ok(())
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<Field<'b>, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let stepped = self.step();
        if stepped.is_err() {
            self.rest = &[];
        }
        stepped.transpose()
    }
}

impl std::iter::FusedIterator for Fields<'_> {}

/// Takes a string off `rest`: its bytes as they stand, and whether they are in Huffman coding.
#[inline]
pub(super) fn string<'b>(rest: &mut &'b [u8]) -> Result<(&'b [u8], bool), Fault> {
    let Some((&first, mut after)) = rest.split_first() else {
        return Err(Fault::Compression("a block that ends within a field"));
    };
    let bytes = integer::read(first, 7, &mut after)? as usize;
    let (raw, after) = after.split_at_checked(bytes).ok_or(Fault::Compression("a block that ends within a string"))?;
    *rest = after;
    Ok((raw, first & 0x80 != 0))
}

const BAD_NAME: Fault = Fault::Malformed("a field name that is no lower-case token");
const BAD_VALUE: Fault = Fault::Malformed("a field value with a control character, or with space around it");

#[inline]
fn literal_name(raw: &[u8], coded: bool) -> Result<(KnownName, Text<'_>), Fault> {
    if !coded {
        let known = KnownName::of_plain(raw);
        let unknown = matches!(known, KnownName::Other | KnownName::ChaparOther);
        if unknown && (raw.is_empty() || raw.iter().any(|&byte| huffman::class(byte) & huffman::NOT_IN_NAME != 0)) {
            return Err(BAD_NAME);
        }
        return Ok((known, Text::of_plain(raw)));
    }
    if let Some((known, bytes)) = KnownName::of_huffman(raw) {
        return Ok((known, Text::of_huffman(raw, bytes)));
    }
    let looked = huffman::look(raw)?;
    if looked.bytes == 0 || looked.classes & huffman::NOT_IN_NAME != 0 {
        return Err(BAD_NAME);
    }
    Ok((KnownName::by_coded_beginning(raw), Text::of_huffman(raw, looked.bytes)))
}

#[inline]
fn literal_value<'b>(raw: &'b [u8], coded: bool, well_known: Option<&Word>) -> Result<Text<'b>, Fault> {
    if !coded {
        let bad = raw.iter().fold(false, |bad, &byte| bad | (byte < b' ' && byte != b'\t') | (byte == 0x7f));
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if bad || blank(raw.first()) || blank(raw.last()) {
            return Err(BAD_VALUE);
        }
        return Ok(Text::of_plain(raw));
    }
    if let Some(word) = well_known
        && raw == word.huffman()
    {
        return Ok(Text::of_huffman(raw, word.plain().len() as u32));
    }
    let looked = huffman::look(raw)?;
    // The codes of space and tab, of 6 and 24 bits.
    let begins_blank = matches!(raw, [first, ..] if first >> 2 == 0b01_0100) || raw.starts_with(&[0xff, 0xff, 0xea]);
    if looked.classes & huffman::NOT_IN_VALUE != 0 || begins_blank || matches!(looked.last, b' ' | b'\t') {
        return Err(BAD_VALUE);
    }
    Ok(Text::of_huffman(raw, looked.bytes))
}
