//! Whether an update is what the control plane of our own exchange says to exactly this sidecar. Pure.

use std::{iter, sync::Arc, time::Duration};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use chapar_core::{
    identity::{SpiffeId, TrustDomain},
    policy::PeerCertificate,
    snapshot::{Body, Difference, PatchError, ResourceKey, ResourceSet, signed_bytes},
    time::Timestamp,
};
use chapar_proto::{
    convert::snapshot::{Contents, ConvertError, Manifest},
    v1,
};
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::trust::{PeerProblem, Trust, hex, peer_certificate};

/// How far a snapshot's time of issue may lie ahead of this machine's clock: unsynchronised clocks of a few minutes are common, more is a
/// fault that somebody must mend.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// Most resources in one update: ten times the largest exchange that is planned for.
const RESOURCES_MAX: usize = 10_000_000;

/// Why an update is refused. The earlier snapshot stays in force; the control plane is told.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum UpdateProblem {
    /// No manifest, so nothing is signed.
    #[error("the update carries no signed manifest")]
    Unsigned,
    /// More than anyone could mean.
    #[error("the update carries {0} resources; at most {RESOURCES_MAX} are allowed")]
    TooMany(usize),
    /// The manifest is no manifest.
    #[error("the manifest is not readable")]
    Undecodable,
    /// A field of it is missing or malformed.
    #[error("the manifest: {0}")]
    Manifest(ConvertError),
    /// Not signed by the control plane of this exchange.
    #[error("the signer: {0}")]
    Signer(PeerProblem),
    /// Signed by whom the snapshot in force has revoked, or below a CA that it has revoked.
    #[error("the signer: the certificate {0} is revoked by the snapshot that is in force")]
    SignerRevoked(Arc<str>),
    /// Changed since it was signed.
    #[error("the signature does not fit the manifest")]
    Signature,
    /// For another sidecar.
    #[error("the snapshot is for {found}; this is {own}")]
    Recipient {
        /// Whom it is for.
        found: SpiffeId,
        /// Who this is.
        own: SpiffeId,
    },
    /// Of another exchange.
    #[error("the snapshot is of the exchange {found}; this is {own}")]
    TrustDomain {
        /// Whose it is.
        found: TrustDomain,
        /// Ours.
        own: TrustDomain,
    },
    /// Older than what is in force.
    #[error("revision {offered} is lower than {held}, which is in force")]
    Rollback {
        /// In force.
        held: u64,
        /// Offered.
        offered: u64,
    },
    /// Two different snapshots under one number.
    #[error("revision {0} is in force with another content")]
    Equivocation(u64),
    /// Over before it began.
    #[error("the snapshot was valid until {0}, which is past")]
    Stale(Timestamp),
    /// From the future.
    #[error("the snapshot was issued at {0}, which is yet to come; compare the clocks of both machines")]
    FromTheFuture(Timestamp),
    /// A delta to nothing.
    #[error("a delta was sent, but no snapshot is held that it could be applied to")]
    NoBase,
    /// A delta to another set.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The resulting set is not the one that was signed.
    #[error("the resulting set has not the digest that was signed")]
    Digest,
    /// The exchange went back behind what it once said of itself, or does not say it properly.
    #[error(transparent)]
    Heads(#[from] super::HeadsProblem),
    /// A resource that this software does not understand.
    #[error(transparent)]
    Contents(#[from] ConvertError),
}

impl UpdateProblem {
    /// Whether the whole set, instead of a delta, could put it right.
    #[must_use]
    pub const fn wants_full(&self) -> bool {
        matches!(self, Self::NoBase | Self::Patch(_) | Self::Digest | Self::Equivocation(_))
    }
}

/// A verified set under its manifest, as it is held for the next delta.
#[derive(Debug, Clone)]
pub struct VerifiedSet {
    /// What was signed.
    pub manifest: Manifest,
    /// The signed bytes and the signature, to be verified again after a restart.
    pub signed: v1::SignedManifest,
    /// The whole set.
    pub set: ResourceSet,
}

/// Judges `update` against what is `held`: signature and signer, recipient, order, digest and the meaning of every resource.
/// Whether it is fresh is [`fresh`]'s to say: a stale one from disk still explains refusals.
///
/// # Errors
/// The first thing that is wrong.
pub fn verified(
    update: v1::Update,
    held: Option<&VerifiedSet>,
    trust: &Trust,
    now: Timestamp,
) -> Result<(VerifiedSet, Contents), UpdateProblem> {
    let count = update.changed.len().saturating_add(update.removed.len());
    if count > RESOURCES_MAX {
        return Err(UpdateProblem::TooMany(count));
    }
    let signed = update.signed_manifest.ok_or(UpdateProblem::Unsigned)?;
    let manifest = manifest(&signed, held, trust, now)?;
    in_order(&manifest, held)?;
    let difference = difference(update.changed, update.removed)?;
    let set = match held {
        Some(held) => held.set.patched(update.full, difference)?,
        None if update.full => ResourceSet::default().patched(true, difference)?,
        None => return Err(UpdateProblem::NoBase),
    };
    if set.digest() != manifest.digest {
        return Err(UpdateProblem::Digest);
    }
    let contents = Contents::read(&manifest, &set)?;
    Ok((VerifiedSet { manifest, signed, set }, contents))
}

/// Whether the snapshot may be acted on at `now`.
///
/// # Errors
/// [`UpdateProblem::Stale`].
pub fn fresh(manifest: &Manifest, now: Timestamp) -> Result<(), UpdateProblem> {
    if now < manifest.valid_until { Ok(()) } else { Err(UpdateProblem::Stale(manifest.valid_until)) }
}

fn manifest(
    signed: &v1::SignedManifest,
    held: Option<&VerifiedSet>,
    trust: &Trust,
    now: Timestamp,
) -> Result<Manifest, UpdateProblem> {
    let wire = v1::SnapshotManifest::decode(signed.manifest.as_slice()).map_err(|_| UpdateProblem::Undecodable)?;
    let manifest = Manifest::try_from(wire).map_err(UpdateProblem::Manifest)?;
    let own = &trust.own().spiffe_id;
    if manifest.trust_domain != *own.trust_domain() {
        return Err(UpdateProblem::TrustDomain { found: manifest.trust_domain, own: own.trust_domain().clone() });
    }
    signed_by_control_plane(signed, &manifest, held, trust)?;
    if manifest.recipient != *own {
        return Err(UpdateProblem::Recipient { found: manifest.recipient, own: own.clone() });
    }
    if manifest.issued_at > now.saturating_add(CLOCK_SKEW_MAX) {
        return Err(UpdateProblem::FromTheFuture(manifest.issued_at));
    }
    Ok(manifest)
}

fn signed_by_control_plane(
    signed: &v1::SignedManifest,
    manifest: &Manifest,
    held: Option<&VerifiedSet>,
    trust: &Trust,
) -> Result<(), UpdateProblem> {
    let chain: Vec<_> = signed.signer_chain_der.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let control_plane = SpiffeId::control_plane(manifest.trust_domain.clone());
    trust.verify_chain(&chain, &control_plane, manifest.issued_at).map_err(UpdateProblem::Signer)?;
    if let Some(held) = held {
        signer_not_revoked(&peer_certificate(&chain).map_err(UpdateProblem::Signer)?, &held.set)?;
    }
    // The chain was verified, so its leaf is there and readable.
    let leaf = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok()).ok_or(UpdateProblem::Signature)?;
    let key = &leaf.1.public_key().subject_public_key.data;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(&signed_bytes(&signed.manifest), &signed.signature)
        .map_err(|_| UpdateProblem::Signature)
}

