//! Reads the facts from the store, by the views of those who own them.

use std::collections::BTreeMap;

use chapar_proto::v1::RevocationResource;
use sqlx::{Row as _, SqliteConnection};

use super::Facts;
use crate::{
    authority::{AuthorityError, RevokedCertificate, trust_view},
    clock::timestamp_of_ms,
    policy::{GrantView, grants_view},
    registry::{EndpointView, InquiryView, catalogue_view},
    store::{Store, StoreError},
    subject,
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
    // One transaction, so that grants, inquiries and agencies agree with one another.
    let mut tx = store.read().begin().await.map_err(StoreError::from)?;
    let grants = grants_view(&mut tx).await?;
    let catalogue = catalogue_view(&mut tx).await?;
    let agencies = agencies(&mut tx).await?;
    let subject_key = subject::keys::newest(&mut tx).await?;
    Ok(Facts {
        revision,
        policy_version: grants.version,
        trust_domain: trust_domain.to_owned(),
        roots_der: trust.roots_der,
        active_issuer: trust.active_issuer_spki_sha256_hex,
        subject_key,
        agencies,
        inquiries: catalogue.inquiries.iter().map(InquiryView::resource).collect(),
        // A grant whose inquiry no passport ever held has nobody to be told to.
        grants: grants.grants.iter().filter_map(GrantView::resource).collect(),
        endpoints: catalogue.endpoints.iter().map(EndpointView::resource).collect(),
        revocations: trust.revoked.into_iter().map(revocation_of).collect(),
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
async fn agencies(conn: &mut SqliteConnection) -> Result<BTreeMap<String, Option<String>>, StoreError> {
    let rows = sqlx::query("SELECT name, suspended_at_ms, suspension_reason FROM agencies WHERE removed_at_ms IS NULL")
        .fetch_all(conn)
        .await?;
    let mut agencies = BTreeMap::new();
    for row in rows {
        let suspended: Option<i64> = row.try_get("suspended_at_ms")?;
        let reason: Option<String> = row.try_get("suspension_reason")?;
        agencies.insert(row.try_get("name")?, suspended.map(|_| reason.unwrap_or_default()));
    }
    Ok(agencies)
}
