//! Evidence of a call: what proves, to anybody who holds the exchange's roots, that two sidecars put it on record.
//!
//! A sidecar chains its records by hashes and signs pieces of the chain with its certificate's key. Evidence is a record, the
//! digests of all records of its piece, the signature, and the certificate. Nothing here asks the exchange.

use std::time::Duration;

use chapar_core::{
    identity::{Role, SpiffeId},
    policy::Side,
    record::{
        self, CallRecord, Outcome,
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
    /// The receipt is not the exchange's.
    #[error("the receipt of what {0} signed is not the exchange's")]
    Receipt(String),
    /// It proves itself, and is another's word on a call of this ID.
    #[error("{0} tells of other parties")]
    Outsider(String),
}

/// What one sidecar is proven to have recorded.
#[derive(Debug)]
pub struct Proven<'e> {
    /// Which sidecar.
    pub reporter: SpiffeId,
    /// What it put down.
    pub record: CallRecord<'e>,
    /// When it signed, at the latest, by its own word.
    pub signed_at: Timestamp,
    /// When the signature came in, as the exchange has signed in turn. `None`: nobody but the sidecar vouches for the time, and whoever
    /// has its key by now may have signed.
    pub received_at: Option<Timestamp>,
    /// Where in its chain.
    pub sequence: u64,
}

/// What evidence comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Both sides put the call on record, alike, and the exchange has had it since then; or there is one side only, which says so.
    Proven,
    /// One side did; that there was such a call is that side's word.
    OneSided,
    /// Both sides did, and their records cannot both be true.
    Disagree,
    /// The signatures are right, and a receipt is missing: it may have been signed at any time.
    NotReceived,
}

/// Verified evidence.
#[derive(Debug)]
pub struct Proof<'e> {
    /// What it comes to.
    pub finding: Finding,
    /// Records of the two sides.
    pub records: Vec<Proven<'e>>,
    /// Why other parts of the evidence count for nothing; they take nothing away either.
    pub left_out: Vec<Unproven>,
}

/// Verifies evidence against roots (DER). A part that does not prove itself, or is an outsider's word on a call of the same ID, is left
/// out, and cannot make the rest fail.
///
/// # Errors
/// Why none of it proves anything.
pub fn verify<'e>(evidence: &'e Evidence, roots: &[CertificateDer<'_>]) -> Result<Proof<'e>, Unproven> {
    if evidence.version != EVIDENCE_VERSION {
        return Err(Unproven::Version(evidence.version));
    }
    let anchors: Vec<TrustAnchor<'_>> = roots
        .iter()
        .map(webpki::anchor_from_trusted_cert)
        .collect::<Result<_, _>>()
        .map_err(|_| Unproven::Malformed("a root"))?;
    let (mut proven, mut left_out) = (Vec::new(), Vec::new());
    for record in &evidence.records {
        match verify_record(evidence, record, &anchors) {
            Ok(record) => proven.push(record),
            Err(why) => left_out.push(why),
        }
    }
    // The parties that both sides tell of; where nobody's other side is there, the first that is.
    let both = |one: &Proven<'e>| {
        proven.iter().any(|other| other.record.side != one.record.side && have_same_parties(&one.record, &other.record))
    };
    let Some(chosen) = proven.iter().position(both).or_else(|| (!proven.is_empty()).then_some(0)) else {
        return Err(left_out.into_iter().next().unwrap_or(Unproven::Empty));
    };
    let chosen = proven.swap_remove(chosen);
    let (mut records, others): (Vec<_>, Vec<_>) =
        proven.into_iter().partition(|other| have_same_parties(&chosen.record, &other.record));
    left_out.extend(others.into_iter().map(|other| Unproven::Outsider(other.reporter.to_string())));
    records.insert(0, chosen);
    records.sort_by_key(|proven| proven.record.side == Side::Provider);
    Ok(Proof { finding: finding(&records), records, left_out })
}

fn have_same_parties(one: &CallRecord<'_>, other: &CallRecord<'_>) -> bool {
    let same = |one: &str, other: &str| one.is_empty() || other.is_empty() || one == other;
    same(one.consumer, other.consumer) && same(one.provider, other.provider)
}

