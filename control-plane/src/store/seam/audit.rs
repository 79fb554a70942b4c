//! The audit: appended to, within the write that it tells of, and never changed.

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::store::error::StoreError;

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

    /// The greatest number that the details of one of these two actions hold under this key. `None`: neither was ever done.
    async fn greatest_audit_detail(&mut self, actions: [&str; 2], key: &str) -> Result<Option<i64>, StoreError>;
}

/// Appending to the audit.
#[async_trait]
pub trait WriteAudit {
    /// Appends the entry; it is kept only if the write is.
    async fn append_audit(&mut self, at: Timestamp, entry: &AuditEntry) -> Result<(), StoreError>;
}
