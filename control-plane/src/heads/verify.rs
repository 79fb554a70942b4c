//! Whether audit and policy still hold what was ever signed of them.

use chapar_core::identity::SpiffeId;
use chapar_proto::{
    evidence::certified,
    heads::signed_bytes,
    v1::{Head, SignedHeads},
};
use prost::Message as _;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use super::{Heads, Signed};
use crate::{
    audit::{self, Checked, Witness},
    authority::{Authority, Kind},
    clock::instant_of,
    ledger::{HeadThen, Ledger},
    store::{AuditHead, HeadRow, Store, StoreError},
};

/// A sidecar's heads, as it told them.
#[derive(Clone, Debug)]
pub struct Told {
    /// SPIFFE ID of the sidecar.
    pub sidecar: String,
    /// What it keeps.
    pub signed: Signed,
    /// What is no longer as it says.
    pub problems: Vec<String>,
}

/// Goes through the audit, against everything that remembers it: signed heads, this process, the state folder, and sidecars.
///
/// # Errors
/// When the store cannot be read.
pub async fn verify_audit(heads: &Heads) -> Result<Checked, StoreError> {
    let inner = &*heads.inner;
    let anchors = Anchors::of(&inner.authority);
    // Before the audit is read: it can only be longer.
    let mut witnesses = vec![Witness { who: "the running control plane".to_owned(), head: inner.store.audit_head().await }];
    let kept = heads.kept().ok().flatten().map(|kept| (inner.file.display().to_string(), kept));
    for (who, signed) in kept.into_iter().chain(heads.sidecars()) {
        witnesses.extend(anchors.witness(&who, &signed).ok());
    }
    let judge = |row: &HeadRow| {
        let unreadable = |_| "the signed head cannot be read".to_owned();
        let chain = SignedHeads::decode(row.chain.as_slice()).map_err(unreadable)?.signer_chain_der;
        let wire = SignedHeads { signer_chain_der: chain, ..SignedHeads::decode(row.signed.as_slice()).map_err(unreadable)? };
        let signed = Signed::read(wire).ok_or("the signed head cannot be read")?;
        let witness = anchors.witness("a signed head", &signed)?;
        let same = witness.head.id == row.audit_last;
        same.then_some(witness).ok_or_else(|| "the head is filed under another entry than was signed".to_owned())
    };
    audit::check(&inner.store, witnesses, &judge).await
}

/// What sidecars keep, each compared with what is here.
///
/// # Errors
/// When the store cannot be read.
pub async fn sidecars_told(heads: &Heads) -> Result<Vec<Told>, StoreError> {
    let inner = &*heads.inner;
    let mut told = Vec::new();
    for (sidecar, signed) in heads.sidecars() {
        let mut problems = lost(&inner.store, &signed).await?;
        problems.extend(lost_of_ledger(&inner.ledger, signed.heads.ledger.as_ref()).await?);
        told.push(Told { sidecar, signed, problems });
    }
    Ok(told)
}

/// What is no longer here as the heads say.
async fn lost(store: &Store, signed: &Signed) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    let mut look = |what: &str, head: Option<&Head>, found: Option<AuditHead>| {
        let Some(head) = head.filter(|head| head.number > 0) else { return };
        match found {
            None => problems.push(format!("the {what} no longer reaches {}", head.number)),
            Some(found) if found.hash.as_slice() != head.hash => {
                problems.push(format!("the {what} is another up to {} than it was", head.number));
            }
            Some(_) => {}
        }
    };
    let number = |head: Option<&Head>| head.map_or(0, |head| head.number);
    let audit = signed.heads.audit.as_ref();
    look("audit", audit, audit_head_at(store, number(audit)).await?);
    let policy = signed.heads.policy.as_ref();
    let reached = policy_head_until(store, AuditHead::default(), number(policy)).await?;
    look("policy", policy, (reached.id == number(policy)).then_some(reached));
    Ok(problems)
}

