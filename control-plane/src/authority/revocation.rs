//! Revoking one certificate.

use super::Authority;
use crate::{problem::Problem, store::AuditEntry};

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
        let Some(certificate) = tx.certificate(&serial).await? else {
            return Err(Problem::not_found(
                "CERTIFICATE_UNKNOWN",
                format!("no certificate has the serial number {serial}; see `chapar cert list`"),
            )
            .with("serial", serial));
        };
        if certificate.revoked_at_ms.is_some() {
            return Err(Problem::precondition("CERTIFICATE_REVOKED", format!("certificate {serial} is revoked already"))
                .with("serial", serial));
        }
        let now_ms = tx.now_ms();
        tx.revoke_certificate(&serial, reason, now_ms).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "serial": serial, "reason": reason, "revision": revision });
        tx.audit(AuditEntry::done(actor, "certificate.revoke", certificate.spiffe_id).with(details)).await?;
        tx.commit().await?;
        Ok(revision)
    }
}
