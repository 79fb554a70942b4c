//! What can go wrong with the database.

use std::{io, path::PathBuf};

use crate::problem::Problem;

/// The store failed; the operator of the control plane must act.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot make the database {}; check that stateDir exists, is writable and has space", file.display())]
    Make { file: PathBuf, source: io::Error },
    #[error("cannot open the database {}; check that stateDir exists, is writable and has space", file.display())]
    Open { file: PathBuf, source: sqlx::Error },
    #[error("cannot bring the tables of {} up to date; was it written by a newer chapar-control-plane?", file.display())]
    Migrate { file: PathBuf, source: sqlx::migrate::MigrateError },
    /// What is stored is not what this program writes.
    #[error("the stored {what} is broken: {why}; restore the database from a backup")]
    Broken { what: String, why: String },
    #[error("the database failed")]
    Query(#[from] sqlx::Error),
    #[error("the ledger's file failed")]
    Ledger(#[from] rusqlite::Error),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(&error)
    }
}
