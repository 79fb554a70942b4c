//! What sidecars must know about trust, as distribution puts it in their snapshots.

use sqlx::{Row as _, SqliteConnection};

use super::{
    current,
    error::AuthorityError,
    generations::{self, Generation, Kind},
};
use crate::store::{Store, StoreError};

/// Trust as of one committed revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustView {
    /// Every root that is trusted, DER, the one in use first.
    pub roots_der: Vec<Vec<u8>>,
    /// Hex SHA-256 of the key of the issuing CA in use.
    pub active_issuer_spki_sha256_hex: String,
    /// Revoked certificates that have not expired yet, ordered by serial number.
    pub revoked: Vec<RevokedCertificate>,
    /// Suspended agencies, ordered by name.
    pub suspended: Vec<SuspendedAgency>,
}

/// A certificate that is not to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Lowercase hex, two digits a byte.
    pub serial: String,
    /// The identity in it; the trust domain alone ("spiffe://exchange.example") for a retired issuing CA.
    pub spiffe_id: String,
    /// Whose it is. `None`: an admin's, the control plane's or a retired issuing CA's.
    pub agency: Option<String>,
    pub revoked_at_ms: i64,
    pub reason: String,
    pub not_after_ms: i64,
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
    pub name: String,
    pub reason: String,
}

/// Reads the view.
///
/// # Errors
/// When the store cannot be read.
pub async fn trust_view(store: &Store) -> Result<TrustView, AuthorityError> {
    let now_ms = store.clock().now_ms();
    let mut tx = store.read().begin().await?;
    let generations = generations::list(&mut tx).await?;
    let mut revoked = revoked_leaves(&mut tx, now_ms).await?;
    for generation in &generations {
        revoked.extend(retired_issuer(generation, now_ms)?);
    }
    revoked.sort_by(|a, b| a.serial.cmp(&b.serial));
    let active_issuer = current::active(&generations, Kind::Issuing).map(Generation::key_sha256).transpose()?;
    Ok(TrustView {
        roots_der: current::trusted_roots(&generations).map(|root| root.certificate.clone()).collect(),
        active_issuer_spki_sha256_hex: active_issuer.unwrap_or_default(),
        revoked,
        suspended: suspended(&mut tx).await?,
    })
}

async fn revoked_leaves(conn: &mut SqliteConnection, now_ms: i64) -> Result<Vec<RevokedCertificate>, StoreError> {
    let rows = sqlx::query(
        "SELECT serial, spiffe_id, agency, revoked_at_ms, revocation_reason, not_after_ms FROM certificates \
         WHERE revoked_at_ms IS NOT NULL AND not_after_ms > $1",
    )
    .bind(now_ms)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(RevokedCertificate {
                serial: row.try_get("serial")?,
                spiffe_id: row.try_get("spiffe_id")?,
                agency: row.try_get("agency")?,
                revoked_at_ms: row.try_get("revoked_at_ms")?,
                reason: row.try_get::<Option<String>, _>("revocation_reason")?.unwrap_or_default(),
                not_after_ms: row.try_get("not_after_ms")?,
            })
        })
        .collect()
}

fn retired_issuer(generation: &Generation, now_ms: i64) -> Result<Option<RevokedCertificate>, AuthorityError> {
    let Some(revoked_at_ms) = generation.retired_at_ms.filter(|_| generation.kind == Kind::Issuing) else {
        return Ok(None);
    };
    if generation.not_after_ms <= now_ms {
        return Ok(None);
    }
    Ok(Some(RevokedCertificate {
        serial: generation.serial.clone(),
        spiffe_id: format!("spiffe://{}", generation.trust_domain()?),
        agency: None,
        revoked_at_ms,
        reason: format!("{} was retired", generation.name),
        not_after_ms: generation.not_after_ms,
    }))
}

async fn suspended(conn: &mut SqliteConnection) -> Result<Vec<SuspendedAgency>, StoreError> {
    let rows = sqlx::query("SELECT name, suspension_reason FROM agencies WHERE suspended_at_ms IS NOT NULL ORDER BY name")
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SuspendedAgency {
                name: row.try_get("name")?,
                reason: row.try_get::<Option<String>, _>("suspension_reason")?.unwrap_or_default(),
            })
        })
        .collect()
}
