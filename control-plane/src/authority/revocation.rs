//! Revoking one certificate, and suspending an agency with all of its own.

use super::Authority;
use crate::{
    problem::Problem,
    store::{AgencyState, AuditEntry, Read},
};

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
        if certificate.revoked_at.is_some() {
            return Err(Problem::precondition("CERTIFICATE_REVOKED", format!("certificate {serial} is revoked already"))
                .with("serial", serial));
        }
        let now = tx.now();
        tx.revoke_certificate(&serial, reason, now).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "serial": serial, "reason": reason, "revision": revision });
        tx.audit(AuditEntry::done(actor, "certificate.revoke", certificate.spiffe_id).with(details)).await?;
        tx.commit().await?;
        Ok(revision)
    }
}

/// An agency as the store knows it.
#[derive(Clone, Debug)]
pub struct AgencyStanding {
    /// Why it is suspended. `None`: it is not.
    pub suspension: Option<String>,
}

/// What a suspension did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// Live certificates that are void until the agency is reinstated.
    pub certificates: u32,
    /// The distribution revision that carries it.
    pub revision: u64,
}

impl Authority {
    /// Voids all certificates and tokens of an agency until it is reinstated.
    ///
    /// # Errors
    /// `AGENCY_UNKNOWN`, `AGENCY_SUSPENDED` when it is already, `REASON_MISSING`, or when the store fails.
    pub async fn suspend(&self, actor: &str, agency: &str, reason: &str) -> Result<Suspended, Problem> {
        if reason.trim().is_empty() {
            return Err(Problem::invalid("REASON_MISSING", "a suspension needs a reason: every refusal shows it"));
        }
        let mut tx = self.inner.store.write().await?;
        if let Some(why) = require_agency(tx.read(), agency).await?.suspension {
            return Err(Problem::precondition("AGENCY_SUSPENDED", format!("agency {agency} is suspended already: {why}"))
                .with("agency", agency));
        }
        let now = tx.now();
        tx.set_suspension(agency, Some((now, reason))).await?;
        let certificates = tx.live_certificates_of(agency, now).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "reason": reason, "certificates": certificates, "revision": revision });
        tx.audit(AuditEntry::done(actor, "agency.suspend", agency).with(details)).await?;
        tx.commit().await?;
        Ok(Suspended { certificates, revision })
    }

    /// Lets a suspended agency in again; returns the distribution revision. Revoked certificates stay revoked.
    ///
    /// # Errors
    /// `AGENCY_UNKNOWN`, `AGENCY_NOT_SUSPENDED`, or when the store fails.
    pub async fn reinstate(&self, actor: &str, agency: &str) -> Result<u64, Problem> {
        let mut tx = self.inner.store.write().await?;
        if require_agency(tx.read(), agency).await?.suspension.is_none() {
            return Err(
                Problem::precondition("AGENCY_NOT_SUSPENDED", format!("agency {agency} is not suspended")).with("agency", agency)
            );
        }
        tx.set_suspension(agency, None).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "revision": revision });
        tx.audit(AuditEntry::done(actor, "agency.reinstate", agency).with(details)).await?;
        tx.commit().await?;
        Ok(revision)
    }
}

/// An agency that the policy holds, or that is suspended still.
///
/// # Errors
/// `AGENCY_UNKNOWN`, or when the store cannot be read.
pub async fn require_agency(reader: &mut dyn Read, agency: &str) -> Result<AgencyStanding, Problem> {
    let unknown = || {
        Problem::not_found(
            "AGENCY_UNKNOWN",
            format!("the policy holds no agency {agency:?}; see `chapar agency list`, or apply its Agency resource first"),
        )
        .with("agency", agency)
    };
    match reader.agency_state(agency).await? {
        None | Some(AgencyState { removed: true, suspension: None }) => Err(unknown()),
        Some(AgencyState { suspension, .. }) => Ok(AgencyStanding { suspension }),
    }
}

/// The refusal of what a suspended agency asks for.
#[must_use]
pub fn suspended(agency: &str, reason: &str) -> Problem {
    Problem::denied(
        "AGENCY_SUSPENDED",
        format!("agency {agency} is suspended: {reason}; only an admin of the exchange can reinstate it"),
    )
    .with("agency", agency)
    .with("suspension_reason", reason)
}
