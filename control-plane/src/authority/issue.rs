//! Issuing leaves, each recorded before anyone gets it.

use chapar_core::identity::{SpiffeId, TrustDomain};
use chapar_core::time::Timestamp;
use data_encoding::HEXLOWER;
use rcgen::{CertificateParams, PublicKeyData};
use rustls_pki_types::CertificateDer;
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use x509_parser::parse_x509_certificate;

use super::{
    Authority, Current,
    csr::Csr,
    current::{self, Issuing, Own},
    digest::sha256,
    error::AuthorityError,
    lifetime,
    profile::{self, LeafUse, Validity},
    signer::{CertificateKey, Keyring, OwnKey},
};
use crate::{
    clock::date_of,
    config::Certificates,
    store::{CertificateRow, Store, StoreError, Transaction},
};

/// Shortest remaining life of an issuing CA that still issues. Below it a leaf would be dead on arrival.
const ISSUER_REMAINING_MIN: Duration = Duration::from_secs(60);

/// A leaf and what leads from it to the roots, without a root.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The identity in it.
    pub id: SpiffeId,
    /// DER, the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Lowercase hex, two digits a byte.
    pub serial: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Name of the issuing generation.
    pub issuer: String,
}

impl Authority {
    /// Issues a sidecar's certificate within the caller's write.
    ///
    /// # Errors
    /// When the issuing CA is about to expire, or the store cannot be written.
    pub async fn issue_sidecar(&self, tx: &mut Transaction, id: &SpiffeId, csr: &Csr) -> Result<Issued, AuthorityError> {
        let life = lifetime(self.inner.lifetimes.sidecar_lifetime_s);
        self.issue(tx, id, csr, LeafUse::ServerAndClient, life, None).await
    }

    /// Issues an admin's certificate within the caller's write. `powers`: what its holder may do, as the certificate holds it; `life`:
    /// `None` for the configured one.
    ///
    /// # Errors
    /// As [`Authority::issue_sidecar`].
    pub async fn issue_admin(
        &self,
        tx: &mut Transaction,
        id: &SpiffeId,
        csr: &Csr,
        powers: Vec<u8>,
        life: Option<Duration>,
    ) -> Result<Issued, AuthorityError> {
        let life = life.unwrap_or_else(|| lifetime(self.inner.lifetimes.admin_lifetime_s));
        self.issue(tx, id, csr, LeafUse::ClientOnly, life, Some(powers)).await
    }

    async fn issue(
        &self,
        tx: &mut Transaction,
        id: &SpiffeId,
        csr: &Csr,
        usage: LeafUse,
        life: Duration,
        powers: Option<Vec<u8>>,
    ) -> Result<Issued, AuthorityError> {
        let issuing = self.current().issuing.clone();
        let mut params = leaf_params(&issuing, id, usage, date_of(self.clock().now()), life)?;
        if let Some(powers) = powers {
            profile::empower(&mut params, powers);
        }
        let issued = sign(&issuing, &params, id, csr.public_key())?;
        record(tx, &issued).await?;
        Ok(issued)
    }
}

/// Reads the generations, and makes the control plane a certificate of its own from the active one.
pub(super) async fn picture(
    store: &Store,
    keys: &dyn Keyring,
    trust_domain: &TrustDomain,
    lifetimes: &Certificates,
) -> Result<Current, AuthorityError> {
    let mut tx = store.write().await?;
    let generations = tx.generations().await?;
    let issuing = current::issuing(&generations, keys)?;
    let roots = current::anchors(&generations)?;

    let key = OwnKey::fresh()?;
    let id = SpiffeId::control_plane(trust_domain.clone());
    let life = lifetime(lifetimes.sidecar_lifetime_s);
    let params = leaf_params(&issuing, &id, LeafUse::ServerAndClient, date_of(store.clock().now()), life)?;
    let issued = sign(&issuing, &params, &id, &CertificateKey(key.signer.clone()))?;
    record(&mut tx, &issued).await?;
    tx.commit().await?;

    let chain: Vec<CertificateDer<'static>> = issued.chain.into_iter().map(CertificateDer::from).collect();
    let presented = Arc::new(current::presented(&chain, &generations, &key));
    let own = Own {
        signer: key.signer,
        chain,
        presented,
        serial: issued.serial,
        not_before: issued.not_before,
        not_after: issued.not_after,
        issuer: issued.issuer,
    };
    let issuers = current::issuers(&generations);
    Ok(Current { generations, issuing: Arc::new(issuing), own: Arc::new(own), roots: Arc::new(roots), issuers })
}

fn leaf_params(
    issuing: &Issuing,
    id: &SpiffeId,
    usage: LeafUse,
    now: OffsetDateTime,
    life: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let issuer_end = date_of(issuing.generation.not_after);
    if now + ISSUER_REMAINING_MIN > issuer_end {
        let generation = issuing.generation.name.clone();
        return Err(AuthorityError::GenerationExpires { generation, not_after: issuer_end });
    }
    profile::leaf(id, usage, Validity::from_now(now, life).within(issuer_end))
}

fn sign(
    issuing: &Issuing,
    params: &CertificateParams,
    id: &SpiffeId,
    public_key: &impl PublicKeyData,
) -> Result<Issued, AuthorityError> {
    let certificate = params
        .signed_by(public_key, &issuing.issuer)
        .map_err(|source| AuthorityError::Crypto { doing: "sign a certificate", source })?;
    let (_, parsed) =
        parse_x509_certificate(certificate.der()).map_err(|error| AuthorityError::StoredCertificate(error.to_string()))?;
    let mut chain = vec![certificate.der().to_vec()];
    chain.extend(issuing.chain.iter().map(|der| der.to_vec()));
    Ok(Issued {
        id: id.clone(),
        serial: HEXLOWER.encode(parsed.raw_serial()),
        not_before: Timestamp::from_unix_s(parsed.validity().not_before.timestamp()),
        not_after: Timestamp::from_unix_s(parsed.validity().not_after.timestamp()),
        issuer: issuing.generation.name.clone(),
        chain,
    })
}

async fn record(tx: &mut Transaction, issued: &Issued) -> Result<(), StoreError> {
    let fingerprint = issued.chain.first().map(|leaf| HEXLOWER.encode(&sha256(leaf))).unwrap_or_default();
    tx.insert_certificate(&CertificateRow {
        serial: issued.serial.clone(),
        spiffe_id: issued.id.to_string(),
        agency: issued.id.agency().map(ToString::to_string),
        issuer: issued.issuer.clone(),
        fingerprint,
        not_before: issued.not_before,
        not_after: issued.not_after,
        revoked_at: None,
        revocation_reason: None,
    })
    .await
}
