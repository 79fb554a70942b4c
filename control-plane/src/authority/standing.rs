//! Whether a certificate that chains to a trusted root may still be used: asked at every request, not only at the handshake.

use chapar_core::identity::SpiffeId;
use sqlx::Row as _;

use super::{Authority, suspension};
use crate::{caller::SidecarCaller, problem::Problem, store::StoreError};

/// What the exchange says about a certificate now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// Not issued here, whatever it chains to: somebody else has a key of ours, or the database was set back.
    Unknown,
    Expired,
    Revoked {
        reason: String,
    },
    Suspended {
        agency: String,
        reason: String,
    },
}

impl Authority {
    /// Asks for the standing of the certificate with this serial number, which names this identity.
    ///
    /// # Errors
    /// When the store cannot be read; then nothing may be done for its holder.
    pub async fn standing(&self, serial: &str, id: &SpiffeId) -> Result<Standing, StoreError> {
        let row = sqlx::query(
            "SELECT c.spiffe_id, c.not_after_ms, c.revoked_at_ms, c.revocation_reason, g.state AS issuer_state, \
             a.suspended_at_ms, a.suspension_reason \
             FROM certificates c JOIN authority_generations g ON g.name = c.issuer \
             LEFT JOIN agencies a ON a.name = c.agency WHERE c.serial = $1",
        )
        .bind(serial)
        .fetch_optional(self.inner.store.read())
        .await?;
        let Some(row) = row else { return Ok(Standing::Unknown) };
        if row.try_get::<String, _>("spiffe_id")? != id.to_string() {
            return Ok(Standing::Unknown);
        }
        if row.try_get::<Option<i64>, _>("revoked_at_ms")?.is_some() {
            let reason = row.try_get::<Option<String>, _>("revocation_reason")?.unwrap_or_default();
            return Ok(Standing::Revoked { reason });
        }
        if row.try_get::<String, _>("issuer_state")? == "retired" {
            return Ok(Standing::Revoked { reason: "its issuing CA was retired".to_owned() });
        }
        if let (Some(_), Some(agency)) = (row.try_get::<Option<i64>, _>("suspended_at_ms")?, id.agency()) {
            let reason = row.try_get::<Option<String>, _>("suspension_reason")?.unwrap_or_default();
            return Ok(Standing::Suspended { agency: agency.to_string(), reason });
        }
        if row.try_get::<i64, _>("not_after_ms")? <= self.clock().now_ms() {
            return Ok(Standing::Expired);
        }
        Ok(Standing::Good)
    }

    /// Lets a sidecar go on: for long streams, to be asked again after every change.
    ///
    /// # Errors
    /// `CERTIFICATE_UNKNOWN`, `CERTIFICATE_EXPIRED`, `CERTIFICATE_REVOKED`, `AGENCY_SUSPENDED`.
    pub async fn require_good_standing(&self, sidecar: &SidecarCaller) -> Result<(), Problem> {
        self.standing(&sidecar.serial, &sidecar.id).await?.require_good(&sidecar.id, &sidecar.serial)
    }
}

impl Standing {
    /// The refusal of a certificate that is not good.
    ///
    /// # Errors
    /// `CERTIFICATE_UNKNOWN`, `CERTIFICATE_EXPIRED`, `CERTIFICATE_REVOKED`, `AGENCY_SUSPENDED`.
    pub fn require_good(&self, id: &SpiffeId, serial: &str) -> Result<(), Problem> {
        let problem = match self {
            Self::Good => return Ok(()),
            Self::Unknown => Problem::denied(
                "CERTIFICATE_UNKNOWN",
                format!("certificate {serial} of {id} was not issued by this exchange; enrol again with a new token"),
            ),
            Self::Expired => Problem::unauthenticated(
                "CERTIFICATE_EXPIRED",
                format!("certificate {serial} of {id} has expired; enrol again with a new token"),
            ),
            Self::Revoked { reason } => Problem::denied(
                "CERTIFICATE_REVOKED",
                format!("certificate {serial} of {id} is revoked: {reason}; ask an admin of the exchange for a new token"),
            )
            .with("revocation_reason", reason.clone()),
            Self::Suspended { agency, reason } => suspension::suspended(agency, reason),
        };
        Err(problem.with("serial", serial).with("spiffe_id", id.to_string()))
    }
}
