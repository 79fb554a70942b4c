//! The roots of a trust domain, as they are told and as paths are built from them.

use std::sync::Arc;

use chapar_core::identity::TrustDomain;
use rustls::{RootCertStore, pki_types::CertificateDer};

use super::error::TrustError;

/// The roots of one trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Whose roots.
    pub trust_domain: TrustDomain,
    /// Self-signed certificates; more than one while a root is being rotated.
    pub roots: Vec<CertificateDer<'static>>,
}

/// Roots, ready for path building.
#[derive(Debug)]
pub(super) struct Anchors {
    pub(super) trust_domain: TrustDomain,
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) store: Arc<RootCertStore>,
}

impl Anchors {
    pub(super) fn new(bundle: Bundle) -> Result<Self, TrustError> {
        if bundle.roots.is_empty() {
            return Err(TrustError::NoRoots(bundle.trust_domain));
        }
        let mut store = RootCertStore::empty();
        for root in &bundle.roots {
            store.add(root.clone()).map_err(|source| TrustError::Root { trust_domain: bundle.trust_domain.clone(), source })?;
        }
        Ok(Self { trust_domain: bundle.trust_domain, roots: bundle.roots, store: Arc::new(store) })
    }
}
