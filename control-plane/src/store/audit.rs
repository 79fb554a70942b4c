//! What the audit holds, and the append to it: within the write that it tells of.

use sqlx::SqliteConnection;

use super::StoreError;

/// One line of the audit, before it is written.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// "local:uid=0", an admin's or a sidecar's SPIFFE ID, the address of one who did not identify itself, or "system".
    pub actor: String,
    /// Such as "policy.apply", "token.create", "enrolment.refuse".
    pub action: &'static str,
    /// What it was done to.
    pub object: String,
    pub succeeded: bool,
    /// Stable reason of a refusal; empty when it succeeded.
    pub reason: String,
    /// A JSON object with the particulars; never a secret, never any part of an exchanged message.
    pub details: serde_json::Value,
}

/// The actor of what the control plane does by itself.
pub const SYSTEM: &str = "system";

/// Longest object or reason that is kept, in bytes: both may hold what a stranger sent.
const TEXT_BYTES_MAX: usize = 512;

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

/// Appends the entry within the caller's transaction.
///
/// # Errors
/// When the store cannot be written.
pub(super) async fn append(conn: &mut SqliteConnection, at_ms: i64, entry: &AuditEntry) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit (at_ms, actor, action, object, succeeded, reason, details) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(at_ms)
    .bind(shortened(&entry.actor))
    .bind(entry.action)
    .bind(shortened(&entry.object))
    .bind(i64::from(entry.succeeded))
    .bind(shortened(&entry.reason))
    .bind(entry.details.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}
