//! The first meeting with the control plane, when nothing is trusted yet but the fingerprint of a root.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use chapar_core::identity::{SpiffeId, TrustDomain};
use rustls::{
    ClientConfig, Error,
    client::danger::{ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    problem::PeerProblem,
    tls::{self, tls13_signatures},
    verifier::{Anchors, Bundle, Expected, PeerVerifier},
};
use crate::clock::Clock;

/// For one connection to the control plane of `trust_domain`, before this sidecar has a certificate. The control plane
/// presents its root with its chain; it is trusted if its SHA-256 is `root_sha256`, which came in the enrolment token by
/// another way, and the leaf must chain to it.
#[must_use]
pub fn introduction(trust_domain: &TrustDomain, root_sha256: [u8; 32], clock: &Clock) -> Arc<ClientConfig> {
    let verifier = Introduction { trust_domain: trust_domain.clone(), root_sha256 };
    Arc::new(tls::client(&tls::provider(), Arc::new(verifier), None, clock))
}

#[derive(Debug)]
struct Introduction {
    trust_domain: TrustDomain,
    root_sha256: [u8; 32],
}

impl Introduction {
    fn anchors(&self, chain: &[CertificateDer<'_>]) -> Result<Arc<Anchors>, PeerProblem> {
        let root = chain.iter().find(|certificate| digest(&SHA256, certificate).as_ref() == self.root_sha256);
        let Some(root) = root else {
            let problem = "no certificate that it presents has the fingerprint in the token";
            return Err(PeerProblem::Untrusted(problem.to_owned()));
        };
        let bundle = Bundle { trust_domain: self.trust_domain.clone(), roots: vec![root.clone().into_owned()] };
        Anchors::new(bundle).map(Arc::new).map_err(|error| PeerProblem::Malformed(error.to_string()))
    }
}

impl ServerCertVerifier for Introduction {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let anchors = self.anchors(rest)?;
        let expected = Expected::Exactly(SpiffeId::control_plane(self.trust_domain.clone()));
        PeerVerifier::new(anchors, expected).verify_server_cert(leaf, rest, name, ocsp, now)
    }

    tls13_signatures!(self => tls::provider());
}
