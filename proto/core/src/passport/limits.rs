//! What a passport may not exceed. Each limit bounds the work that foreign bytes can cause.

/// Bytes of a descriptor set. The contract's figure (`registration.proto`, `passports.proto`).
pub const DESCRIPTOR_SET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Files in a descriptor set: a service with all its imports has some dozens.
pub const FILES_MAX: usize = 512;

/// Annotated methods in a descriptor set.
pub const INQUIRIES_MAX: usize = 1_024;

/// Nested messages from the document down to an item: deeper than any form a clerk can fill in.
pub const DOCUMENT_DEPTH_MAX: usize = 32;

/// Items of one document, counted along every path to them: messages that share parts multiply.
pub const DOCUMENT_ITEMS_MAX: usize = 4_096;

/// Items of all documents of a descriptor set.
pub const ITEMS_MAX: usize = 65_536;

/// Gaps listed; what is beyond them is counted only.
pub const GAPS_MAX: usize = 1_000;

/// Bytes of a title in one language: a line on a screen.
pub const TITLE_BYTES_MAX: usize = 512;

/// Bytes of a kebab-case name: that of a DNS label.
pub const ID_BYTES_MAX: usize = 63;

/// Messages, fields, oneofs, enums, values, services and methods declared in a descriptor set.
pub const ELEMENTS_MAX: usize = 65_536;

/// Bytes of an element's full name; the longest that people can still read.
pub const FULL_NAME_BYTES_MAX: usize = 512;

/// Reserved names and ranges of one message or enum: they are compared each with each.
pub const RESERVATIONS_MAX: usize = 1_024;

/// Length-delimited records in a descriptor set, comments apart: more than 4 MiB of real declarations hold, and so
/// few that decoding them takes some 200 MB at the worst.
pub const RECORDS_MAX: usize = 1 << 19;

/// How deep records are counted: as deep as the decoder goes (prost's recursion limit).
pub(super) const SCAN_DEPTH_MAX: usize = 100;
