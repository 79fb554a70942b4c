//! What certificates of sidecars are judged by.

use rustls_pki_types::{CertificateDer, TrustAnchor};

/// What certificates are judged by.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Roots that are or were trusted, DER.
    pub roots: Vec<Vec<u8>>,
    /// Issuing CAs, present and former, DER.
    pub issuers: Vec<Vec<u8>>,
}

/// The same, read.
pub(super) struct Anchors {
    pub(super) roots: Vec<TrustAnchor<'static>>,
    pub(super) issuers: Vec<CertificateDer<'static>>,
}

impl From<Trust> for Anchors {
    fn from(trust: Trust) -> Self {
        let roots: Vec<CertificateDer<'_>> = trust.roots.iter().map(|der| der.as_slice().into()).collect();
        let anchors = roots.iter().filter_map(|root| webpki::anchor_from_trusted_cert(root).ok());
        Self {
            roots: anchors.map(|anchor| anchor.to_owned()).collect(),
            issuers: trust.issuers.into_iter().map(CertificateDer::from).collect(),
        }
    }
}
