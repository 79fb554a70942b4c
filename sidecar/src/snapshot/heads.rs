//! How far audit, policy and ledger of the exchange had got, as the control plane signed it: kept, so that it cannot go back unseen.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use chapar_core::{identity::SpiffeId, time::Timestamp};
use chapar_proto::{
    heads::{Backwards, in_order, signed_bytes},
    v1,
};
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    state::{StateError, StateFolder},
    trust::{PeerProblem, Trust},
};

/// Holds a `chapar.v1.SignedHeads`.
pub(super) const FILE: &str = "heads.binpb";

/// How far the time of signing may lie ahead of this machine's clock: as for snapshots.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// Why heads, and the update with them, are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeadsProblem {
    /// They were told, and are no longer.
    #[error("the control plane no longer tells how far it has got; what it told is kept in {FILE}")]
    Missing,
    /// They are no heads.
    #[error("the heads are not readable")]
    Undecodable,
    /// Of another exchange.
    #[error("the heads are of the exchange {0:?}")]
    TrustDomain(String),
    /// From the future.
    #[error("the heads were signed at {0}, which is yet to come; compare the clocks of both machines")]
    FromTheFuture(Timestamp),
    /// Not signed by the control plane of this exchange.
    #[error("the signer of the heads: {0}")]
    Signer(PeerProblem),
    /// Changed since they were signed.
    #[error("the signature does not fit the heads")]
    Signature,
    /// The exchange was rolled back.
    #[error(
        "{0}: the exchange was rolled back; its admins must say why. Only then: stop the sidecar, move {FILE} out of its state folder, \
         and start it"
    )]
    Backwards(Backwards),
}

/// Heads as they are kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeptHeads {
    pub(super) wire: v1::SignedHeads,
    heads: v1::Heads,
}

/// What an earlier run kept. One that cannot be read is an error: it would be as if nothing had been kept.
///
/// # Errors
/// When the state folder cannot be used, or the file is damaged.
pub(super) fn load(state: &StateFolder) -> Result<Option<KeptHeads>, StateError> {
    let Some(bytes) = state.read(FILE)? else { return Ok(None) };
    let damaged = |problem: prost::DecodeError| StateError::Damaged { path: state.file(FILE), problem: problem.to_string() };
    let wire = v1::SignedHeads::decode(bytes.as_slice()).map_err(damaged)?;
    let heads = v1::Heads::decode(wire.heads.as_slice()).map_err(damaged)?;
    Ok(Some(KeptHeads { wire, heads }))
}

/// Keeps `heads` for the next start.
///
/// # Errors
/// When the state folder cannot be written.
pub(super) fn keep(state: &StateFolder, heads: &KeptHeads) -> Result<(), StateError> {
    state.write(FILE, &heads.wire.encode_to_vec())
}

/// Judges what came with an update against what is kept. `None`: neither was there anything, nor is there now.
///
/// # Errors
/// Why the update is refused.
pub(super) fn judged(
    offered: Option<v1::SignedHeads>,
    kept: Option<&KeptHeads>,
    trust: &Trust,
    now: Timestamp,
) -> Result<Option<KeptHeads>, HeadsProblem> {
    let Some(wire) = offered else {
        return if kept.is_some() { Err(HeadsProblem::Missing) } else { Ok(None) };
    };
    if let Some(kept) = kept
        && kept.wire == wire
    {
        return Ok(Some(kept.clone()));
    }
    let heads = v1::Heads::decode(wire.heads.as_slice()).map_err(|_| HeadsProblem::Undecodable)?;
    let own = trust.own().spiffe_id.trust_domain().clone();
    if heads.trust_domain != own.as_str() {
        return Err(HeadsProblem::TrustDomain(heads.trust_domain.chars().take(64).collect()));
    }
    let at = heads.at.as_ref().ok_or(HeadsProblem::Undecodable)?;
    let at = Timestamp::from_unix_ms(at.seconds.saturating_mul(1_000).saturating_add(i64::from(at.nanos) / 1_000_000));
    if at > now.saturating_add(CLOCK_SKEW_MAX) {
        return Err(HeadsProblem::FromTheFuture(at));
    }
    let chain: Vec<_> = wire.signer_chain_der.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    trust.verify_chain(&chain, &SpiffeId::control_plane(own), at).map_err(HeadsProblem::Signer)?;
    // The chain was verified, so its leaf is there and readable.
    let leaf = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok()).ok_or(HeadsProblem::Signature)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &leaf.1.public_key().subject_public_key.data)
        .verify(&signed_bytes(&wire.heads), &wire.signature)
        .map_err(|_| HeadsProblem::Signature)?;
    if let Some(kept) = kept {
        in_order(&kept.heads, &heads).map_err(HeadsProblem::Backwards)?;
    }
    Ok(Some(KeptHeads { wire, heads }))
}
