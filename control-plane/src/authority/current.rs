//! The authority as it issues now: an immutable picture of the newest generations, exchanged as a whole.

use std::sync::Arc;

use chapar_core::time::Timestamp;
use rcgen::Issuer;
use rustls::{RootCertStore, sign::CertifiedKey};
use rustls_pki_types::CertificateDer;

use super::{
    error::AuthorityError,
    generations::{Generation, Kind, State},
    signer::{CertificateKey, Keyring, OwnKey, Signer},
};

/// The issuing CA in use, with its key.
pub struct Issuing {
    pub generation: Generation,
    pub(super) issuer: Issuer<'static, CertificateKey>,
    /// The issuing CA's certificate, then what leads from it to every root that is still trusted, without a root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Hex SHA-256 of its key.
    pub key_sha256: String,
}

/// The control plane's own certificate, with its key, which never leaves the process.
pub struct Own {
    pub signer: Arc<dyn Signer>,
    /// The leaf, then as [`Issuing::chain`].
    pub chain: Vec<CertificateDer<'static>>,
    /// What TLS presents: the chain, then every trusted root, so that a sidecar that knows only a fingerprint finds it.
    pub presented: Arc<CertifiedKey>,
    pub serial: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Name of the issuing generation.
    pub issuer: String,
}

/// Everything that issuing and judging certificates needs.
pub struct Current {
    /// All of them, the retired too.
    pub generations: Vec<Generation>,
    /// The issuing CA in use.
    pub issuing: Arc<Issuing>,
    /// The control plane's own certificate.
    pub own: Arc<Own>,
    /// Trust anchors: every root that is not retired.
    pub roots: Arc<RootCertStore>,
    /// Certificates of the issuing CAs that are not retired: a client's certificate must have been issued by one of them.
    pub issuers: Arc<[CertificateDer<'static>]>,
}

impl Current {
    /// DER of every trusted root: the active one first.
    #[must_use]
    pub fn roots_der(&self) -> Vec<Vec<u8>> {
        trusted_roots(&self.generations).map(|root| root.certificate.clone()).collect()
    }

    /// The root in use, whose fingerprint goes into tokens.
    #[must_use]
    pub fn active_root(&self) -> Option<&Generation> {
        active(&self.generations, Kind::Root)
    }
}

/// The generation of this kind that issues.
#[must_use]
pub(super) fn active(generations: &[Generation], kind: Kind) -> Option<&Generation> {
    generations.iter().find(|generation| generation.kind == kind && generation.state == State::Active)
}

/// Reads the issuing key and builds the chain.
///
/// # Errors
/// When the key is away or a stored certificate cannot be read.
pub(super) fn issuing(generations: &[Generation], keys: &dyn Keyring) -> Result<Issuing, AuthorityError> {
    let generation = active(generations, Kind::Issuing)
        .ok_or_else(|| AuthorityError::StoredCertificate("no issuing CA is active".to_owned()))?
        .clone();
    let key = CertificateKey(keys.open(&generation)?);
    let der = CertificateDer::from(generation.certificate.clone());
    let issuer = Issuer::from_ca_cert_der(&der, key)
        .map_err(|source| AuthorityError::Crypto { doing: "read the issuing CA's certificate", source })?;
    let mut chain = vec![der];
    chain.extend(cross_certificates(generations, generation.parent.as_deref()));
    let key_sha256 = generation.key_sha256()?;
    Ok(Issuing { generation, issuer, chain, key_sha256 })
}

/// Trust anchors of every root that is not retired.
///
/// # Errors
/// When a stored certificate cannot be an anchor.
pub(super) fn anchors(generations: &[Generation]) -> Result<RootCertStore, AuthorityError> {
    let mut store = RootCertStore::empty();
    for root in trusted_roots(generations) {
        store
            .add(CertificateDer::from(root.certificate.clone()))
            .map_err(|error| AuthorityError::StoredCertificate(format!("{}: {error}", root.name)))?;
    }
    Ok(store)
}

/// Certificates of the issuing CAs that are not retired.
pub(super) fn issuers(generations: &[Generation]) -> Arc<[CertificateDer<'static>]> {
    let trusted = generations.iter().filter(|generation| generation.kind == Kind::Issuing && generation.is_trusted());
    trusted.map(|issuing| CertificateDer::from(issuing.certificate.clone())).collect()
}

/// The control plane's certificate as TLS presents it.
pub(super) fn presented(chain: &[CertificateDer<'static>], generations: &[Generation], key: &OwnKey) -> CertifiedKey {
    let mut presented = chain.to_vec();
    presented.extend(trusted_roots(generations).map(|root| CertificateDer::from(root.certificate.clone())));
    CertifiedKey::new(presented, key.tls.clone())
}

/// Roots that are not retired, the active one first.
pub(super) fn trusted_roots(generations: &[Generation]) -> impl Iterator<Item = &Generation> {
    let roots = || generations.iter().filter(|generation| generation.kind == Kind::Root && generation.is_trusted());
    roots().filter(|root| root.state == State::Active).chain(roots().filter(|root| root.state != State::Active))
}

/// From this root back to the oldest one that is trusted: each root's key as its predecessor certified it. Who trusts only an
/// older root reaches it by these.
fn cross_certificates(generations: &[Generation], root: Option<&str>) -> Vec<CertificateDer<'static>> {
    let named = |name: &str| generations.iter().find(|generation| generation.name == name);
    let mut certificates = Vec::new();
    let mut next = root.and_then(named);
    while let Some(root) = next {
        let predecessor = root.parent.as_deref().and_then(named).filter(|predecessor| predecessor.is_trusted());
        if let (Some(_), Some(cross)) = (predecessor, &root.cross_certificate) {
            certificates.push(CertificateDer::from(cross.clone()));
        }
        next = predecessor;
    }
    certificates
}
