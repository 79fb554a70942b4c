//! Why bytes are no passport.

use std::fmt;

use super::limits::{
    DESCRIPTOR_SET_BYTES_MAX, ELEMENTS_MAX, FILES_MAX, FULL_NAME_BYTES_MAX, GAPS_MAX, INQUIRIES_MAX, ITEMS_MAX, RECORDS_MAX,
    RESERVATIONS_MAX,
};

/// Why a descriptor set was not accepted as a passport. The agency that made the set must act in every case.
#[derive(Debug, thiserror::Error)]
pub enum PassportError {
    /// The bytes cannot be relied on: make the descriptor set again.
    #[error("the descriptor set cannot be used")]
    Malformed(#[from] Malformed),
    /// The description has gaps: annotate what is listed.
    #[error("the passport is incomplete: {}", Summary(gaps, *more))]
    Incomplete {
        /// In the order of the descriptor set; never empty.
        gaps: Vec<Gap>,
        /// How many more there are than are listed.
        more: usize,
    },
}

/// What is wrong with the bytes.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("it has {bytes} bytes; at most {DESCRIPTOR_SET_BYTES_MAX} are read")]
    TooLarge { bytes: usize },
    #[error("it is no serialised google.protobuf.FileDescriptorSet")]
    Undecodable(#[source] prost::DecodeError),
    #[error("it has {files} files; at most {FILES_MAX} are read")]
    TooManyFiles { files: usize },
    #[error("{name:?}, declared in {scope:?}, is no protobuf name, or its full name has more than {FULL_NAME_BYTES_MAX} bytes")]
    Name { scope: String, name: String },
    #[error("it holds more than {RECORDS_MAX} records")]
    TooManyRecords,
    #[error("it declares more than {ELEMENTS_MAX} elements")]
    TooManyElements,
    #[error("{element} has {reservations} reserved names and ranges; at most {RESERVATIONS_MAX} are read")]
    TooManyReservations { element: String, reservations: usize },
    #[error("it describes {inquiries} inquiries; at most {INQUIRIES_MAX} are read")]
    TooManyInquiries { inquiries: usize },
    #[error("its documents have more than {ITEMS_MAX} data items in all")]
    TooManyItems,
    #[error("{file} is written in the syntax {syntax:?}; proto2 and proto3 are read")]
    Syntax { file: String, syntax: String },
    #[error("it has two files named {file:?}")]
    RepeatedFile { file: String },
    #[error("{file} marks an import as public or weak that it does not have")]
    ImportIndex { file: String },
    #[error("{file} imports itself, by way of others or directly")]
    ImportCycle { file: String },
    #[error("its files do not fit together (all imports must be included)")]
    Inconsistent(#[source] prost_reflect::DescriptorError),
    #[error("{file} puts declarations into the package google.protobuf, which belongs to protobuf itself")]
    ReservedPackage { file: String },
    #[error("chapar/v1/passport.proto is not in it: import it, annotate the service, and include all imports")]
    OptionsMissing,
    #[error("{element} is not what this exchange knows by that name: {difference}")]
    OptionsForged { element: String, difference: String },
    #[error("{message} is marked as a map entry but is none")]
    MapEntry { message: String },
}

/// One thing that a complete passport says and this one does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Full protobuf name of the element, such as `ir.post.v1.Point.latitude`.
    pub element: String,
    /// What is missing or wrong, and what is expected.
    pub missing: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.element, self.missing)
    }
}

/// Says how many gaps there are, and the first.
struct Summary<'a>(&'a [Gap], usize);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(gaps, more) = self;
        match gaps {
            [] => f.write_str("no gap is listed"),
            [only] => write!(f, "{only}"),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len() + more),
        }
    }
}

/// Collects gaps up to [`GAPS_MAX`], each once.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    listed: Vec<Gap>,
    seen: std::collections::HashSet<(String, String)>,
    more: usize,
}

impl Gaps {
    pub(super) fn add(&mut self, element: &str, missing: impl Into<String>) {
        let missing = missing.into();
        if self.listed.len() >= GAPS_MAX {
            self.more += 1;
        } else if self.seen.insert((element.to_owned(), missing.clone())) {
            self.listed.push(Gap { element: element.to_owned(), missing });
        }
    }

    pub(super) fn none_or_refuse(self) -> Result<(), PassportError> {
        if self.listed.is_empty() {
            return Ok(());
        }
        Err(PassportError::Incomplete { gaps: self.listed, more: self.more })
    }
}
