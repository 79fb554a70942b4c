//! Why credentials or roots cannot be taken into use.

use chapar_core::identity::TrustDomain;
use thiserror::Error;

use super::problem::PeerProblem;

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
