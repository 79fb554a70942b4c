//! Whom this sidecar trusts and as whom it is trusted: its own certificate, the roots of its trust domain, and the TLS
//! configurations made of both. Credentials and roots are swapped while connections run.

mod certificate;
mod introduction;
mod material;
mod problem;
pub(crate) mod tls;
mod verifier;
mod vouching;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use chapar_core::{
    identity::{SpiffeId, TrustDomain},
    policy::{PeerCertificate, PolicySnapshot},
    time::Timestamp,
};
use rustls::{
    ClientConfig, ServerConfig,
    crypto::CryptoProvider,
    pki_types::CertificateDer,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::sync::watch;

pub use self::{
    certificate::{hex, issuer_key_sha256, not_before, peer_certificate},
    introduction::introduction,
    material::Credentials,
    problem::{HandshakeProblem, PeerProblem, TrustError},
    tls::nominal_server_name,
    verifier::Bundle,
    vouching::{Vouched, vouched},
};
use self::{
    material::{Material, certified, verify, vouched_for},
    verifier::{Anchors, Expected, InForce, PeerVerifier},
};
use crate::{
    clock::{Clock, unix_time},
    config::Tls,
};

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
    /// Whose revocations handshakes heed.
    in_force: InForce,
    /// What was in use before a renewal.
    former: Mutex<Option<Credentials>>,
    /// Why the last renewal was not to be believed.
    doubt: ArcSwapOption<String>,
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
        let in_force = InForce::default();
        let certified = (certified, credentials.clone());
        let material = Material::new(anchors, certified, &cryptography, &clock, &in_force)?;
        let shared = Shared {
            material: ArcSwap::from_pointee(material),
            generation: watch::Sender::new(1),
            changing: Mutex::new(()),
            cryptography,
            clock,
            in_force,
            former: Mutex::default(),
            doubt: ArcSwapOption::empty(),
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
        let expected = Expected::Exactly(expected.clone());
        let verifier = PeerVerifier::heeding(Arc::clone(&self.shared.in_force), Arc::clone(&material.anchors), expected);
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

    /// Judges `chain` as [`Trust::verify_chain`] does, by other roots than those in use.
    ///
    /// # Errors
    /// What is wrong with it, or with the roots.
    pub fn verify_chain_by(
        &self,
        bundle: Bundle,
        chain: &[CertificateDer<'_>],
        expected: &SpiffeId,
        at: Timestamp,
    ) -> Result<(), PeerProblem> {
        let anchors = Anchors::new(bundle).map_err(|error| PeerProblem::Malformed(error.to_string()))?;
        verify(&Arc::new(anchors), chain, Expected::Exactly(expected.clone()), unix_time(at))
    }

    /// For one connection to the control plane that shows `candidate` instead of what is in use; and its serial number.
    ///
    /// # Errors
    /// As [`Trust::new`].
    pub fn candidate(&self, candidate: &Credentials) -> Result<(Arc<ClientConfig>, Arc<str>), TrustError> {
        let anchors = Arc::clone(&self.shared.material.load().anchors);
        let certified = certified(candidate)?;
        vouched_for(&anchors, &certified)?;
        let serial = peer_certificate(&certified.cert).map_err(TrustError::Certificate)?.serial;
        let expected = Expected::Exactly(SpiffeId::control_plane(anchors.trust_domain.clone()));
        let verifier = PeerVerifier::heeding(Arc::clone(&self.shared.in_force), anchors, expected);
        let shown = Arc::new(SingleCertAndKey::from(certified));
        Ok((Arc::new(tls::client(&self.shared.cryptography, Arc::new(verifier), Some(shown), &self.shared.clock)), serial))
    }

    /// Takes a renewed certificate into use: new connections show it, running ones go on. Gives back what was in use, which is remembered
    /// for [`Trust::fall_back`].
    ///
    /// # Errors
    /// As [`Trust::new`]; what was in use stays.
    pub fn replace_credentials(&self, credentials: &Credentials) -> Result<Credentials, TrustError> {
        let certified = certified(credentials)?;
        let mut former = None;
        self.change(|held| {
            vouched_for(&held.anchors, &certified)?;
            former = Some(held.credentials.clone());
            self.material(Arc::clone(&held.anchors), (Arc::clone(&certified), credentials.clone()))
        })?;
        // It was set: the change was made.
        let former = former.unwrap_or_else(|| credentials.clone());
        self.remember(former.clone());
        Ok(former)
    }

    /// Remembers what was in use before, for [`Trust::fall_back`].
    pub fn remember(&self, former: Credentials) {
        *self.shared.former.lock().unwrap_or_else(PoisonError::into_inner) = Some(former);
    }

    /// Goes back to what was in use before the certificate with this serial number, and answers what that is. `None`: another one is in
    /// use, or there is none before it that is valid still.
    pub fn fall_back(&self, serial: &str) -> Option<Credentials> {
        let mut remembered = self.shared.former.lock().unwrap_or_else(PoisonError::into_inner);
        let former = remembered.clone()?;
        let certified = certified(&former).ok()?;
        let before = peer_certificate(&certified.cert).ok()?;
        let changed = self.change(|held| {
            let is_its_own = before.spiffe_id == held.own.spiffe_id && before.serial != held.own.serial;
            if *held.own.serial != *serial || !is_its_own || before.not_after <= self.shared.clock.now() {
                return Err(TrustError::Superseded);
            }
            vouched_for(&held.anchors, &certified)?;
            self.material(Arc::clone(&held.anchors), (Arc::clone(&certified), former.clone()))
        });
        changed.ok()?;
        remembered.take()
    }

    /// Why the last renewal is not to be believed, for the operator; `None`: it is.
    pub fn doubt(&self, why: Option<String>) {
        self.shared.doubt.store(why.map(Arc::new));
    }

    /// What was said by [`Trust::doubt`] last.
    #[must_use]
    pub fn doubted(&self) -> Option<Arc<String>> {
        self.shared.doubt.load_full()
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
        self.change(|held| self.material(Arc::clone(&anchors), (Arc::clone(&held.certified), held.credentials.clone())))
    }

    fn material(&self, anchors: Arc<Anchors>, certified: (Arc<CertifiedKey>, Credentials)) -> Result<Material, TrustError> {
        let Shared { cryptography, clock, in_force, .. } = &*self.shared;
        Material::new(anchors, certified, cryptography, clock, in_force)
    }

    /// Heeds the revocations of this snapshot in every handshake from now on.
    pub fn heed(&self, in_force: Option<Arc<PolicySnapshot>>) {
        self.shared.in_force.store(in_force);
    }

    fn change(&self, make: impl FnOnce(&Material) -> Result<Material, TrustError>) -> Result<(), TrustError> {
        let _alone = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = make(&self.shared.material.load())?;
        self.shared.material.store(Arc::new(next));
        self.shared.generation.send_modify(|generation| *generation += 1);
        Ok(())
    }
}
