//! Evidence of a call: what proves, to anybody who holds the exchange's roots, that two sidecars put it on record.
//!
//! A sidecar chains its records by hashes and signs pieces of the chain with its certificate's key. Evidence is a record, the
//! digests of all records of its piece, the signature, and the certificate. Nothing here asks the exchange.

use std::time::Duration;

use chapar_core::{
    identity::SpiffeId,
    policy::Side,
    record::{
        self, CallRecord,
        chain::{self, ChainId, Checkpoint, Hash},
    },
    time::Timestamp,
};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::admin::v1::{Evidence, RecordEvidence};

/// The only version of the file.
pub const EVIDENCE_VERSION: u32 = 1;

/// Digests that one signature covers at most: an export of a sidecar holds some hundred records.
const DIGESTS_MAX: usize = 65_536;

/// Algorithms by which certificates of the exchange are signed.
const CERTIFICATE_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = webpki::ALL_VERIFICATION_ALGS;

/// Why evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Made by a later version of this software, or by none.
    #[error("the evidence is of version {0}; this software knows {EVIDENCE_VERSION}")]
    Version(u32),
    /// A record was made by a later version of this software.
    #[error("a record is of version {0}, which this software does not know; a later version verifies it")]
    RecordVersion(u8),
    /// There is nothing in it.
    #[error("the evidence holds no record")]
    Empty,
    /// It is no evidence, or was cut.
    #[error("{0} is missing or malformed")]
    Malformed(&'static str),
    /// The record is of another call.
    #[error("the record is of the call {0}")]
    OtherCall(String),
    /// The record was changed.
    #[error("the record's bytes are not those that {0} chained")]
    Altered(String),
    /// The signed piece of the chain is another one.
    #[error("the digests do not lead to what {0} signed")]
    Signature(String),
    /// The certificate is not the exchange's.
    #[error("the certificate of {0} leads to none of the trusted roots, or was not valid when it signed")]
    Certificate(String),
    /// The certificate is another one's.
    #[error("the certificate names {found}, and the record is told to be of {told}")]
    Reporter {
        /// Who reported it, by the evidence.
        told: String,
        /// Who signed.
        found: String,
    },
    /// A sidecar signed a record that is not its agency's.
    #[error("{0} has signed as an agency that is not its own")]
    Forged(String),
    /// Both records prove themselves, and tell of different things.
    #[error("the two sides' records differ in their {0}")]
    Different(&'static str),
}

/// What one sidecar is proven to have recorded.
#[derive(Debug)]
pub struct Proven<'e> {
    /// Which sidecar.
    pub reporter: SpiffeId,
    /// What it put down.
    pub record: CallRecord<'e>,
    /// When it signed, at the latest.
    pub signed_at: Timestamp,
    /// Where in its chain.
    pub sequence: u64,
}

