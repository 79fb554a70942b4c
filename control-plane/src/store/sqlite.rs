//! SQLite, embedded: many readers, one writer at a time, durable before a commit returns.

mod agencies;
mod audit;
mod certificates;
mod changes;
mod generations;
mod inquiries;
mod passports;
mod policy;
mod registrations;
mod sidecars;
mod subject_keys;
#[cfg(test)]
mod tests;
mod tokens;

use std::{
    fs::OpenOptions,
    ops::{Deref, DerefMut},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{
    ColumnIndex, Connection as _, Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::{
    error::{Shortage, StoreError},
    health::Health,
    seam::{Database, Read, Write},
};

/// Every table's history, embedded.
static MIGRATIONS: Migrator = sqlx::migrate!("src/store/sqlite/migrations");

/// Connections that read at the same time; each is one thread.
const READERS_MAX: u32 = 8;

/// How long a statement waits for the database file before it fails, in seconds. Only another process can hold it: within
/// this one writers queue.
const BUSY_WAIT_S: u64 = 10;

/// How long a writer queues for its turn, in seconds, before the call fails as overloaded.
const WRITER_WAIT_S: u64 = 30;

/// The file, and the connections to it.
#[derive(Debug)]
pub(super) struct SqliteDatabase {
    readers: SqlitePool,
    writer: SqlitePool,
    /// The writer's connection had a write that was not kept. SQLite itself undoes a transaction when its disk is full, and sqlx
    /// 0.9.0 then believes itself in it for ever: such a connection is not used again.
    suspect: Arc<AtomicBool>,
    health: Health,
}

impl SqliteDatabase {
    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    pub(super) async fn open(file: &Path) -> Result<Self, StoreError> {
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
        let cannot_open = |source: sqlx::Error| StoreError::Open { file: file.to_owned(), source: source.into() };
        let suspect = Arc::new(AtomicBool::new(false));
        let unkept = suspect.clone();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(WRITER_WAIT_S))
            .after_release(move |conn, _| {
                let unkept = unkept.clone();
                Box::pin(async move {
                    // Whatever is still to be undone is done before the answer.
                    conn.ping().await?;
                    Ok(!unkept.swap(false, Ordering::AcqRel) && !conn.is_in_transaction())
                })
            })
            .connect_with(options.clone())
            .await
            .map_err(cannot_open)?;
        number_without_gaps(&writer).await?;
        let not_migrated =
            |source: sqlx::migrate::MigrateError| StoreError::Migrate { file: file.to_owned(), source: source.into() };
        MIGRATIONS.run(&writer).await.map_err(not_migrated)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(cannot_open)?;
        Ok(Self { readers, writer, suspect, health: Health::of("database") })
    }
}

#[async_trait]
impl Database for SqliteDatabase {
    async fn reader(&self) -> Result<Box<dyn Read>, StoreError> {
        Ok(Box::new(Session(self.readers.acquire().await?)))
    }

    async fn snapshot(&self) -> Result<Box<dyn Read>, StoreError> {
        Ok(Box::new(Session(self.readers.begin().await?)))
    }

    async fn write(&self) -> Result<Box<dyn Write>, StoreError> {
        // IMMEDIATE takes the lock at once: a transaction that reads first and writes later could not be waited for.
        let unkept = Unkept(self.suspect.clone());
        match self.writer.begin_with("BEGIN IMMEDIATE").await {
            Ok(tx) => Ok(Box::new(Session(Writing { unkept, tx, health: self.health.clone() }))),
            // Nobody failed: others write.
            Err(error @ sqlx::Error::PoolTimedOut) => {
                unkept.forgive();
                Err(error.into())
            }
            Err(error) => Err(self.health.noting(error.into())),
        }
    }

    fn health(&self) -> &Health {
        &self.health
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    #[cfg(test)]
    async fn sql(&self, statement: &str) -> Result<Vec<Vec<String>>, StoreError> {
        let statement = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
        let rows = statement.fetch_all(&self.writer).await?;
        Ok(rows.iter().map(tests::texts).collect())
    }
}

/// Statements on one connection, each on its own or all in one transaction.
struct Session<C>(C);

/// The transaction of a write.
struct Writing {
    /// Dropped before the transaction gives its connection back.
    unkept: Unkept,
    tx: Transaction<'static, Sqlite>,
    health: Health,
}

/// Marks the writer's connection as one that is not used again, unless the write was kept.
struct Unkept(Arc<AtomicBool>);

impl Unkept {
    fn forgive(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unkept {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.tx
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }
}

impl<C: DerefMut<Target = SqliteConnection>> Session<C> {
    fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> Read for Session<C> {
    async fn revision(&mut self) -> Result<u64, StoreError> {
        let held: i64 = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'revision'").fetch_one(self.conn()).await?;
        Ok(u64::try_from(held).unwrap_or_default())
    }
}

#[async_trait]
impl Write for Session<Writing> {
    async fn raise_revision(&mut self) -> Result<u64, StoreError> {
        let raised: i64 = sqlx::query_scalar("UPDATE meta SET value = value + 1 WHERE key = 'revision' RETURNING value")
            .fetch_one(self.conn())
            .await?;
        Ok(u64::try_from(raised).unwrap_or_default())
    }

    async fn touch(&mut self) -> Result<(), StoreError> {
        // A value that stays would not be written.
        let statement = "INSERT INTO meta (key, value) VALUES ('tried', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1";
        sqlx::query(statement).execute(self.conn()).await?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Writing { unkept, tx, health } = self.0;
        match tx.commit().await {
            Ok(()) => {
                unkept.forgive();
                Ok(())
            }
            Err(error) => Err(health.noting(error.into())),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|told| told.code()).and_then(|code| code.parse().ok());
        match code.and_then(Shortage::told_by) {
            Some(shortage) => Self::Unwritable { file: "database", shortage, source: error.into() },
            None => Self::Failed(error.into()),
        }
    }
}

/// The instant in a column of Unix milliseconds.
fn instant(row: &SqliteRow, column: impl ColumnIndex<SqliteRow>) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_unix_ms(row.try_get(column)?))
}

/// The same, of a column that may be NULL.
fn instant_if_any(row: &SqliteRow, column: impl ColumnIndex<SqliteRow>) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_unix_ms))
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Former number, description and present number of each migration whose number changed, in the order in which the former ones free
/// the present ones.
const RENUMBERED: [(i64, &str, i64); 8] = [
    (10, "policy", 4),
    (11, "base databases", 5),
    (12, "registry", 6),
    (20, "sidecars", 7),
    (21, "ledger", 8),
    (22, "forgetting", 9),
    (23, "subjects", 10),
    (24, "ledger file", 11),
];

/// Does nothing to a database that is new or has the present numbers: number and description must both be the former ones.
pub(super) async fn number_without_gaps(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let migrated: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_optional(&mut *tx)
            .await?;
    if migrated.is_none() {
        return Ok(());
    }
    for (former, description, present) in RENUMBERED {
        sqlx::query("UPDATE _sqlx_migrations SET version = $3 WHERE version = $1 AND description = $2")
            .bind(former)
            .bind(description)
            .bind(present)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}
