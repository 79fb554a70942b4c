//! The dynamic table of a peer, while it has one (RFC 7541, sections 2.3 and 4).

mod table;

use super::scan::string;
use super::{BlockLimits, FIELD_OVERHEAD_BYTES, Fault, Fields, TABLE_BYTES_MAX_DEFAULT, huffman, integer, statics, write};
use table::{Entry, Table};

/// Follows the dynamic table of one peer. It must see every block of the connection, in order, also those nobody wants to read.
///
/// Once the peer has acknowledged our SETTINGS_HEADER_TABLE_SIZE of 0 and emptied its table, blocks pass through untouched.
#[derive(Debug)]
pub struct Decoder {
    /// None where the peer's table can never hold anything again.
    table: Option<Box<Table>>,
    /// The size up to which the peer may set its table.
    table_bytes_max: u32,
}

impl Default for Decoder {
    /// For a new connection.
    fn default() -> Self {
        Self::new(TABLE_BYTES_MAX_DEFAULT)
    }
}

impl Decoder {
    /// For a peer whose table may hold `table_bytes_max` until it acknowledges that it may have none; [`TABLE_BYTES_MAX_DEFAULT`] on a
    /// new connection.
    pub fn new(table_bytes_max: u32) -> Self {
        Self { table: Some(Box::new(Table::new(table_bytes_max))), table_bytes_max }
    }

    /// The peer acknowledged our SETTINGS_HEADER_TABLE_SIZE of 0.
    ///
    /// RFC 9113, section 4.3.1, says that its next block must begin with a table size update. One whose table is empty is let off:
    /// encoders without a table send none, and nothing can be misunderstood.
    pub fn acknowledged_no_table(&mut self) {
        self.table_bytes_max = 0;
        self.drop_ended_table();
    }

    /// The fields of a whole block. While the peer has a table, they are read from a copy in `scratch`, whose content is lost, in which
    /// every dynamic entry stands as a literal; else from `block` itself.
    ///
    /// # Errors
    ///
    /// The block breaks the coding, so the connection must end; or its fields are beyond the limits, in which case the table was
    /// followed to the block's end, and only the message is lost. Further faults come from the fields.
    #[inline]
    pub fn fields<'b>(&mut self, block: &'b [u8], scratch: &'b mut Vec<u8>, limits: &BlockLimits) -> Result<Fields<'b>, Fault> {
        let Some(table) = &mut self.table else { return Ok(Fields::new(block, limits)) };
        scratch.clear();
        let mut flattening = Flattening {
            table,
            table_bytes_max: self.table_bytes_max,
            out: scratch,
            expanded_bytes_left: limits.header_list_bytes_max as usize,
            is_too_large: false,
        };
        flattening.block(block)?;
        let is_too_large = flattening.is_too_large;
        self.drop_ended_table();
        if is_too_large { Err(Fault::ListTooLarge) } else { Ok(Fields::new(scratch, limits)) }
    }

    fn drop_ended_table(&mut self) {
        if self.table_bytes_max == 0 && self.table.as_ref().is_some_and(|table| table.is_empty()) {
            self.table = None;
        }
    }
}

/// A block on its way to become one without dynamic entries.
struct Flattening<'d> {
    table: &'d mut Table,
    table_bytes_max: u32,
    out: &'d mut Vec<u8>,
    /// What dynamic entries may still add to the list: a few bytes of a block can name much.
    expanded_bytes_left: usize,
    /// The rest is followed for the table's sake, but not written.
    is_too_large: bool,
}

