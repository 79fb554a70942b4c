//! What sidecars must know about trust, as distribution puts it in their snapshots.

use chapar_core::time::Timestamp;

use super::{
    current,
    error::AuthorityError,
    generations::{Generation, Kind},
};
pub use crate::store::RevokedCertificate;
use crate::store::Store;

/// Trust as of one committed revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustView {
    /// Every root that is trusted, DER, the one in use first.
    pub roots_der: Vec<Vec<u8>>,
    /// Those roots as their predecessors certified them, DER: by these a sidecar learns to trust a root that it did not know.
    pub cross_certificates_der: Vec<Vec<u8>>,
    /// Hex SHA-256 of the key of the issuing CA in use.
    pub active_issuer_spki_sha256_hex: String,
    /// Revoked certificates that have not expired yet, ordered by serial number.
    pub revoked: Vec<RevokedCertificate>,
    /// Suspended agencies, ordered by name.
    pub suspended: Vec<SuspendedAgency>,
}

impl RevokedCertificate {
    /// Whether it is an issuing CA's: then every sidecar must know, for it must not accept what that CA signed.
    #[must_use]
    pub fn is_issuer(&self) -> bool {
        !self.spiffe_id.trim_start_matches("spiffe://").contains('/')
    }
}

/// An agency all of whose certificates are void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendedAgency {
    /// Of the agency.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Reads the view.
///
/// # Errors
/// When the store cannot be read.
pub async fn trust_view(store: &Store) -> Result<TrustView, AuthorityError> {
    let now = store.clock().now();
    let mut reader = store.snapshot().await?;
    let generations = reader.generations().await?;
    let mut revoked = reader.revoked_certificates(now).await?;
    for generation in &generations {
        revoked.extend(retired_issuer(generation, now)?);
    }
    let suspended = reader.suspended_agencies().await?;
    revoked.sort_by(|a, b| a.serial.cmp(&b.serial));
    let active_issuer = current::active(&generations, Kind::Issuing).map(Generation::key_sha256).transpose()?;
    Ok(TrustView {
        roots_der: current::trusted_roots(&generations).map(|root| root.certificate.clone()).collect(),
        cross_certificates_der: current::trusted_roots(&generations).filter_map(|root| root.cross_certificate.clone()).collect(),
        active_issuer_spki_sha256_hex: active_issuer.unwrap_or_default(),
        revoked,
        suspended: suspended.into_iter().map(|(name, reason)| SuspendedAgency { name, reason }).collect(),
    })
}

fn retired_issuer(generation: &Generation, now: Timestamp) -> Result<Option<RevokedCertificate>, AuthorityError> {
    let Some(revoked_at) = generation.retired_at.filter(|_| generation.kind == Kind::Issuing) else {
        return Ok(None);
    };
    if generation.not_after <= now {
        return Ok(None);
    }
    Ok(Some(RevokedCertificate {
        serial: generation.serial.clone(),
        spiffe_id: format!("spiffe://{}", generation.trust_domain()?),
        agency: None,
        revoked_at,
        reason: match &generation.revocation {
            Some(reason) => format!("{} was revoked: {reason}", generation.name),
            None => format!("{} was retired", generation.name),
        },
        not_after: generation.not_after,
    }))
}