/// What the ledger no longer is as its head says.
async fn lost_of_ledger(ledger: &Ledger, head: Option<&Head>) -> Result<Option<String>, StoreError> {
    let Some(head) = head.filter(|head| head.number > 0) else { return Ok(None) };
    Ok(match ledger.head_then(head.number).await? {
        HeadThen::Gone => Some(format!("the ledger no longer reaches {}", head.number)),
        HeadThen::Was(hash) if hash.as_slice() != head.hash => {
            Some(format!("the ledger is another up to {} than it was", head.number))
        }
        HeadThen::Was(_) | HeadThen::Forgotten => None,
    })
}

/// The audit's head as it was with this entry. `None`: there is no such entry.
async fn audit_head_at(store: &Store, id: u64) -> Result<Option<AuditHead>, StoreError> {
    let newest = store.audit_head().await;
    if newest.id == id {
        return Ok(Some(newest));
    }
    let lines = store.reader().await?.audit_lines_after(id.saturating_sub(1), 1).await?;
    match lines.first() {
        Some(line) if line.id == id => Ok(line.hash.map(|hash| AuditHead { id, hash })),
        Some(_) | None => Ok(None),
    }
}

/// The hash over all versions of the policy, continued from that over some of them.
pub(super) async fn policy_head(store: &Store, from: AuditHead) -> Result<AuditHead, StoreError> {
    policy_head_until(store, from, u64::MAX).await
}

async fn policy_head_until(store: &Store, from: AuditHead, until: u64) -> Result<AuditHead, StoreError> {
    let mut reader = store.snapshot().await?;
    if reader.policy_version().await? == from.id {
        return Ok(from);
    }
    let digests = reader.policy_digests(from.id).await?;
    let wanted = digests.into_iter().filter(|(version, _)| *version <= until);
    Ok(wanted.fold(from, |head, (version, digest)| {
        let linked = [b"chapar policy v1\n".as_slice(), &head.hash, &version.to_be_bytes(), &digest].concat();
        AuditHead { id: version, hash: crate::authority::sha256(&linked) }
    }))
}

/// What leads from the control plane's certificates, present and former, to roots.
pub(super) struct Anchors {
    roots: Vec<TrustAnchor<'static>>,
    control_plane: SpiffeId,
}

impl Anchors {
    pub(super) fn of(authority: &Authority) -> Self {
        let current = authority.current();
        let roots = current.generations.iter().filter(|generation| generation.kind == Kind::Root);
        let roots = roots.filter_map(|root| {
            let der = CertificateDer::from(root.certificate.as_slice());
            webpki::anchor_from_trusted_cert(&der).ok().map(|anchor| anchor.to_owned())
        });
        Self { roots: roots.collect(), control_plane: SpiffeId::control_plane(authority.trust_domain().clone()) }
    }

    /// What the heads bear witness to, once their signature is right.
    pub(super) fn witness(&self, who: &str, signed: &Signed) -> Result<Witness, String> {
        let chain: Vec<CertificateDer<'_>> =
            signed.wire.signer_chain_der.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let (leaf, issuers) = chain.split_first().ok_or_else(|| format!("{who}: nobody signed it"))?;
        let at = signed.heads.at.as_ref().map(instant_of).ok_or_else(|| format!("{who}: it is not dated"))?;
        if certified(leaf, issuers, &self.roots, at).as_ref() != Some(&self.control_plane) {
            return Err(format!("{who}: whoever signed it was not this exchange's control plane"));
        }
        let signer = webpki::EndEntityCert::try_from(leaf).map_err(|error| format!("{who}: {error}"))?;
        signer
            .verify_signature(webpki::aws_lc_rs::ECDSA_P256_SHA256, &signed_bytes(&signed.wire.heads), &signed.wire.signature)
            .map_err(|_| format!("{who}: the signature does not fit"))?;
        let audit = signed.heads.audit.clone().unwrap_or_default();
        Ok(Witness { who: who.to_owned(), head: AuditHead { id: audit.number, hash: audit.hash.try_into().unwrap_or_default() } })
    }
}
