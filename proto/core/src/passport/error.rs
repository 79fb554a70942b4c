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
    /// More bytes than are read.
    #[error("it has {bytes} bytes; at most {DESCRIPTOR_SET_BYTES_MAX} are read")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// No descriptor set at all.
    #[error("it is no serialised google.protobuf.FileDescriptorSet")]
    Undecodable(#[source] prost::DecodeError),
    /// More files than are read.
    #[error("it has {files} files; at most {FILES_MAX} are read")]
    TooManyFiles {
        /// How many it has.
        files: usize,
    },
    /// A name that protobuf does not have.
    #[error("{name:?}, declared in {scope:?}, is no protobuf name, or its full name has more than {FULL_NAME_BYTES_MAX} bytes")]
    Name {
        /// Where it is declared.
        scope: String,
        /// The name.
        name: String,
    },
    /// More records than can be decoded in bounded memory.
    #[error("it holds more than {RECORDS_MAX} records")]
    TooManyRecords,
    /// More declarations than are read.
    #[error("it declares more than {ELEMENTS_MAX} elements")]
    TooManyElements,
    /// More reservations in one element than are compared.
    #[error("{element} has {reservations} reserved names and ranges; at most {RESERVATIONS_MAX} are read")]
    TooManyReservations {
        /// Full name of the element.
        element: String,
        /// How many it has.
        reservations: usize,
    },
    /// More inquiries than are read.
    #[error("it describes {inquiries} inquiries; at most {INQUIRIES_MAX} are read")]
    TooManyInquiries {
        /// How many it describes.
        inquiries: usize,
    },
    /// More data items than are read.
    #[error("its documents have more than {ITEMS_MAX} data items in all")]
    TooManyItems,
    /// A syntax that is not read, such as an edition.
    #[error("{file} is written in the syntax {syntax:?}; proto2 and proto3 are read")]
    Syntax {
        /// Name of the file.
        file: String,
        /// The syntax that it names.
        syntax: String,
    },
    /// Two files of one name.
    #[error("it has two files named {file:?}")]
    RepeatedFile {
        /// Name of the file.
        file: String,
    },
    /// An import that is marked and not there.
    #[error("{file} marks an import as public or weak that it does not have")]
    ImportIndex {
        /// Name of the file.
        file: String,
    },
    /// Files that import one another in a circle.
    #[error("{file} imports itself, by way of others or directly")]
    ImportCycle {
        /// Name of the file.
        file: String,
    },
    /// Files that refer to what is not there.
    #[error("its files do not fit together (all imports must be included)")]
    Inconsistent(#[source] prost_reflect::DescriptorError),
    /// Declarations in protobuf's own package.
    #[error("{file} puts declarations into the package google.protobuf, which belongs to protobuf itself")]
    ReservedPackage {
        /// Name of the file.
        file: String,
    },
    /// The passport options are not in the set.
    #[error("chapar/v1/passport.proto is not in it: import it, annotate the service, and include all imports")]
    OptionsMissing,
    /// The passport options are not those of this exchange.
    #[error("{element} is not what this exchange knows by that name: {difference}")]
    OptionsForged {
        /// Full name of the element.
        element: String,
        /// What differs.
        difference: String,
    },
    /// A map entry that is none.
    #[error("{message} is marked as a map entry but is none")]
    MapEntry {
        /// Full name of the message.
        message: String,
    },
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

    pub(super) const fn are_none(&self) -> bool {
        self.listed.is_empty()
    }

    pub(super) fn none_or_refuse(self) -> Result<(), PassportError> {
        if self.listed.is_empty() {
            return Ok(());
        }
        Err(PassportError::Incomplete { gaps: self.listed, more: self.more })
    }
}
