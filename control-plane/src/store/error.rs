//! What can go wrong with a database.

use std::{error::Error, fmt, io, path::PathBuf};

use tonic::Code;

use crate::problem::{Problem, WithSources};

/// What a database's own library says.
pub type Source = Box<dyn Error + Send + Sync>;

/// The store failed; the operator of the control plane must act.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no file, and none can be made.
    #[error("cannot make the database {}; check that stateDir exists, is writable and has space", file.display())]
    Make {
        /// The database.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is there.
    #[error("cannot open the database {}; check that stateDir exists, is writable and has space", file.display())]
    Open {
        /// The database.
        file: PathBuf,
        /// What the library says.
        source: Source,
    },
    /// The tables are not those that this program knows a way from.
    #[error("cannot bring the tables of {} up to date; was it written by a newer chapar-control-plane?", file.display())]
    Migrate {
        /// The database.
        file: PathBuf,
        /// What the library says.
        source: Source,
    },
    /// What is stored is not what this program writes.
    #[error("the stored {what} is broken: {why}; restore the database from a backup")]
    Broken {
        /// What it is of.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A statement failed.
    #[error("the database failed")]
    Failed(#[source] Source),
    /// A statement on the ledger's file failed.
    #[error("the ledger's file failed")]
    Ledger(#[source] Source),
    /// The machine cannot keep what is written to a file, which itself is whole: nothing was changed, and it can be tried again once
    /// that is mended.
    #[error("the {file} cannot be written: {shortage}")]
    Unwritable {
        /// "database" or "ledger".
        file: &'static str,
        /// What the machine lacks.
        shortage: Shortage,
        /// What the library says.
        source: Source,
    },
}

/// What a machine lacks that a file on it cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Room on the disk.
    Full,
    /// A disk that does as it is told; also how a quota that is spent shows itself.
    Broken,
    /// A disk that may be written.
    ReadOnly,
    /// Memory.
    Memory,
}

impl Shortage {
    /// What SQLite's result code says of the machine; `None`: nothing. Extended codes have the primary one in their low byte
    /// (<https://sqlite.org/rescode.html>).
    pub(super) const fn told_by(code: i32) -> Option<Self> {
        match code & 0xff {
            7 => Some(Self::Memory),
            8 => Some(Self::ReadOnly),
            10 | 14 => Some(Self::Broken),
            13 => Some(Self::Full),
            _ => None,
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk of stateDir is full; make room on it",
            Self::Broken => "the disk of stateDir fails, or a quota on it is spent; look into the system's log",
            Self::ReadOnly => "the disk of stateDir is read-only; see why, and mount it for writing",
            Self::Memory => "no memory is left; give the process more",
        })
    }
}

impl StoreError {
    /// What is stored is not what this program writes.
    pub fn broken(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Broken { what: what.into(), why: why.to_string() }
    }

    /// The same error of a write that several waited for.
    pub(crate) fn again(&self) -> Self {
        let source = || self.source().map_or_else(|| self.to_string(), ToString::to_string).into();
        match self {
            Self::Unwritable { file, shortage, .. } => Self::Unwritable { file, shortage: *shortage, source: source() },
            _ => Self::Ledger(source()),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let StoreError::Unwritable { file, shortage, .. } = &error else { return Self::internal(&error) };
        tracing::error!(error = %WithSources(&error), "a call failed: nothing was changed");
        let message = format!(
            "the control plane's {file} cannot be written, and nothing was changed: its operator must act ({shortage}); \
             ask again afterwards"
        );
        Self::new(Code::Unavailable, "STORE_UNWRITABLE", message)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error().and_then(|told| Shortage::told_by(told.extended_code)) {
            Some(shortage) => Self::Unwritable { file: "ledger", shortage, source: error.into() },
            None => Self::Ledger(error.into()),
        }
    }
}
