//! What can go wrong with a database.

use std::{error::Error, io, path::PathBuf};

use crate::problem::Problem;

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
}

impl StoreError {
    /// What is stored is not what this program writes.
    pub fn broken(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Broken { what: what.into(), why: why.to_string() }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Ledger(error.into())
    }
}
