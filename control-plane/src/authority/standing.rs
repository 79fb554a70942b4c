//! Whether a certificate that chains to a trusted root may still be used: asked at every request, not only at the handshake.

use chapar_core::identity::SpiffeId;

use super::{Authority, revocation};
use crate::{
    caller::SidecarCaller,
    problem::Problem,
    store::{CertificateState, StoreError},
};

/// What the exchange says about a certificate now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateStanding {
    /// It may be used.
    Good,
    /// Not issued here, whatever it chains to: somebody else has a key of ours, or the database was set back.
    Unknown,
    /// It bears the serial number and the identity of one that was issued here, and is another: somebody else signs with a key
    /// of ours.
    Forged,
    /// Its time is over.
    Expired,
    /// An admin voided it.
    Revoked {
        /// Why.
        reason: String,
    },
    /// An admin voided all of its agency's.
    Suspended {
        /// Which agency.
        agency: String,
        /// Why.
        reason: String,
    },
}

impl Authority {
    /// Asks for the standing of a certificate that was just shown: with this serial number, this identity and this fingerprint
    /// (hex SHA-256 of the whole certificate).
    ///
    /// # Errors
    /// When the store cannot be read; then nothing may be done for its holder.
    pub async fn standing_of(&self, serial: &str, id: &SpiffeId, fingerprint: &str) -> Result<CertificateStanding, StoreError> {
        let held = self.inner.store.reader().await?.certificate_state(serial).await?;
        if held.as_ref().is_some_and(|held| held.spiffe_id == id.to_string() && held.fingerprint != fingerprint) {
            return Ok(CertificateStanding::Forged);
        }
        Ok(self.judged(held, id))
    }

    /// Asks again for the standing of the certificate with this serial number, which named this identity and was the one that was
    /// issued when [`Authority::standing_of`] was asked.
    ///
    /// # Errors
    /// When the store cannot be read; then nothing may be done for its holder.
    pub async fn standing(&self, serial: &str, id: &SpiffeId) -> Result<CertificateStanding, StoreError> {
        Ok(self.judged(self.inner.store.reader().await?.certificate_state(serial).await?, id))
    }

    fn judged(&self, held: Option<CertificateState>, id: &SpiffeId) -> CertificateStanding {
        let Some(held) = held else { return CertificateStanding::Unknown };
        if held.spiffe_id != id.to_string() {
            return CertificateStanding::Unknown;
        }
        if let Some(reason) = held.revocation {
            return CertificateStanding::Revoked { reason };
        }
        if held.issuer_retired {
            return CertificateStanding::Revoked { reason: "its issuing CA was retired".to_owned() };
        }
        if let (Some(reason), Some(agency)) = (held.suspension, id.agency()) {
            return CertificateStanding::Suspended { agency: agency.to_string(), reason };
        }
        if held.not_after <= self.clock().now() {
            return CertificateStanding::Expired;
        }
        CertificateStanding::Good
    }

    /// Lets a sidecar go on: for long streams, to be asked again after every change.
    ///
    /// # Errors
    /// `CERTIFICATE_UNKNOWN`, `CERTIFICATE_FORGED`, `CERTIFICATE_EXPIRED`, `CERTIFICATE_REVOKED`, `AGENCY_SUSPENDED`.
    pub async fn require_good_standing(&self, sidecar: &SidecarCaller) -> Result<(), Problem> {
        self.standing(&sidecar.serial, &sidecar.id).await?.require_good(&sidecar.id, &sidecar.serial)
    }
}

impl CertificateStanding {
    /// The refusal of a certificate that is not good.
    ///
    /// # Errors
    /// `CERTIFICATE_UNKNOWN`, `CERTIFICATE_FORGED`, `CERTIFICATE_EXPIRED`, `CERTIFICATE_REVOKED`, `AGENCY_SUSPENDED`.
    pub fn require_good(&self, id: &SpiffeId, serial: &str) -> Result<(), Problem> {
        let problem = match self {
            Self::Good => return Ok(()),
            Self::Unknown => Problem::denied(
                "CERTIFICATE_UNKNOWN",
                format!("certificate {serial} of {id} was not issued by this exchange; enrol again with a new token"),
            ),
            Self::Forged => Problem::denied(
                "CERTIFICATE_FORGED",
                format!(
                    "certificate {serial} of {id} is not the one that was issued with this serial number: somebody signs with a key of \
                     this exchange's authority; its operators must revoke the issuing CA"
                ),
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
            Self::Suspended { agency, reason } => revocation::suspended(agency, reason),
        };
        Err(problem.with("serial", serial).with("spiffe_id", id.to_string()))
    }
}
