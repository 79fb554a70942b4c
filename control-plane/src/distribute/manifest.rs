//! The signed word that goes with every update: whose snapshot, of which state, made when, good until when.

use chapar_core::{snapshot::signed_bytes, time::Timestamp};
use chapar_proto::v1::{SignedManifest, SnapshotManifest};
use prost::Message as _;

use super::Seal;
use crate::{clock::wire_of, config};

/// What one manifest speaks of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) trust_domain: &'a str,
    pub(crate) recipient: &'a str,
    pub(crate) revision: u64,
    pub(crate) policy_version: u64,
    pub(crate) digest: [u8; 32],
}

/// Dates the statement and has it signed.
///
/// # Errors
/// What the signer says: it has no valid certificate, or no key.
pub(crate) fn sealed(
    statement: Statement<'_>,
    now: Timestamp,
    validity: &config::Snapshot,
    seal: &Seal,
) -> anyhow::Result<SignedManifest> {
    let valid_until = now.plus_ms(i64::from(validity.valid_for_s) * 1_000);
    let manifest = SnapshotManifest {
        trust_domain: statement.trust_domain.to_owned(),
        recipient: statement.recipient.to_owned(),
        revision: statement.revision,
        policy_version: statement.policy_version,
        issued_at: Some(wire_of(now)),
        valid_until: Some(wire_of(valid_until)),
        digest: statement.digest.to_vec(),
    }
    .encode_to_vec();
    let (signature, signer_chain_der) = seal(&signed_bytes(&manifest))?;
    Ok(SignedManifest { manifest, signature, signer_chain_der })
}
