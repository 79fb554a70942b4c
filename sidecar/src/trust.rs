//! Whom this sidecar trusts and as whom it is trusted: its own certificate, the roots of its trust domain, and the TLS
//! configurations made of both. Credentials and roots are swapped while connections run.

mod certificate;
mod introduction;
mod problem;
pub(crate) mod tls;
mod verifier;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use chapar_core::{
    identity::{Role, SpiffeId, TrustDomain},
    policy::PeerCertificate,
    time::Timestamp,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::danger::ServerCertVerifier as _,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    sign::{CertifiedKey, SingleCertAndKey},
};
use thiserror::Error;
use tokio::sync::watch;

use self::verifier::{Expected, PeerVerifier};
pub use self::{
    certificate::{hex, issuer_key_sha256, not_before, peer_certificate},
    introduction::introduction,
    problem::{HandshakeProblem, PeerProblem},
};
use crate::{
    clock::{Clock, unix_time},
    config::Tls,
};

/// The name that stands where TLS wants a host name: verification goes by SPIFFE ID, and the name is never sent.
#[must_use]
pub fn nominal_server_name() -> ServerName<'static> {
    ServerName::try_from("sidecar.chapar.invalid").expect("a literal DNS name")
}

/// The roots of one trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Whose roots.
    pub trust_domain: TrustDomain,
    /// Self-signed certificates; more than one while a root is being rotated.
    pub roots: Vec<CertificateDer<'static>>,
}

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

/// A signature, and what it takes to verify it.
#[derive(Clone, Debug)]
pub struct Signed {
    /// As TLS 1.3 has it under this scheme.
    pub signature: Vec<u8>,
    /// The scheme's name in TLS.
    pub scheme: &'static str,
    /// Serial number of the certificate.
    pub serial: Arc<str>,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
}