impl Flattening<'_> {
    fn block(&mut self, block: &[u8]) -> Result<(), Fault> {
        let mut rest = self.updates(block)?;
        if self.table.bytes_max() > self.table_bytes_max {
            return Err(Fault::Compression("no table size update after a smaller SETTINGS_HEADER_TABLE_SIZE"));
        }
        while let Some((&first, after)) = rest.split_first() {
            let before = rest;
            rest = after;
            match first {
                0x80.. => self.indexed(first, before, &mut rest)?,
                0x40.. => self.literal(first, 6, before, &mut rest)?,
                0x20.. => return Err(Fault::Compression("a table size update that is out of place")),
                _ => self.literal(first, 4, before, &mut rest)?,
            }
        }
        Ok(())
    }

    /// Takes the table size updates off the beginning of the block.
    fn updates<'b>(&mut self, mut block: &'b [u8]) -> Result<&'b [u8], Fault> {
        for _ in 0..2 {
            let Some((&first, mut rest)) = block.split_first() else { break };
            if first & 0xe0 != 0x20 {
                break;
            }
            let bytes_max = integer::read(first, 5, &mut rest)?;
            if bytes_max > self.table_bytes_max {
                return Err(Fault::Compression("a table size update above SETTINGS_HEADER_TABLE_SIZE"));
            }
            self.table.resize(bytes_max);
            block = rest;
        }
        Ok(block)
    }

    fn indexed(&mut self, first: u8, before: &[u8], rest: &mut &[u8]) -> Result<(), Fault> {
        let index = integer::read(first, 7, rest)? as usize;
        if statics::entry(index).is_some() {
            self.copy(before, rest);
            return Ok(());
        }
        let entry = dynamic(self.table, index)?;
        if take(&mut self.expanded_bytes_left, &mut self.is_too_large, entry.counted_bytes()) {
            write::put_literal(self.out, entry.name(), entry.value());
        }
        Ok(())
    }

    fn literal(&mut self, first: u8, prefix_bits: u32, before: &[u8], rest: &mut &[u8]) -> Result<(), Fault> {
        let index = integer::read(first, prefix_bits, rest)? as usize;
        let mut text = Vec::new();
        let mut is_dynamic = false;
        if index == 0 {
            let (raw, coded) = string(rest)?;
            decode(raw, coded, &mut text)?;
        } else if let Some((name, ..)) = statics::entry(index) {
            text.extend_from_slice(name.as_bytes());
        } else {
            text.extend_from_slice(dynamic(self.table, index)?.name());
            is_dynamic = true;
        }
        let (name_bytes, value) = (text.len(), *rest);
        let (raw, coded) = string(rest)?;
        if !is_dynamic {
            self.copy(before, rest);
        } else if take(&mut self.expanded_bytes_left, &mut self.is_too_large, name_bytes + FIELD_OVERHEAD_BYTES) {
            self.out.push(first & 0x10);
            write::put_string(self.out, &text);
            self.out.extend_from_slice(value.get(..value.len() - rest.len()).unwrap_or_default());
        }
        decode(raw, coded, &mut text)?;
        if first & 0x40 != 0 {
            self.table.insert(Entry::new(text, name_bytes));
        }
        Ok(())
    }

    /// Copies a field that uses no dynamic entry: from the beginning of `before` to the beginning of `rest`.
    fn copy(&mut self, before: &[u8], rest: &[u8]) {
        if !self.is_too_large {
            self.out.extend_from_slice(before.get(..before.len() - rest.len()).unwrap_or_default());
        }
    }
}

fn dynamic(table: &Table, index: usize) -> Result<&Entry, Fault> {
    let nth = index.checked_sub(statics::ENTRIES + 1);
    nth.and_then(|nth| table.entry(nth)).ok_or(Fault::Compression("an index outside the tables"))
}

fn decode(raw: &[u8], coded: bool, text: &mut Vec<u8>) -> Result<(), Fault> {
    if coded {
        return huffman::decode(raw, text);
    }
    text.extend_from_slice(raw);
    Ok(())
}

/// Whether `bytes` more may be written.
fn take(bytes_left: &mut usize, is_too_large: &mut bool, bytes: usize) -> bool {
    match bytes_left.checked_sub(bytes) {
        Some(left) if !*is_too_large => *bytes_left = left,
        _ => *is_too_large = true,
    }
    !*is_too_large
}