/// What is in force says who may say what comes next: the thief of a retired CA's key cannot sign himself back in.
fn signer_not_revoked(signer: &PeerCertificate, in_force: &ResourceSet) -> Result<(), UpdateProblem> {
    let is_revoked = |serial: &&Arc<str>| in_force.get(&ResourceKey::new(v1::ResourceKind::Revocation as u32, serial)).is_some();
    match iter::once(&signer.serial).chain(signer.issuers.iter()).find(is_revoked) {
        Some(serial) => Err(UpdateProblem::SignerRevoked(Arc::clone(serial))),
        None => Ok(()),
    }
}

fn in_order(manifest: &Manifest, held: Option<&VerifiedSet>) -> Result<(), UpdateProblem> {
    let Some(held) = held else { return Ok(()) };
    let (offered, held_revision) = (manifest.revision, held.manifest.revision);
    if offered < held_revision {
        return Err(UpdateProblem::Rollback { held: held_revision, offered });
    }
    if offered == held_revision && manifest.digest != held.manifest.digest {
        return Err(UpdateProblem::Equivocation(offered));
    }
    Ok(())
}

fn difference(changed: Vec<v1::Resource>, removed: Vec<v1::ResourceKey>) -> Result<Difference, UpdateProblem> {
    let changed = changed
        .into_iter()
        .map(|resource| Ok((key(resource.key.ok_or(ConvertError::Unset("key"))?)?, Body::new(resource.body))))
        .collect::<Result<_, ConvertError>>()?;
    let removed = removed.into_iter().map(key).collect::<Result<_, _>>()?;
    Ok(Difference { changed, removed })
}

fn key(wire: v1::ResourceKey) -> Result<ResourceKey, ConvertError> {
    let number = wire.kind;
    let kind = u32::try_from(number).map_err(|_| ConvertError::Unknown { field: "kind", number })?;
    Ok(ResourceKey::new(kind, &wire.name))
}

/// Short form of a digest for the log.
pub(super) fn short(digest: &[u8; 32]) -> String {
    const BYTES_SHOWN: usize = 6;
    hex(&digest[..BYTES_SHOWN]).to_string()
}
