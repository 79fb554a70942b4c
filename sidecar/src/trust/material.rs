//! Everything in use at one time: roots, the sidecar's own key and certificate, and what the listener shows of both.

use std::sync::Arc;

use chapar_core::{identity::Role, policy::PeerCertificate};
use rustls::{
    ServerConfig,
    client::danger::ServerCertVerifier as _,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{
    certificate::peer_certificate,
    problem::{PeerProblem, TrustError},
    tls::{self, nominal_server_name},
    verifier::{Anchors, Expected, InForce, PeerVerifier},
};
use crate::clock::{Clock, unix_time};

/// The sidecar's own key and certificate.
#[derive(Debug)]
pub struct Credentials {
    /// Private key, PKCS #8.
    pub key: PrivatePkcs8KeyDer<'static>,
    /// The leaf, then its issuers without the root.
    pub chain: Vec<CertificateDer<'static>>,
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self { key: self.key.clone_key(), chain: self.chain.clone() }
    }
}

/// Everything in use at one time.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) anchors: Arc<Anchors>,
    pub(super) own: Arc<PeerCertificate>,
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) server: Arc<ServerConfig>,
    /// What it was made of, to be gone back to.
    pub(super) credentials: Credentials,
}

impl Material {
    pub(super) fn new(
        anchors: Arc<Anchors>,
        (certified, credentials): (Arc<CertifiedKey>, Credentials),
        cryptography: &Arc<CryptoProvider>,
        clock: &Clock,
        in_force: &InForce,
    ) -> Result<Self, TrustError> {
        let own = peer_certificate(&certified.cert).map_err(TrustError::Certificate)?;
        let Role::Sidecar { .. } = own.spiffe_id.role() else {
            return Err(TrustError::Certificate(PeerProblem::NotASidecar(own.spiffe_id)));
        };
        let verifier = PeerVerifier::heeding(Arc::clone(in_force), Arc::clone(&anchors), Expected::AnySidecar);
        let shown = Arc::new(SingleCertAndKey::from(Arc::clone(&certified)));
        let server = Arc::new(tls::server(cryptography, Arc::new(verifier), shown, clock));
        Ok(Self { anchors, own: Arc::new(own), certified, server, credentials })
    }
}

/// Whether the certificate hangs from one of the roots. Judged at the end of its life, so that an expired one can still be
/// told from an untrusted one.
pub(super) fn vouched_for(anchors: &Arc<Anchors>, certified: &CertifiedKey) -> Result<(), TrustError> {
    let own = peer_certificate(&certified.cert).map_err(TrustError::Certificate)?;
    let expected = Expected::Exactly(own.spiffe_id);
    verify(anchors, &certified.cert, expected, unix_time(own.not_after)).map_err(TrustError::Certificate)
}

pub(super) fn certified(credentials: &Credentials) -> Result<Arc<CertifiedKey>, TrustError> {
    let key = tls::provider().key_provider.load_private_key(credentials.key.clone_key().into()).map_err(TrustError::Key)?;
    let certified = CertifiedKey::new(credentials.chain.clone(), key);
    certified.keys_match().map_err(TrustError::Key)?;
    Ok(Arc::new(certified))
}

pub(super) fn verify(
    anchors: &Arc<Anchors>,
    chain: &[CertificateDer<'_>],
    expected: Expected,
    at: UnixTime,
) -> Result<(), PeerProblem> {
    let (leaf, issuers) = chain.split_first().ok_or(PeerProblem::NoCertificate)?;
    let verifier = PeerVerifier::new(Arc::clone(anchors), expected);
    verifier.verify_server_cert(leaf, issuers, &nominal_server_name(), &[], at).map(drop).map_err(|error| match &error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(inner)) => {
            inner.0.downcast_ref::<PeerProblem>().cloned().unwrap_or_else(|| PeerProblem::from_chain(&error))
        }
        _ => PeerProblem::from_chain(&error),
    })
}
