//! What can be wrong with a header block.

use std::fmt;

use crate::frame::{ErrorCode, Violation};

/// Why a block cannot be used, by who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The block cannot be decoded: both ends may disagree about the table from now on, so the connection ends
    /// (RFC 9113, section 4.3).
    Compression(&'static str),
    /// A field that HTTP/2 forbids: the message is malformed and its stream ends (RFC 9113, section 8.2.1).
    Malformed(&'static str),
    /// The fields are larger than [`super::BlockLimits::header_list_bytes_max`].
    ListTooLarge,
    /// More fields than [`super::BlockLimits::fields_max`].
    TooManyFields,
}

impl Fault {
    /// What the fault leads to where the caller has no better answer.
    pub const fn violation(self) -> Violation {
        match self {
            Self::Compression(why) => Violation::connection(ErrorCode::COMPRESSION_ERROR, why),
            Self::Malformed(why) => Violation::stream(ErrorCode::PROTOCOL_ERROR, why),
            Self::ListTooLarge => {
                Violation::stream(ErrorCode::ENHANCE_YOUR_CALM, "header list above SETTINGS_MAX_HEADER_LIST_SIZE")
            }
            Self::TooManyFields => Violation::stream(ErrorCode::ENHANCE_YOUR_CALM, "too many header fields"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.violation().fmt(f)
    }
}

impl std::error::Error for Fault {}
