//! Verifying a client's certificate: it must chain to a root of our own trust domain and name exactly one identity of it.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use chapar_core::identity::TrustDomain;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::peer::Certified;
use crate::authority::Current;

/// Judges client certificates by the roots in use; they are exchanged while connections come in.
pub(super) struct PeerVerifier {
    trust_domain: TrustDomain,
    trusted: ArcSwap<Trusted>,
    provider: Arc<CryptoProvider>,
    /// False: a client without a certificate may connect, and is nobody.
    mandatory: bool,
}

/// By whom a client's certificate may have been issued.
struct Trusted {
    roots: Arc<dyn ClientCertVerifier>,
    /// The only issuing CAs that are looked at. What a client shows beside its own certificate is not: with the key of a retired CA
    /// somebody could still sign, and show that CA's certificate.
    issuers: Arc<[CertificateDer<'static>]>,
}

impl PeerVerifier {
    pub(super) fn new(
        trust_domain: TrustDomain,
        current: &Current,
        provider: Arc<CryptoProvider>,
        mandatory: bool,
    ) -> Result<Self, Error> {
        let trusted = ArcSwap::from_pointee(trusted(current, provider.clone())?);
        Ok(Self { trust_domain, trusted, provider, mandatory })
    }

    /// Trusts these roots and issuing CAs from now on.
    pub(super) fn trust(&self, current: &Current) -> Result<(), Error> {
        self.trusted.store(Arc::new(trusted(current, self.provider.clone())?));
        Ok(())
    }
}

fn trusted(current: &Current, provider: Arc<CryptoProvider>) -> Result<Trusted, Error> {
    Ok(Trusted { roots: by_roots(current.roots.clone(), provider)?, issuers: current.issuers.clone() })
}

fn by_roots(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    WebPkiClientVerifier::builder_with_provider(roots, provider)
        .build()
        .map_err(|error| Error::General(format!("the trusted roots make no verifier: {error}")))
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerVerifier").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The roots may be exchanged at any time, and hints help nobody: a sidecar has one certificate.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let trusted = self.trusted.load();
        let verified = trusted.roots.verify_client_cert(end_entity, &trusted.issuers, now)?;
        Certified::read(end_entity, &self.trust_domain)
            .map_err(|problem| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(problem)))))?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted.load().roots.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted.load().roots.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusted.load().roots.supported_verify_schemes()
    }
}