/// Credentials or roots that cannot be taken into use; what was in use stays.
#[derive(Debug, Error)]
pub enum TrustError {
    /// Nobody could be trusted.
    #[error("the trust bundle of {0} holds no root certificate")]
    NoRoots(TrustDomain),
    /// A root is no certificate.
    #[error("a root certificate of {trust_domain} is malformed")]
    Root {
        /// Whose root.
        trust_domain: TrustDomain,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The key cannot be read, or is not the certificate's.
    #[error("the private key is unusable or does not belong to the certificate")]
    Key(#[source] rustls::Error),
    /// The certificate names nobody, or is trusted by nobody.
    #[error("the sidecar's own certificate is not in order")]
    Certificate(#[source] PeerProblem),
}

/// Roots, ready for path building.
#[derive(Debug)]
struct Anchors {
    trust_domain: TrustDomain,
    roots: Vec<CertificateDer<'static>>,
    store: Arc<RootCertStore>,
}

/// Everything in use at one time.
#[derive(Debug)]
struct Material {
    anchors: Arc<Anchors>,
    own: Arc<PeerCertificate>,
    certified: Arc<CertifiedKey>,
    server: Arc<ServerConfig>,
}

/// The credentials and roots in use. Cheap to clone; all clones see a change at once.
#[derive(Clone, Debug)]
pub struct Trust {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    material: ArcSwap<Material>,
    generation: watch::Sender<u64>,
    /// Held while a change is made of what is in use, so that two changes cannot undo each other.
    changing: Mutex<()>,
    cryptography: Arc<CryptoProvider>,
    clock: Clock,
}

impl Trust {
    /// Takes `credentials` and `bundle` into use, with the cryptography that is shipped.
    ///
    /// # Errors
    /// When they are malformed or do not fit together. An expired certificate is no error: see [`Trust::own`].
    pub fn new(credentials: &Credentials, bundle: Bundle, clock: Clock) -> Result<Self, TrustError> {
        Self::speaking(&Tls::default(), credentials, bundle, clock)
    }

    /// Takes `credentials` and `bundle` into use, with the cryptography that `chosen` names.
    ///
    /// # Errors
    /// As [`Trust::new`].
    pub fn speaking(chosen: &Tls, credentials: &Credentials, bundle: Bundle, clock: Clock) -> Result<Self, TrustError> {
        let cryptography = tls::provider_of(chosen);
        let anchors = Arc::new(Anchors::new(bundle)?);
        let certified = certified(credentials)?;
        vouched_for(&anchors, &certified)?;
        let material = Material::new(anchors, certified, &cryptography, &clock)?;
        let shared = Shared {
            material: ArcSwap::from_pointee(material),
            generation: watch::Sender::new(1),
            changing: Mutex::new(()),
            cryptography,
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// For the inbound listener: a client certificate is required, of a sidecar of this trust domain. Ask for every
    /// connection: the answer changes with renewals.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.material.load().server)
    }

    /// For one connection to the workload `expected` and nobody else.
    #[must_use]
    pub fn client_config(&self, expected: &SpiffeId) -> Arc<ClientConfig> {
        let material = self.shared.material.load();
        let verifier = PeerVerifier::new(Arc::clone(&material.anchors), Expected::Exactly(expected.clone()));
        let own = Arc::new(SingleCertAndKey::from(Arc::clone(&material.certified)));
        Arc::new(tls::client(&self.shared.cryptography, Arc::new(verifier), Some(own), &self.shared.clock))
    }

    /// The certificate that this sidecar shows now.
    #[must_use]
    pub fn own(&self) -> Arc<PeerCertificate> {
        Arc::clone(&self.shared.material.load().own)
    }

    /// Brings `held` up to date with the certificate that this sidecar shows now, for whoever looks often.
    pub fn refresh_own(&self, held: &mut Arc<PeerCertificate>) {
        let material = self.shared.material.load();
        if !Arc::ptr_eq(&material.own, held) {
            held.clone_from(&material.own);
        }
    }

    /// The chain of the certificate that this sidecar shows now, leaf first.
    #[must_use]
    pub fn own_chain(&self) -> Vec<CertificateDer<'static>> {
        self.shared.material.load().certified.cert.clone()
    }

    /// Signs `message` with the key of the certificate that this sidecar shows now.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn sign(&self, message: &[u8]) -> Result<Signed, TrustError> {
        let material = self.shared.material.load();
        let certified = &material.certified;
        let schemes = tls::provider().signature_verification_algorithms.supported_schemes();
        let unfit = || rustls::Error::General("no signature scheme fits the key".to_owned());
        let signer = certified.key.choose_scheme(&schemes).ok_or_else(|| TrustError::Key(unfit()))?;
        let signature = signer.sign(message).map_err(TrustError::Key)?;
        let certificate = certified.cert.first().cloned().ok_or_else(|| TrustError::Key(unfit()))?;
        let scheme = signer.scheme().as_str().unwrap_or_default();
        Ok(Signed { signature, scheme, serial: Arc::clone(&material.own.serial), certificate })
    }

    /// The trust domain that vouches for this sidecar.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        self.shared.material.load().anchors.trust_domain.clone()
    }

    /// The roots in use.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        let anchors = &self.shared.material.load().anchors;
        Bundle { trust_domain: anchors.trust_domain.clone(), roots: anchors.roots.clone() }
    }

