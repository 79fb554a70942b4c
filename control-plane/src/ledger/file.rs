//! The ledger's file: an SQLite database of its own, so that recording calls and changing policy never wait for each other.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::store::StoreError;

/// What the file's tables are; `PRAGMA user_version` says which version of it a file has.
const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 2;

/// What version 2 has that version 1 had not. The empty word of an older file may have any number but 1, which its first reporter has:
/// the index is larger there, and finds the same.
const SINCE_1: &str = "CREATE INDEX calls_by_reason ON calls (reason) WHERE reason <> 1";

/// Connections that read at the same time; each is one thread while it does.
const READERS_MAX: usize = 4;

/// How long a statement waits for the file before it fails. Only another process can hold it.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Memory for pages of the file, in KiB: the writer's holds the inner pages of all indexes of some ten million calls.
const WRITER_CACHE_KIB: i64 = 128 * 1024;
const READER_CACHE_KIB: i64 = 16 * 1024;

/// Pages in the write-ahead log after which they are moved into the file: 32 MiB. Fewer would move the same pages more often.
const CHECKPOINT_PAGES: i64 = 8_192;

/// Statements that a connection keeps prepared.
const STATEMENTS_MAX: usize = 64;

/// Opens the file for writing, makes it if it is not there.
///
/// # Errors
/// When it cannot be opened, or was written by a newer version of this program.
pub(super) fn writer(file: &Path) -> Result<Connection, StoreError> {
    let cannot_make = |source| StoreError::Make { file: file.to_owned(), source };
    // The file's companions take over its mode.
    OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(cannot_make)?;
    let mut conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    // FULL: what was acknowledged survives a power cut. Commits are grouped, so that one sync serves many reports.
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        SCHEMA_VERSION => {}
        0 | 1 => {
            let tx = conn.transaction()?;
            tx.execute_batch(if version == 0 { SCHEMA } else { SINCE_1 })?;
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            tx.commit()?;
        }
        other => {
            let why = format!("its version is {other}, and this program knows {SCHEMA_VERSION}");
            return Err(StoreError::Broken { what: format!("ledger {}", file.display()), why });
        }
    }
    Ok(conn)
}

/// Connections to read with; they see what is committed. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    file: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn of(file: &Path) -> Self {
        Self { file: Arc::new(file.to_owned()), idle: Arc::default(), turns: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// Reads on a thread of its own.
    ///
    /// # Errors
    /// What `read` fails for, or that the file cannot be opened.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = |_| StoreError::Broken { what: "ledger".into(), why: "it is closed".into() };
        // Never closed before the ledger is dropped.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(gone)?;
        let readers = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let conn = readers.taken()?;
            let result = read(&conn);
            readers.lock().push(conn);
            drop(turn);
            result
        });
        reading.await.map_err(|error| StoreError::Broken { what: "reading of the ledger".into(), why: error.to_string() })?
    }

    fn taken(&self) -> Result<Connection, StoreError> {
        if let Some(conn) = self.lock().pop() {
            return Ok(conn);
        }
        let conn =
            Connection::open_with_flags(self.file.as_path(), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(BUSY_WAIT)?;
        conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(conn)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A list of idle connections is whole whoever panicked: one is pushed or popped.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
