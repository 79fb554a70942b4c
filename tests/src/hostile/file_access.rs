//! Somebody who can write the exchange's databases: their triggers are no hindrance to him.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Statements, run on a database behind its owner's back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileAccess {
    /// The database.
    pub file: PathBuf,
    /// SQL, statement by statement.
    pub statements: Vec<String>,
}

impl FileAccess {
    /// How many rows each statement changed.
    ///
    /// # Errors
    /// When the file is not there, or a statement is wrong.
    pub(super) fn run(&self) -> Result<Value> {
        let database = Connection::open(&self.file).context("open the database")?;
        database.busy_timeout(std::time::Duration::from_secs(10))?;
        let mut triggers = database.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'")?;
        let names = triggers.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        drop(triggers);
        for name in names {
            database.execute_batch(&format!("DROP TRIGGER {name}"))?;
        }
        let changed = self.statements.iter().map(|statement| database.execute(statement, []).context(statement.clone()));
        Ok(json!({ "changed": changed.collect::<Result<Vec<_>>>()? }))
    }
}
