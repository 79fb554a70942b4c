//! Suspending a whole agency, and letting it in again.

use sqlx::{Row as _, SqliteConnection};

use super::Authority;
use crate::{problem::Problem, store::AuditEntry, store::StoreError};

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
        if let Some(why) = require_agency(tx.conn(), agency).await?.suspension {
            return Err(Problem::precondition("AGENCY_SUSPENDED", format!("agency {agency} is suspended already: {why}"))
                .with("agency", agency));
        }
        let now_ms = tx.now_ms();
        set_suspension(tx.conn(), agency, Some((now_ms, reason))).await?;
        let certificates: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM certificates WHERE agency = $1 AND revoked_at_ms IS NULL AND not_after_ms > $2",
        )
        .bind(agency)
        .bind(now_ms)
        .fetch_one(tx.conn())
        .await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "reason": reason, "certificates": certificates, "revision": revision });
        tx.audit(AuditEntry::done(actor, "agency.suspend", agency).with(details)).await?;
        tx.commit().await?;
        Ok(Suspended { certificates: u32::try_from(certificates).unwrap_or(u32::MAX), revision })
    }

    /// Lets a suspended agency in again; returns the distribution revision. Revoked certificates stay revoked.
    ///
    /// # Errors
    /// `AGENCY_UNKNOWN`, `AGENCY_NOT_SUSPENDED`, or when the store fails.
    pub async fn reinstate(&self, actor: &str, agency: &str) -> Result<u64, Problem> {
        let mut tx = self.inner.store.write().await?;
        if require_agency(tx.conn(), agency).await?.suspension.is_none() {
            return Err(
                Problem::precondition("AGENCY_NOT_SUSPENDED", format!("agency {agency} is not suspended")).with("agency", agency)
            );
        }
        set_suspension(tx.conn(), agency, None).await?;
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
pub async fn require_agency(conn: &mut SqliteConnection, agency: &str) -> Result<AgencyStanding, Problem> {
    let row = sqlx::query("SELECT removed_at_ms, suspended_at_ms, suspension_reason FROM agencies WHERE name = $1")
        .bind(agency)
        .fetch_optional(conn)
        .await?;
    let unknown = || {
        Problem::not_found(
            "AGENCY_UNKNOWN",
            format!("the policy holds no agency {agency:?}; see `chapar agency list`, or apply its Agency resource first"),
        )
        .with("agency", agency)
    };
    let row = row.ok_or_else(unknown)?;
    let suspended = row.try_get::<Option<i64>, _>("suspended_at_ms")?.is_some();
    if row.try_get::<Option<i64>, _>("removed_at_ms")?.is_some() && !suspended {
        return Err(unknown());
    }
    let reason = row.try_get::<Option<String>, _>("suspension_reason")?.unwrap_or_default();
    Ok(AgencyStanding { suspension: suspended.then_some(reason) })
}

async fn set_suspension(conn: &mut SqliteConnection, agency: &str, suspension: Option<(i64, &str)>) -> Result<(), StoreError> {
    sqlx::query("UPDATE agencies SET suspended_at_ms = $2, suspension_reason = $3 WHERE name = $1")
        .bind(agency)
        .bind(suspension.map(|(at_ms, _)| at_ms))
        .bind(suspension.map(|(_, reason)| reason))
        .execute(conn)
        .await?;
    Ok(())
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
