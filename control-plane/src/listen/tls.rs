//! TLS 1.3 with the authority's certificates, exchanged hot.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    time_provider::TimeProvider,
    version::TLS13,
};
use rustls_pki_types::UnixTime;
use tokio_rustls::TlsAcceptor;

use super::verify::PeerVerifier;
use crate::{authority::Authority, clock::Clock};

/// Accepts TLS connections with whatever certificate and roots are in use.
#[derive(Clone)]
pub struct Acceptor {
    pub(super) tls: TlsAcceptor,
}

impl Acceptor {
    /// Follows the authority from now on. `mandatory`: turns clients without a certificate away at the handshake.
    ///
    /// # Errors
    /// When rustls cannot work with the roots.
    pub fn following(authority: &Authority, clock: Clock, mandatory: bool) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = authority.current();
        let trust_domain = authority.trust_domain().clone();
        let verifier = PeerVerifier::new(trust_domain, &current, provider.clone(), mandatory)?;
        let verifier = Arc::new(verifier);
        let presented = Arc::new(Presented(ArcSwap::new(current.own.presented.clone())));

        let mut config = ServerConfig::builder_with_details(provider, Arc::new(TlsClock(clock)))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier.clone())
            .with_cert_resolver(presented.clone());
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session is not verified again: neither revocation nor a retired root would reach it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;

        authority.on_change(move |current| {
            presented.0.store(current.own.presented.clone());
            if let Err(error) = verifier.trust(current) {
                tracing::error!(%error, "keeps the roots and issuing CAs trusted so far");
            }
        });
        Ok(Self { tls: TlsAcceptor::from(Arc::new(config)) })
    }
}

/// The control plane's certificate of the moment.
#[derive(Debug)]
struct Presented(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

#[derive(Debug)]
struct TlsClock(Clock);

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = u64::try_from(self.0.now().unix_ms()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(now)))
    }
}