    /// Changes whenever credentials or roots change.
    #[must_use]
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.shared.generation.subscribe()
    }

    /// What a verified chain says; see [`peer_certificate`].
    ///
    /// # Errors
    /// As [`peer_certificate`].
    pub fn peer_certificate(&self, chain: &[CertificateDer<'_>]) -> Result<PeerCertificate, PeerProblem> {
        peer_certificate(chain)
    }

    /// Judges `chain` as that of `expected` at the instant `at`: for what was signed, rather than connected.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify_chain(&self, chain: &[CertificateDer<'_>], expected: &SpiffeId, at: Timestamp) -> Result<(), PeerProblem> {
        verify(&self.shared.material.load().anchors, chain, Expected::Exactly(expected.clone()), unix_time(at))
    }

    /// Takes a renewed certificate into use: new connections show it, running ones go on.
    ///
    /// # Errors
    /// As [`Trust::new`]; what was in use stays.
    pub fn replace_credentials(&self, credentials: &Credentials) -> Result<(), TrustError> {
        let certified = certified(credentials)?;
        self.change(|held| {
            vouched_for(&held.anchors, &certified)?;
            Material::new(Arc::clone(&held.anchors), Arc::clone(&certified), &self.shared.cryptography, &self.shared.clock)
        })
    }

    /// Takes other roots into use, for new connections. The same roots again change nothing. That this sidecar's own
    /// certificate hangs from a root that is gone is no reason to go on trusting that root.
    ///
    /// # Errors
    /// When they are malformed or none; what was in use stays.
    pub fn replace_bundle(&self, bundle: Bundle) -> Result<(), TrustError> {
        if self.bundle() == bundle {
            return Ok(());
        }
        let anchors = Arc::new(Anchors::new(bundle)?);
        let shared = &self.shared;
        self.change(|held| Material::new(Arc::clone(&anchors), Arc::clone(&held.certified), &shared.cryptography, &shared.clock))
    }

    fn change(&self, make: impl FnOnce(&Material) -> Result<Material, TrustError>) -> Result<(), TrustError> {
        let _alone = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = make(&self.shared.material.load())?;
        self.shared.material.store(Arc::new(next));
        self.shared.generation.send_modify(|generation| *generation += 1);
        Ok(())
    }
}

impl Anchors {
    fn new(bundle: Bundle) -> Result<Self, TrustError> {
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

impl Material {
    fn new(
        anchors: Arc<Anchors>,
        certified: Arc<CertifiedKey>,
        cryptography: &Arc<CryptoProvider>,
        clock: &Clock,
    ) -> Result<Self, TrustError> {
        let own = peer_certificate(&certified.cert).map_err(TrustError::Certificate)?;
        let Role::Sidecar { .. } = own.spiffe_id.role() else {
            return Err(TrustError::Certificate(PeerProblem::NotASidecar(own.spiffe_id)));
        };
        let verifier = PeerVerifier::new(Arc::clone(&anchors), Expected::AnySidecar);
        let shown = Arc::new(SingleCertAndKey::from(Arc::clone(&certified)));
        let server = Arc::new(tls::server(cryptography, Arc::new(verifier), shown, clock));
        Ok(Self { anchors, own: Arc::new(own), certified, server })
    }
}

/// Whether the certificate hangs from one of the roots. Judged at the end of its life, so that an expired one can still be
/// told from an untrusted one.
fn vouched_for(anchors: &Arc<Anchors>, certified: &CertifiedKey) -> Result<(), TrustError> {
    let own = peer_certificate(&certified.cert).map_err(TrustError::Certificate)?;
    let expected = Expected::Exactly(own.spiffe_id);
    verify(anchors, &certified.cert, expected, unix_time(own.not_after)).map_err(TrustError::Certificate)
}

fn certified(credentials: &Credentials) -> Result<Arc<CertifiedKey>, TrustError> {
    let key = tls::provider().key_provider.load_private_key(credentials.key.clone_key().into()).map_err(TrustError::Key)?;
    let certified = CertifiedKey::new(credentials.chain.clone(), key);
    certified.keys_match().map_err(TrustError::Key)?;
    Ok(Arc::new(certified))
}

fn verify(anchors: &Arc<Anchors>, chain: &[CertificateDer<'_>], expected: Expected, at: UnixTime) -> Result<(), PeerProblem> {
    let (leaf, issuers) = chain.split_first().ok_or(PeerProblem::NoCertificate)?;
    let verifier = PeerVerifier::new(Arc::clone(anchors), expected);
    verifier.verify_server_cert(leaf, issuers, &nominal_server_name(), &[], at).map(drop).map_err(|error| match &error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(inner)) => {
            inner.0.downcast_ref::<PeerProblem>().cloned().unwrap_or_else(|| PeerProblem::from_chain(&error))
        }
        _ => PeerProblem::from_chain(&error),
    })
}
