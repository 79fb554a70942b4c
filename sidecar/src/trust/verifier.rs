//! The judge of a peer's certificate during a handshake, on either side.

use std::{iter, sync::Arc};

use arc_swap::ArcSwapOption;
use chapar_core::{
    identity::{Role, SpiffeId, TrustDomain},
    policy::PolicySnapshot,
};
use rustls::{
    DistinguishedName, Error, RootCertStore,
    client::{
        danger::{ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{
    certificate::peer_certificate,
    problem::{PeerProblem, TrustError},
    tls::{self, tls13_signatures},
};

/// Whom a verifier lets through.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// Any sidecar of the trust domain.
    AnySidecar,
    /// Exactly this workload.
    Exactly(SpiffeId),
}

/// The snapshot in force, for its revocations. Shared by all verifiers of a sidecar.
pub(super) type InForce = Arc<ArcSwapOption<PolicySnapshot>>;

/// Accepts who is expected: a chain to a root of our own trust domain and exactly one SPIFFE ID. Host names say nothing
/// here, since identities do not move with addresses.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    anchors: Arc<Anchors>,
    expected: Expected,
    in_force: InForce,
    provider: Arc<CryptoProvider>,
    /// Judges chain, validity and purpose of a client's certificate.
    of_clients: Arc<dyn ClientCertVerifier>,
}

impl PeerVerifier {
    /// Knows of no revocation.
    pub(super) fn new(anchors: Arc<Anchors>, expected: Expected) -> Self {
        Self::heeding(InForce::default(), anchors, expected)
    }

    /// Refuses chains of which the snapshot in force has revoked a CA.
    pub(super) fn heeding(in_force: InForce, anchors: Arc<Anchors>, expected: Expected) -> Self {
        let provider = tls::provider();
        let of_clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&anchors.store), Arc::clone(&provider))
            .build()
            .expect("anchors are never empty, and there are no revocation lists to be wrong");
        Self { anchors, expected, in_force, provider, of_clients }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        chain: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), PeerProblem> {
        let found = peer_certificate(std::slice::from_ref(leaf))?.spiffe_id;
        let own = &self.anchors.trust_domain;
        if found.trust_domain() != own {
            let found = found.trust_domain().clone();
            return Err(PeerProblem::OtherTrustDomain { expected: own.clone(), found });
        }
        chain().map_err(|error| PeerProblem::from_chain(&error))?;
        self.not_revoked(leaf, issuers)?;
        match &self.expected {
            Expected::AnySidecar if matches!(found.role(), Role::Sidecar { .. }) => Ok(()),
            Expected::AnySidecar => Err(PeerProblem::NotASidecar(found)),
            Expected::Exactly(expected) if *expected == found => Ok(()),
            Expected::Exactly(expected) => Err(PeerProblem::WrongIdentity { expected: expected.clone(), found }),
        }
    }
}

impl PeerVerifier {
    /// A sidecar's own revoked certificate passes: each of its calls is refused with the reason, which tells its operator more than a
    /// broken handshake. A revoked CA's does not, whose key may be anybody's; nor does the control plane's.
    fn not_revoked(&self, leaf: &CertificateDer<'_>, issuers: &[CertificateDer<'_>]) -> Result<(), PeerProblem> {
        let in_force = self.in_force.load();
        let Some(in_force) = in_force.as_deref().filter(|snapshot| snapshot.something_is_revoked()) else { return Ok(()) };
        let shown: Vec<_> = iter::once(leaf).chain(issuers).cloned().collect();
        let shown = peer_certificate(&shown)?;
        let own = matches!(shown.spiffe_id.role(), Role::ControlPlane).then_some(&shown.serial);
        match own.into_iter().chain(shown.issuers.iter()).find(|serial| in_force.revocation(serial).is_some()) {
            Some(serial) => Err(PeerProblem::Revoked(Arc::clone(serial))),
            None => Ok(()),
        }
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(leaf, intermediates, || {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(leaf)?,
                &self.anchors.store,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )
        })?;
        Ok(ServerCertVerified::assertion())
    }

    tls13_signatures!(self => self.provider);
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Every peer has just one certificate to show: hints would only tell strangers about our roots.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(leaf, intermediates, || self.of_clients.verify_client_cert(leaf, intermediates, now).map(drop))?;
        Ok(ClientCertVerified::assertion())
    }

    tls13_signatures!(self => self.provider);
}

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