/// Verifies evidence against roots (DER).
///
/// # Errors
/// Why it proves nothing. The first gap ends it: evidence is whole, or none.
pub fn verify<'e>(evidence: &'e Evidence, roots: &[CertificateDer<'_>]) -> Result<Vec<Proven<'e>>, Unproven> {
    if evidence.version != EVIDENCE_VERSION {
        return Err(Unproven::Version(evidence.version));
    }
    let anchors: Vec<TrustAnchor<'_>> = roots
        .iter()
        .map(webpki::anchor_from_trusted_cert)
        .collect::<Result<_, _>>()
        .map_err(|_| Unproven::Malformed("a root"))?;
    let proven: Vec<Proven<'e>> =
        evidence.records.iter().map(|record| verify_record(evidence, record, &anchors)).collect::<Result<_, _>>()?;
    let Some((first, others)) = proven.split_first() else { return Err(Unproven::Empty) };
    for other in others {
        alike(&first.record, &other.record)?;
    }
    Ok(proven)
}

/// Both sides tell of one call. A side may not know what the other does.
fn alike(one: &CallRecord<'_>, other: &CallRecord<'_>) -> Result<(), Unproven> {
    for (what, one, other) in [
        ("consumer", one.consumer, other.consumer),
        ("provider", one.provider, other.provider),
        ("inquiry", one.inquiry, other.inquiry),
    ] {
        if !one.is_empty() && !other.is_empty() && one != other {
            return Err(Unproven::Different(what));
        }
    }
    Ok(())
}

fn verify_record<'e>(evidence: &Evidence, part: &'e RecordEvidence, anchors: &[TrustAnchor<'_>]) -> Result<Proven<'e>, Unproven> {
    let record = record::decode(&part.record).map_err(|malformed| match malformed {
        record::Malformed::Version(version) => Unproven::RecordVersion(version),
        _ => Unproven::Malformed("record"),
    })?;
    if record.call_id.to_string() != evidence.call_id {
        return Err(Unproven::OtherCall(record.call_id.to_string()));
    }
    let checkpoint = checkpoint(part)?;
    let signed_at = checkpoint.at;
    let chain_der: Vec<CertificateDer<'_>> = part.chain_der.iter().map(|der| der.as_slice().into()).collect();
    let (leaf, issuers) = chain_der.split_first().ok_or(Unproven::Malformed("chain_der"))?;
    signed_by(&checkpoint, leaf, &part.scheme, &part.signature)
        .map_err(|NotSigned| Unproven::Signature(part.reporter.clone()))?;
    let reporter = certified(leaf, issuers, anchors, signed_at).ok_or_else(|| Unproven::Certificate(part.reporter.clone()))?;
    if reporter.to_string() != part.reporter || reporter.trust_domain().as_str() != evidence.trust_domain {
        return Err(Unproven::Reporter { told: part.reporter.clone(), found: reporter.to_string() });
    }
    let own = if record.side == Side::Consumer { record.consumer } else { record.provider };
    let speaks = reporter.agency().is_some_and(|agency| own.is_empty() || agency.as_str() == own);
    if !speaks {
        return Err(Unproven::Forged(part.reporter.clone()));
    }
    Ok(Proven { reporter, record, signed_at, sequence: part.sequence })
}

/// The checkpoint that the digests lead to, with the record at its place among them.
fn checkpoint(part: &RecordEvidence) -> Result<Checkpoint, Unproven> {
    let hash = |bytes: &[u8], what| bytes.try_into().map(Hash).map_err(|_| Unproven::Malformed(what));
    if part.digests.is_empty() || part.digests.len() > DIGESTS_MAX || part.first == 0 || part.last < part.first {
        return Err(Unproven::Malformed("digests"));
    }
    let digests: Vec<Hash> = part.digests.iter().map(|digest| hash(digest, "digests")).collect::<Result<_, _>>()?;
    let position = usize::try_from(part.position).unwrap_or(usize::MAX);
    if digests.get(position) != Some(&chain::digest(&part.record)) {
        return Err(Unproven::Altered(part.reporter.clone()));
    }
    // Without an entry of damage, which stands for several places, each digest is one place.
    let whole = part.last - part.first + 1 == digests.len() as u64;
    if (whole && part.first + u64::from(part.position) != part.sequence) || !(part.first..=part.last).contains(&part.sequence) {
        return Err(Unproven::Malformed("sequence"));
    }
    let before = hash(&part.before, "before")?;
    let at = part.signed_at.as_ref().ok_or(Unproven::Malformed("signed_at"))?;
    let at_ms = at.seconds.checked_mul(1_000).and_then(|ms| ms.checked_add(i64::from(at.nanos) / 1_000_000));
    Ok(Checkpoint {
        chain: ChainId(part.chain.as_slice().try_into().map_err(|_| Unproven::Malformed("chain"))?),
        first: part.first,
        last: part.last,
        before,
        after: digests.into_iter().fold(before, chain::next),
        at: Timestamp::from_unix_ms(at_ms.ok_or(Unproven::Malformed("signed_at"))?),
    })
}

/// The signature is not that certificate's over that checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSigned;

/// Whether the holder of the leaf's key signed this checkpoint.
///
/// # Errors
/// When it did not, or by a scheme that is not known here.
pub fn signed_by(checkpoint: &Checkpoint, leaf: &CertificateDer<'_>, scheme: &str, signature: &[u8]) -> Result<(), NotSigned> {
    let algorithm: &dyn SignatureVerificationAlgorithm = match scheme {
        "ECDSA_NISTP256_SHA256" => webpki::aws_lc_rs::ECDSA_P256_SHA256,
        "ECDSA_NISTP384_SHA384" => webpki::aws_lc_rs::ECDSA_P384_SHA384,
        "ED25519" => webpki::aws_lc_rs::ED25519,
        _ => return Err(NotSigned),
    };
    let leaf = EndEntityCert::try_from(leaf).map_err(|_| NotSigned)?;
    leaf.verify_signature(algorithm, &checkpoint.signed_bytes(), signature).map_err(|_| NotSigned)
}

/// The one identity of a certificate that led to a trusted root when it signed; `None`: it did not, or names several or none.
#[must_use]
pub fn certified(
    leaf: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    at: Timestamp,
) -> Option<SpiffeId> {
    let certificate = EndEntityCert::try_from(leaf).ok()?;
    let then = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(at.unix_ms()).ok()?));
    certificate.verify_for_usage(CERTIFICATE_ALGORITHMS, anchors, issuers, then, KeyUsage::client_auth(), None, None).ok()?;
    let mut names = certificate.valid_uri_names();
    let (only, more) = (names.next()?, names.next());
    if more.is_some() { None } else { only.parse().ok() }
}
