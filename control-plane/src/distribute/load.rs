//! Reads the facts from the store, by the views of those who own them.

use std::collections::BTreeMap;

use chapar_proto::v1::RevocationResource;
use sqlx::Row as _;

use super::Facts;
use crate::{
    authority::{AuthorityError, RevokedCertificate, trust_view},
    clock::timestamp_of_ms,
    store::{Store, StoreError},
};

/// The newest state cannot be read; the operator of the control plane must act. Sidecars keep what they have.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read what is distributed")]
    Store(#[from] StoreError),
    #[error("cannot read what the authority says of trust")]
    Trust(#[from] AuthorityError),
}

/// The present state. The revision is read first: what is read after it may be newer, and is then told once more under
/// its own revision; what a sidecar acknowledges is never older than the revision says.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn facts(store: &Store, trust_domain: &str) -> Result<Facts, LoadError> {
    let revision = store.revision().await?;
    let trust = trust_view(store).await?;
    Ok(Facts {
        revision,
        trust_domain: trust_domain.to_owned(),
        roots_der: trust.roots_der,
        active_issuer: trust.active_issuer_spki_sha256_hex,
        revocations: trust.revoked.into_iter().map(revocation_of).collect(),
        agencies: agencies(store).await?,
        ..Facts::default()
    })
}

fn revocation_of(revoked: RevokedCertificate) -> RevocationResource {
    RevocationResource {
        serial: revoked.serial,
        spiffe_id: revoked.spiffe_id,
        revoked_at: Some(timestamp_of_ms(revoked.revoked_at_ms)),
        reason: revoked.reason,
        not_after: Some(timestamp_of_ms(revoked.not_after_ms)),
    }
}

/// Agencies that the policy names, with the reason of a suspension.
async fn agencies(store: &Store) -> Result<BTreeMap<String, Option<String>>, StoreError> {
    let rows = sqlx::query("SELECT name, suspended_at_ms, suspension_reason FROM agencies WHERE removed_at_ms IS NULL")
        .fetch_all(store.read())
        .await?;
    let mut agencies = BTreeMap::new();
    for row in rows {
        let suspended: Option<i64> = row.try_get("suspended_at_ms")?;
        let reason: Option<String> = row.try_get("suspension_reason")?;
        agencies.insert(row.try_get("name")?, suspended.map(|_| reason.unwrap_or_default()));
    }
    Ok(agencies)
}