fn finding(records: &[Proven<'_>]) -> Finding {
    let Some((first, others)) = records.split_first() else { return Finding::OneSided };
    if others.iter().any(|other| !agree(&first.record, &other.record)) {
        return Finding::Disagree;
    }
    if records.iter().any(|proven| proven.received_at.is_none()) {
        return Finding::NotReceived;
    }
    let two_sides = others.iter().any(|other| other.record.side != first.record.side);
    // A call that its consumer's sidecar refused by itself has no other side.
    let sole =
        first.record.side == Side::Consumer && first.record.server_address.is_empty() && first.record.outcome != Outcome::Served;
    if two_sides || sole { Finding::Proven } else { Finding::OneSided }
}

/// Whether both records can be true. A side may not know what the other does.
fn agree(one: &CallRecord<'_>, other: &CallRecord<'_>) -> bool {
    let same = |one: &str, other: &str| one.is_empty() || other.is_empty() || one == other;
    let answered = |record: &CallRecord<'_>| record.outcome == Outcome::Served && record.status as u8 == 0;
    let refused_and_answered = |one: &CallRecord<'_>, other: &CallRecord<'_>| one.outcome == Outcome::Refused && answered(other);
    let both_served = one.outcome == Outcome::Served && other.outcome == Outcome::Served;
    same(one.inquiry, other.inquiry)
        && same(one.resolution, other.resolution)
        && !refused_and_answered(one, other)
        && !refused_and_answered(other, one)
        && !(both_served && (one.status != other.status || one.subject.is_some() != other.subject.is_some()))
        && !(one.side == other.side && one.outcome != other.outcome)
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
    let received_at = receipt(evidence, part, &checkpoint, anchors)?;
    // Who has a receipt need not be believed when it signed.
    let valid_at = received_at.unwrap_or(signed_at);
    let reporter = certified(leaf, issuers, anchors, valid_at).ok_or_else(|| Unproven::Certificate(part.reporter.clone()))?;
    if reporter.to_string() != part.reporter || reporter.trust_domain().as_str() != evidence.trust_domain {
        return Err(Unproven::Reporter { told: part.reporter.clone(), found: reporter.to_string() });
    }
    let own = if record.side == Side::Consumer { record.consumer } else { record.provider };
    let speaks = reporter.agency().is_some_and(|agency| own.is_empty() || agency.as_str() == own);
    if !speaks {
        return Err(Unproven::Forged(part.reporter.clone()));
    }
    Ok(Proven { reporter, record, signed_at, received_at, sequence: part.sequence })
}

/// When the exchange received the signature, as it has signed itself.
fn receipt(
    evidence: &Evidence,
    part: &RecordEvidence,
    checkpoint: &Checkpoint,
    anchors: &[TrustAnchor<'_>],
) -> Result<Option<Timestamp>, Unproven> {
    let Some(at) = part.received_at.as_ref().filter(|_| !part.receipt.is_empty()) else { return Ok(None) };
    let received_at = instant(at).ok_or(Unproven::Malformed("received_at"))?;
    let chain: Vec<CertificateDer<'_>> = part.receipt_chain_der.iter().map(|der| der.as_slice().into()).collect();
    let (leaf, issuers) = chain.split_first().ok_or(Unproven::Malformed("receipt_chain_der"))?;
    let forged = || Unproven::Receipt(part.reporter.clone());
    let certificate = EndEntityCert::try_from(leaf).map_err(|_| forged())?;
    certificate
        .verify_signature(webpki::aws_lc_rs::ECDSA_P256_SHA256, &checkpoint.receipt_bytes(received_at), &part.receipt)
        .map_err(|_| forged())?;
    let signer = certified_for(leaf, issuers, anchors, received_at, KeyUsage::server_auth()).ok_or_else(forged)?;
    let is_the_exchange = *signer.role() == Role::ControlPlane && signer.trust_domain().as_str() == evidence.trust_domain;
    if is_the_exchange { Ok(Some(received_at)) } else { Err(forged()) }
}

fn instant(at: &prost_types::Timestamp) -> Option<Timestamp> {
    let ms = at.seconds.checked_mul(1_000)?.checked_add(i64::from(at.nanos) / 1_000_000)?;
    Some(Timestamp::from_unix_ms(ms))
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
    let at = part.signed_at.as_ref().and_then(instant).ok_or(Unproven::Malformed("signed_at"))?;
    Ok(Checkpoint {
        chain: ChainId(part.chain.as_slice().try_into().map_err(|_| Unproven::Malformed("chain"))?),
        first: part.first,
        last: part.last,
        before,
        after: digests.into_iter().fold(before, chain::next),
        at,
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
    certified_for(leaf, issuers, anchors, at, KeyUsage::client_auth())
}

fn certified_for(
    leaf: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    at: Timestamp,
    usage: KeyUsage,
) -> Option<SpiffeId> {
    let certificate = EndEntityCert::try_from(leaf).ok()?;
    let then = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(at.unix_ms()).ok()?));
    certificate.verify_for_usage(CERTIFICATE_ALGORITHMS, anchors, issuers, then, usage, None, None).ok()?;
    let mut names = certificate.valid_uri_names();
    let (only, more) = (names.next()?, names.next());
    if more.is_some() { None } else { only.parse().ok() }
}
