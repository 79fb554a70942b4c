//! What the exchange asks of a database: one small trait a noun, and nothing of any database's own.
//!
//! A database stands behind [`Database`]. Whoever reads holds a [`Read`], whoever writes a [`Write`]: all of it, or nothing.
//! What a noun's methods say of errors holds for all of them: the database failed, or holds what this program never wrote.

mod agencies;
mod audit;
mod certificates;
mod changes;
mod generations;
mod inquiries;
mod passports;
mod policy;
mod registrations;
mod subject_keys;
mod tokens;

use async_trait::async_trait;

pub use self::{
    agencies::{AgencyInStore, AgencyState, ReadAgencies, WriteAgencies},
    audit::{AUDIT_BEGINNING, AuditEntry, AuditFilter, AuditHash, AuditHead, AuditLine, HeadRow, ReadAudit, SYSTEM, WriteAudit},
    certificates::{
        CertificateFilter, CertificateRow, CertificateState, Holder, ReadCertificates, RevokedCertificate, WriteCertificates,
    },
    changes::{ChangeRow, ReadChanges, WriteChanges},
    generations::{Generation, GenerationKind, GenerationState, ReadGenerations, RootRotationRow, WriteGenerations},
    inquiries::{InquiryInStore, OfferedInquiry, ReadInquiries, WriteInquiries},
    passports::{OpenPassports, PassportFilter, PassportRow, PassportState, ReadPassports, WritePassports},
    policy::{PolicyVersion, ReadPolicy, WritePolicy},
    registrations::{
        EndpointInStore, ReadRegistrations, ReadSidecars, RegistrationRow, SidecarRow, WriteRegistrations, WriteSidecars,
    },
    subject_keys::{KeptSubjectKey, ReadSubjectKeys, SubjectKeyKind, WriteSubjectKeys},
    tokens::{ReadTokens, TokenRow, WriteTokens},
};
use super::{error::StoreError, health::Health};

/// A database.
#[async_trait]
pub trait Database: Send + Sync {
    /// Reads what is committed, each statement as of its own moment.
    async fn reader(&self) -> Result<Box<dyn Read>, StoreError>;

    /// Reads what was committed at one moment, so that all that is read agrees.
    async fn snapshot(&self) -> Result<Box<dyn Read>, StoreError>;

    /// Begins a write; whoever writes meanwhile waits. Nothing is kept unless it is committed.
    async fn write(&self) -> Result<Box<dyn Write>, StoreError>;

    /// How its writes have gone.
    fn health(&self) -> &Health;

    /// Closes all connections once their work is done.
    async fn close(&self);

    /// Runs any statement, for tests that look behind the seam: its rows, each column as text, bytes as hex.
    #[cfg(test)]
    async fn sql(&self, statement: &str) -> Result<Vec<Vec<String>>, StoreError>;
}

/// What can be read.
#[async_trait]
pub trait Read:
    ReadAgencies
    + ReadAudit
    + ReadCertificates
    + ReadChanges
    + ReadGenerations
    + ReadInquiries
    + ReadPassports
    + ReadPolicy
    + ReadRegistrations
    + ReadSidecars
    + ReadSubjectKeys
    + ReadTokens
    + Send
{
    /// The newest distribution revision.
    async fn revision(&mut self) -> Result<u64, StoreError>;
}

/// What can be written, and read as it will be once that is committed.
#[async_trait]
pub trait Write:
    Read
    + WriteAgencies
    + WriteAudit
    + WriteCertificates
    + WriteChanges
    + WriteGenerations
    + WriteInquiries
    + WritePassports
    + WritePolicy
    + WriteRegistrations
    + WriteSidecars
    + WriteSubjectKeys
    + WriteTokens
{
    /// Raises the distribution revision by one; answers the new one.
    async fn raise_revision(&mut self) -> Result<u64, StoreError>;

    /// Changes something that means nothing, to see whether it can be made durable.
    async fn touch(&mut self) -> Result<(), StoreError>;

    /// Makes everything durable.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}
