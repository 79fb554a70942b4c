//! The audit: appended to, within the write that it tells of, and never changed.

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::store::{digest::FieldDigest, error::StoreError};

/// One line of the audit, before it is written.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// "local:uid=0", an admin's or a sidecar's SPIFFE ID, the address of one who did not identify itself, or "system".
    pub actor: String,
    /// Such as "policy.apply", "token.create", "enrolment.refuse".
    pub action: &'static str,
    /// What it was done to.
    pub object: String,
    /// Whether it came to pass.
    pub succeeded: bool,
    /// Stable reason of a refusal; empty when it succeeded.
    pub reason: String,
    /// A JSON object with the particulars; never a secret, never any part of an exchanged message.
    pub details: serde_json::Value,
}

/// The actor of what the control plane does by itself.
pub const SYSTEM: &str = "system";

impl AuditEntry {
    /// Something that was done.
    #[must_use]
    pub fn done(actor: impl Into<String>, action: &'static str, object: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            action,
            object: object.into(),
            succeeded: true,
            reason: String::new(),
            details: serde_json::json!({}),
        }
    }

    /// Something that was refused, for a stable reason.
    #[must_use]
    pub fn refused(actor: impl Into<String>, action: &'static str, object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { succeeded: false, reason: reason.into(), ..Self::done(actor, action, object) }
    }

    /// Adds the particulars, a JSON object.
    #[must_use]
    pub fn with(self, details: serde_json::Value) -> Self {
        Self { details, ..self }
    }
}

/// One line of the audit, as it was written.
#[derive(Clone, Debug)]
pub struct AuditLine {
    /// 1, 2, 3 … in the order of writing.
    pub id: u64,
    /// When it happened.
    pub at: Timestamp,
    /// See [`AuditEntry::actor`].
    pub actor: String,
    /// See [`AuditEntry::action`].
    pub action: String,
    /// See [`AuditEntry::object`].
    pub object: String,
    /// False: it was refused.
    pub succeeded: bool,
    /// See [`AuditEntry::reason`].
    pub reason: String,
    /// A JSON object.
    pub details: String,
    /// See [`AuditLine::linked`], as it was written. `None`: the line is older than the chain.
    pub hash: Option<AuditHash>,
}

/// A hash of the audit's chain.
pub type AuditHash = [u8; 32];

/// What an audit begins from.
pub const AUDIT_BEGINNING: AuditHash = [0; 32];

/// How far the audit has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the newest line. 0: there is none.
    pub id: u64,
    /// Hash of the chain with it.
    pub hash: AuditHash,
}

impl AuditLine {
    /// The chain's hash with this line, after `before`: SHA-256 over "chapar audit v1\n", `before`, and every field, a text
    /// with its length before it, numbers as 8 bytes, all big endian.
    #[must_use]
    pub fn linked(&self, before: &AuditHash) -> AuditHash {
        let mut digest = FieldDigest::of(b"chapar audit v1\n");
        digest.hash(before).number(self.id).number(self.at.unix_ms().unsigned_abs()).number(self.succeeded.into());
        for text in [&self.actor, &self.action, &self.object, &self.reason, &self.details] {
            digest.text(text);
        }
        digest.ended()
    }
}

/// A head as it was signed: the bytes say which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRow {
    /// Number of the newest audit line that it covers.
    pub audit_last: u64,
    /// As it was signed, without the chain of its signer.
    pub signed: Vec<u8>,
    /// SHA-256 of the signer's certificate.
    pub signer: Vec<u8>,
    /// The signer's chain.
    pub chain: Vec<u8>,
}

/// Which lines are wanted; empty and `None` leave none out.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Who did it.
    pub actor: String,
    /// What the action begins with, such as "policy.".
    pub action_prefix: String,
    /// What it was done to.
    pub object: String,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
}

/// Reading the audit.
#[async_trait]
pub trait ReadAudit {
    /// Lines with a lower number than `before`, the newest first.
    async fn audit_lines(&mut self, filter: &AuditFilter, before: i64, limit: i64) -> Result<Vec<AuditLine>, StoreError>;

    /// Lines with a higher number than `after`, the oldest first.
    async fn audit_lines_after(&mut self, after: u64, limit: i64) -> Result<Vec<AuditLine>, StoreError>;

    /// Signed heads that cover more than `after` lines, the oldest first.
    async fn heads_after(&mut self, after: u64, limit: i64) -> Result<Vec<HeadRow>, StoreError>;

    /// The newest signed head.
    async fn newest_head(&mut self) -> Result<Option<HeadRow>, StoreError>;

    /// The greatest number that the details of one of these two actions hold under this key. `None`: neither was ever done.
    async fn greatest_audit_detail(&mut self, actions: [&str; 2], key: &str) -> Result<Option<i64>, StoreError>;
}

/// Appending to the audit.
#[async_trait]
pub trait WriteAudit {
    /// Appends the entry to the chain whose head is `head`, and answers the new head; it is kept only if the write is. The chain goes
    /// on from what is handed in, whatever the table holds: what somebody else put there, or took away, does not fit it.
    async fn append_audit(&mut self, at: Timestamp, entry: &AuditEntry, head: AuditHead) -> Result<AuditHead, StoreError>;

    /// Keeps a signed head.
    async fn keep_head(&mut self, head: &HeadRow) -> Result<(), StoreError>;
}
