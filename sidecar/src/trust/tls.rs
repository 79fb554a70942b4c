//! TLS as the exchange speaks it: version 1.3 only, aws-lc-rs, the hybrid post-quantum key exchange first, HTTP/2 only, and
//! never a resumed session, since resumption would skip the verification of certificates.

use std::sync::Arc;

use rustls::{
    ClientConfig, Error, PeerIncompatible, ServerConfig,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
    version::TLS13,
};

use crate::clock::Clock;

/// The only protocol above TLS.
const ALPN: &[u8] = b"h2";

/// The cryptography in use. X25519MLKEM768 comes first by the library's feature `prefer-post-quantum`.
#[must_use]
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

pub(super) fn server(verifier: Arc<dyn ClientCertVerifier>, own: Arc<SingleCertAndKey>, clock: &Clock) -> ServerConfig {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3 suites")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

pub(crate) fn client(verifier: Arc<dyn ServerCertVerifier>, own: Option<Arc<SingleCertAndKey>>, clock: &Clock) -> ClientConfig {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(clock.clone()))
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

/// What a verifier says to a signature of TLS 1.2, which no configuration here lets through.
pub(crate) fn tls12() -> Error {
    Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)
}
