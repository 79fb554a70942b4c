//! Revoking one certificate.

use sqlx::{Row as _, SqliteConnection};

use super::Authority;
use crate::{problem::Problem, store::AuditEntry, store::StoreError};

impl Authority {
    /// Revokes the certificate with this serial number: hex in any case, colons allowed. Returns the distribution revision.
    ///
    /// # Errors
    /// `CERTIFICATE_UNKNOWN`, `CERTIFICATE_REVOKED`, `REASON_MISSING`, or when the store cannot be written.
    pub async fn revoke(&self, actor: &str, serial: &str, reason: &str) -> Result<u64, Problem> {
        if reason.trim().is_empty() {
            return Err(Problem::invalid("REASON_MISSING", "a revocation needs a reason: every refusal shows it"));
        }
        let serial = serial.replace(':', "").to_ascii_lowercase();
        let mut tx = self.inner.store.write().await?;
        let row = sqlx::query("SELECT spiffe_id, agency, revoked_at_ms FROM certificates WHERE serial = $1")
            .bind(&serial)
            .fetch_optional(tx.conn())
            .await?;
        let Some(row) = row else {
            return Err(Problem::not_found(
                "CERTIFICATE_UNKNOWN",
                format!("no certificate has the serial number {serial}; see `chapar cert list`"),
            )
            .with("serial", serial));
        };
        if row.try_get::<Option<i64>, _>("revoked_at_ms")?.is_some() {
            return Err(Problem::precondition("CERTIFICATE_REVOKED", format!("certificate {serial} is revoked already"))
                .with("serial", serial));
        }
        let (now_ms, spiffe_id) = (tx.now_ms(), row.try_get::<String, _>("spiffe_id")?);
        mark_revoked(tx.conn(), &serial, reason, now_ms).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "serial": serial, "reason": reason, "revision": revision });
        tx.audit(AuditEntry::done(actor, "certificate.revoke", spiffe_id).with(details)).await?;
        tx.commit().await?;
        Ok(revision)
    }
}

async fn mark_revoked(conn: &mut SqliteConnection, serial: &str, reason: &str, now_ms: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE certificates SET revoked_at_ms = $2, revocation_reason = $3 WHERE serial = $1")
        .bind(serial)
        .bind(now_ms)
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// Revokes every live certificate of one issuing CA; returns how many.
pub(super) async fn revoke_all_of(
    conn: &mut SqliteConnection,
    issuer: &str,
    reason: &str,
    now_ms: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "UPDATE certificates SET revoked_at_ms = $2, revocation_reason = $3 \
         WHERE issuer = $1 AND revoked_at_ms IS NULL AND not_after_ms > $2",
    )
    .bind(issuer)
    .bind(now_ms)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
