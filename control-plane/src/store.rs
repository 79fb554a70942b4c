//! The database: what the exchange knows, behind one small trait a noun. SQL stands in the folder of the database that speaks it,
//! and nowhere else.

mod digest;
mod error;
pub mod health;
pub mod seam;
mod sqlite;
mod stored;

use std::{
    fmt,
    ops::{Deref, DerefMut},
    path::Path,
    sync::Arc,
};

use chapar_core::time::Timestamp;
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use self::{
    error::{Shortage, Source, StoreError},
    health::{Health, Tried},
    seam::{
        AUDIT_BEGINNING, AgencyInStore, AgencyState, AuditEntry, AuditFilter, AuditHash, AuditHead, AuditLine, CertificateFilter,
        CertificateRow, CertificateState, ChangeRow, EndpointInStore, Generation, GenerationKind, GenerationState, HeadRow,
        Holder, InquiryInStore, KeptSubjectKey, OfferedInquiry, PassportFilter, PassportRow, PassportState, PolicyVersion, Read,
        RegistrationRow, RevokedCertificate, RootRotationRow, SYSTEM, SidecarRow, SubjectKeyKind, TokenRow, Write,
    },
};
use self::{seam::Database, sqlite::SqliteDatabase};
use crate::{
    changes::{Changes, InProcess},
    clock::Clock,
};

/// Reads what is committed.
pub type Reader = Box<dyn Read>;

/// The database. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    database: Arc<dyn Database>,
    clock: Clock,
    changes: Arc<dyn Changes>,
    /// Of the audit's chain, as this process knows it: not as the file, which others may have altered, tells it.
    audit_head: Arc<Mutex<AuditHead>>,
}

tokio::task_local! {
    /// Who agreed, as the second person, to what this task carries out.
    static SECOND: String;
}

/// Carries `act` out with the agreement of a second person, whom every audit entry of it names.
pub async fn with_second<T>(second: String, act: impl Future<Output = T>) -> T {
    SECOND.scope(second, act).await
}

/// Who agreed, as the second person, to what this task carries out.
#[must_use]
pub fn second() -> Option<String> {
    SECOND.try_with(Clone::clone).ok()
}

/// Lines of the audit that are read at once while it is gone through.
const AUDIT_LINES_AT_ONCE: i64 = 1_000;

impl Store {
    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version of this program.
    pub async fn open(file: &Path, clock: Clock) -> Result<Self, StoreError> {
        let database: Arc<dyn Database> = Arc::new(SqliteDatabase::open(file).await?);
        let revision = database.reader().await?.revision().await?;
        let audit_head = Arc::new(Mutex::new(head_in(&mut *database.reader().await?).await?));
        Ok(Self { database, clock, changes: Arc::new(InProcess::starting_at(revision)), audit_head })
    }

    /// How far the audit has got, as this process wrote it.
    pub async fn audit_head(&self) -> AuditHead {
        *self.audit_head.lock().await
    }

    /// Reads what is committed, each statement as of its own moment.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn reader(&self) -> Result<Reader, StoreError> {
        self.database.reader().await
    }

    /// Reads what was committed at one moment, so that all that is read agrees.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn snapshot(&self) -> Result<Reader, StoreError> {
        self.database.snapshot().await
    }

    /// Begins a write. Nothing is kept unless it is committed.
    ///
    /// # Errors
    /// When no turn comes in time, or the database cannot be locked.
    pub async fn write(&self) -> Result<Transaction, StoreError> {
        let (clock, changes) = (self.clock.clone(), self.changes.clone());
        let audit_head = self.audit_head.clone();
        Ok(Transaction { write: self.database.write().await?, clock, changes, revision: None, audit_head, audited: None })
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

    /// Where committed changes are announced, and what only one control plane may do is taken.
    #[must_use]
    pub fn changes(&self) -> &dyn Changes {
        &*self.changes
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
        self.reader().await?.revision().await
    }

    /// Closes all connections once their work is done.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Runs any statement, for tests that look behind the traits: its rows, each column as text, bytes as hex.
    #[cfg(test)]
    pub(crate) async fn sql(&self, statement: &str) -> Result<Vec<Vec<String>>, StoreError> {
        self.database.sql(statement).await
    }
}

impl Tried for Store {
    fn health(&self) -> &Health {
        self.database.health()
    }

    async fn try_write(&self) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        tx.touch().await?;
        tx.commit().await?;
        self.health().tried();
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("changes", &self.changes).finish_non_exhaustive()
    }
}

/// One write: all of it, or nothing. It reads as well, and finds what it wrote.
#[must_use = "a write that is not committed is undone"]
pub struct Transaction {
    write: Box<dyn Write>,
    clock: Clock,
    changes: Arc<dyn Changes>,
    revision: Option<u64>,
    audit_head: Arc<Mutex<AuditHead>>,
    /// The chain's head once this write is kept. Held from the first entry until the write has ended.
    audited: Option<(OwnedMutexGuard<AuditHead>, AuditHead)>,
}

impl Transaction {
    /// What it reads, for those who only read.
    pub fn read(&mut self) -> &mut dyn Read {
        &mut *self.write
    }

    /// When this write happens.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The distribution revision that carries this write; asked for again, the same. The commit announces it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn next_revision(&mut self) -> Result<u64, StoreError> {
        if let Some(revision) = self.revision {
            return Ok(revision);
        }
        let revision = self.write.raise_revision().await?;
        self.revision = Some(revision);
        Ok(revision)
    }

    /// Appends to the audit; it is kept only if this write is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn audit(&mut self, mut entry: AuditEntry) -> Result<(), StoreError> {
        let at = self.clock.now();
        if let (Some(second), Some(details)) = (second(), entry.details.as_object_mut()) {
            details.insert("second".to_owned(), second.into());
        }
        let (known, head) = match self.audited.take() {
            Some(audited) => audited,
            // Whoever else holds it has just ended its write: there is one writer at a time.
            None => {
                let known = self.audit_head.clone().lock_owned().await;
                let head = *known;
                (known, head)
            }
        };
        let head = self.write.append_audit(at, &entry, head).await?;
        self.audited = Some((known, head));
        Ok(())
    }

    /// Makes the write durable, then announces its revision if it has one.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was kept.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.write.commit().await?;
        if let Some((mut known, head)) = self.audited {
            *known = head;
        }
        if let Some(revision) = self.revision {
            self.changes.announce(revision);
        }
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = dyn Write;

    fn deref(&self) -> &Self::Target {
        &*self.write
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.write
    }
}

/// The head of the audit's chain as the file tells it: the newest line's, or, where no line is as young as the chain, computed from the
/// first line on.
async fn head_in(reader: &mut dyn Read) -> Result<AuditHead, StoreError> {
    let newest = reader.audit_lines(&AuditFilter::default(), i64::MAX, 1).await?;
    match newest.first() {
        None => return Ok(AuditHead::default()),
        Some(AuditLine { id, hash: Some(hash), .. }) => return Ok(AuditHead { id: *id, hash: *hash }),
        Some(_) => {}
    }
    let mut head = AuditHead::default();
    loop {
        let lines = reader.audit_lines_after(head.id, AUDIT_LINES_AT_ONCE).await?;
        if lines.is_empty() {
            return Ok(head);
        }
        head = lines.iter().fold(head, |head, line| AuditHead { id: line.id, hash: line.linked(&head.hash) });
    }
}

#[cfg(test)]
mod tests;
