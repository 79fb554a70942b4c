//! Reads the facts from the store, by the views of those who own them.

use std::time::Duration;

use chapar_proto::v1::RevocationResource;

use super::Facts;
use crate::{
    authority::{AuthorityError, RevokedCertificate, trust_view},
    clock::wire_of,
    policy::{GrantView, grants_view},
    registry::catalogue_view,
    store::{Store, StoreError},
    subject_keys::SubjectKeyRing,
};

/// The newest state cannot be read; the operator of the control plane must act. Sidecars keep what they have.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read what is distributed")]
    /// The store cannot be read.
    Store(#[from] StoreError),
    #[error("cannot read what the authority says of trust")]
    /// The authority cannot tell its bundle.
    Trust(#[from] AuthorityError),
}

/// The present state. The revision is read first: what is read after it may be newer, and is then told once more under
/// its own revision; what a sidecar acknowledges is never older than the revision says.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn facts(store: &Store, trust_domain: &str, snapshot_valid_for: Duration) -> Result<Facts, LoadError> {
    let revision = store.revision().await?;
    let trust = trust_view(store).await?;
    // Of one moment, so that grants, inquiries and agencies agree with one another.
    let mut reader = store.snapshot().await?;
    let grants = grants_view(&mut *reader).await?;
    let catalogue = catalogue_view(&mut *reader).await?;
    let agencies = reader.suspension_of_each().await?;
    let ring = SubjectKeyRing::new(reader.subject_keys().await?, snapshot_valid_for);
    Ok(Facts {
        revision,
        policy_version: grants.version,
        trust_domain: trust_domain.to_owned(),
        roots_der: trust.roots_der,
        cross_certificates_der: trust.cross_certificates_der,
        active_issuer: trust.active_issuer_spki_sha256_hex,
        shared_subject_key: ring.shared_in_use(),
        subject_masters: ring.handed_out(trust_domain, store.clock().now()).collect(),
        agencies,
        inquiries: catalogue.inquiry_resources(),
        // A grant whose inquiry no passport ever held has nobody to be told to.
        grants: grants.grants.iter().filter_map(GrantView::resource).collect(),
        endpoints: catalogue.endpoint_resources(),
        revocations: trust.revoked.into_iter().map(revocation_of).collect(),
    })
}

fn revocation_of(revoked: RevokedCertificate) -> RevocationResource {
    RevocationResource {
        serial: revoked.serial,
        spiffe_id: revoked.spiffe_id,
        revoked_at: Some(wire_of(revoked.revoked_at)),
        reason: revoked.reason,
        not_after: Some(wire_of(revoked.not_after)),
    }
}
