//! The file: an SQLite database of its own, so that recording calls and changing policy never wait for each other.

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

/// The history of the file's tables, from the first version on; `PRAGMA user_version` says how many of these a file has seen.
const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/0001_ledger.sql"),
    include_str!("migrations/0002_calls_by_reason.sql"),
    include_str!("migrations/0003_receipt.sql"),
    include_str!("migrations/0004_receipts.sql"),
    include_str!("migrations/0005_head.sql"),
    include_str!("migrations/0006_subject_keys.sql"),
];

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
pub(super) fn open_writer(file: &Path) -> Result<Connection, StoreError> {
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
    migrate(&mut conn, file)?;
    Ok(conn)
}

/// Brings the tables up to date.
fn migrate(conn: &mut Connection, file: &Path) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(missing) = usize::try_from(version).ok().and_then(|seen| MIGRATIONS.get(seen..)) else {
        let why = format!("its version is {version}, and this program knows {known}");
        return Err(StoreError::Broken { what: format!("ledger {}", file.display()), why });
    };
    if missing.is_empty() {
        return Ok(());
    }
    let tx = conn.transaction()?;
    for migration in missing {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", known)?;
    Ok(tx.commit()?)
}

/// Connections to read with; they see what is committed. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    file: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(file: &Path) -> Self {
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
