//! The embedded database: many readers, one writer at a time, durable before a commit returns.

mod audit;
mod error;

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use sqlx::{
    Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use self::{
    audit::{AuditEntry, SYSTEM},
    error::StoreError,
};
use crate::{changes::Changes, clock::Clock};

/// Every table's history, embedded.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Connections that read at the same time; each is one thread.
const READERS_MAX: u32 = 8;

/// How long a statement waits for the database file before it fails, in seconds. Only another process can hold it: within
/// this one writers queue.
const BUSY_WAIT_S: u64 = 10;

/// How long a writer queues for its turn, in seconds, before the call fails as overloaded.
const WRITER_WAIT_S: u64 = 30;

/// The database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
    clock: Clock,
    changes: Changes,
}

impl Store {
    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version of this program.
    pub async fn open(file: &Path, clock: Clock) -> Result<Self, StoreError> {
        let cannot_make = |source| StoreError::Make { file: file.to_owned(), source };
        // The database's other files take over its mode.
        OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(cannot_make)?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: what the authority issued and what the audit says survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(BUSY_WAIT_S));
        let cannot_open = |source| StoreError::Open { file: file.to_owned(), source };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(WRITER_WAIT_S))
            .connect_with(options.clone())
            .await
            .map_err(cannot_open)?;
        MIGRATIONS.run(&writer).await.map_err(|source| StoreError::Migrate { file: file.to_owned(), source })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(cannot_open)?;
        let revision = revision(&readers).await?;
        Ok(Self { readers, writer, clock, changes: Changes::starting_at(revision) })
    }

    /// Connections to read with; they see what is committed.
    #[must_use]
    pub fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a write. Nothing is kept unless it is committed.
    ///
    /// # Errors
    /// When no turn comes in time, or the file cannot be locked.
    pub async fn write(&self) -> Result<WriteTx, StoreError> {
        // IMMEDIATE takes the lock at once: a transaction that reads first and writes later could not be waited for.
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(WriteTx { tx, clock: self.clock.clone(), changes: self.changes.clone(), revision: None })
    }

    /// Writes one audit entry on its own, for what was refused and so has no transaction of its own.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        tx.audit(entry).await?;
        tx.commit().await
    }

    /// Where committed changes are announced.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The clock that dates what is written.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The newest committed distribution revision.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn revision(&self) -> Result<u64, StoreError> {
        revision(&self.readers).await
    }

    /// Closes all connections once their work is done.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// One write: all of it, or nothing.
#[derive(Debug)]
#[must_use = "a write that is not committed is undone"]
pub struct WriteTx {
    tx: Transaction<'static, Sqlite>,
    clock: Clock,
    changes: Changes,
    revision: Option<u64>,
}

impl WriteTx {
    /// The connection to run statements on; they are part of this write.
    pub fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    /// When this write happens, in Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The distribution revision that carries this write; asked for again, the same. The commit announces it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn next_revision(&mut self) -> Result<u64, StoreError> {
        if let Some(revision) = self.revision {
            return Ok(revision);
        }
        let bumped: i64 = sqlx::query_scalar("UPDATE meta SET value = value + 1 WHERE key = 'revision' RETURNING value")
            .fetch_one(&mut *self.tx)
            .await?;
        let revision = u64::try_from(bumped).unwrap_or_default();
        self.revision = Some(revision);
        Ok(revision)
    }

    /// Appends to the audit; it is kept only if this write is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn audit(&mut self, entry: AuditEntry) -> Result<(), StoreError> {
        let at_ms = self.clock.now_ms();
        audit::append(&mut self.tx, at_ms, &entry).await
    }

    /// Makes the write durable, then announces its revision if it has one.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was kept.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await?;
        if let Some(revision) = self.revision {
            self.changes.announce(revision);
        }
        Ok(())
    }
}

async fn revision(readers: &SqlitePool) -> Result<u64, StoreError> {
    let held: i64 = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'revision'").fetch_one(readers).await?;
    Ok(u64::try_from(held).unwrap_or_default())
}

#[cfg(test)]
mod tests;
