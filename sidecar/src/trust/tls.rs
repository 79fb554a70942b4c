//! TLS as the exchange speaks it: version 1.3 only, aws-lc-rs, the hybrid post-quantum key exchange first, HTTP/2 only, and
//! never a resumed session, since resumption would skip the verification of certificates.

use std::sync::Arc;

use rustls::{
    ClientConfig, ServerConfig,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::ServerName,
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
    version::TLS13,
};

use crate::{
    clock::Clock,
    config::{KeyExchange, Suite, Tls},
};

/// The only protocol above TLS.
const ALPN: &[u8] = b"h2";

/// The name that stands where TLS wants a host name: verification goes by SPIFFE ID, and the name is never sent.
#[must_use]
pub fn nominal_server_name() -> ServerName<'static> {
    ServerName::try_from("sidecar.chapar.invalid").expect("a literal DNS name")
}

/// The cryptography in use where nobody chose. X25519MLKEM768 comes first by the library's feature `prefer-post-quantum`.
#[must_use]
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The cryptography that `chosen` names, and no other.
#[must_use]
pub(super) fn provider_of(chosen: &Tls) -> Arc<CryptoProvider> {
    let suites = chosen.suites.iter().map(|suite| match suite {
        Suite::Aes256GcmSha384 => aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        Suite::Aes128GcmSha256 => aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        Suite::Chacha20Poly1305Sha256 => aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    });
    let exchanges = chosen.key_exchanges.iter().map(|exchange| match exchange {
        KeyExchange::X25519MlKem768 => aws_lc_rs::kx_group::X25519MLKEM768,
        KeyExchange::X25519 => aws_lc_rs::kx_group::X25519,
        KeyExchange::Secp256r1 => aws_lc_rs::kx_group::SECP256R1,
        KeyExchange::Secp384r1 => aws_lc_rs::kx_group::SECP384R1,
    });
    let (cipher_suites, kx_groups) = (suites.collect(), exchanges.collect());
    Arc::new(CryptoProvider { cipher_suites, kx_groups, ..aws_lc_rs::default_provider() })
}

pub(super) fn server(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    own: Arc<SingleCertAndKey>,
    clock: &Clock,
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3 suites")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

pub(super) fn client(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    own: Option<Arc<SingleCertAndKey>>,
    clock: &Clock,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_details(Arc::clone(provider), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3 suites")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(own),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    // Identities are SPIFFE IDs; a host name in the clear would tell onlookers who is called.
    config.enable_sni = false;
    config
}

/// What every verifier says to signatures: those of TLS 1.3 are judged by the provider, and TLS 1.2, which no configuration here
/// lets through, has none that stands.
macro_rules! tls13_signatures {
    ($self:ident => $provider:expr) => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _leaf: &rustls::pki_types::CertificateDer<'_>,
            _signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
        }

        fn verify_tls13_signature(
            &$self,
            message: &[u8],
            leaf: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, leaf, signature, &$provider.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&$self) -> Vec<rustls::SignatureScheme> {
            $provider.signature_verification_algorithms.supported_schemes()
        }
    };
}
pub(super) use tls13_signatures;
