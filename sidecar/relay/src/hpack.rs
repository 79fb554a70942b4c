//! Header blocks (HPACK, RFC 7541), read without decoding what nobody asks for.
//!
//! A block that uses no dynamic entry is read in place: [`Fields`] yields each field as slices of the block, with its name classified
//! and its name and value checked, so that it can be copied as it is into a block for the next hop. [`Decoder`] keeps the dynamic table
//! for the blocks that a peer sends before it has acknowledged our SETTINGS_HEADER_TABLE_SIZE of 0, and turns them into blocks without
//! dynamic entries; once the peer's table is gone it hands the block through.
//!
//! Literals with incremental indexing may be copied too: the relay begins its first block on each connection, and the first after it
//! acknowledged a SETTINGS_HEADER_TABLE_SIZE, with [`put_table_size_zero`], so that the receiver's table never holds anything.

mod decoder;
mod fault;
mod huffman;
mod integer;
mod name;
mod scan;
pub mod statics;
#[cfg(test)]
mod tests;
mod text;
mod write;

pub use decoder::Decoder;
pub use fault::Fault;
pub use name::KnownName;
pub use scan::{BlockLimits, Field, Fields};
pub use text::{Text, Word};
pub use write::{put_indexed, put_literal, put_literal_text, put_literal_with, put_static_name, put_table_size_zero};

/// What a field counts beyond its name and value (RFC 7541, section 4.1; RFC 9113, section 6.5.2).
pub const FIELD_OVERHEAD_BYTES: usize = 32;

/// The size of a dynamic table before SETTINGS say otherwise (RFC 9113, section 6.5.2).
pub const TABLE_BYTES_MAX_DEFAULT: u32 = 4_096;
