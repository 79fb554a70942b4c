//! Why the other end of a connection is not who it should be.

use std::{io, sync::Arc};

use chapar_core::{
    identity::{IdentityError, SpiffeId, TrustDomain},
    policy::Reason,
};
use rustls::{CertificateError, OtherError};
use thiserror::Error;

/// What is wrong with the certificate that a peer presented.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerProblem {
    /// None was presented.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// It is not X.509, or not as RFC 5280 wants it.
    #[error("the peer's certificate is malformed: {0}")]
    Malformed(String),
    /// It names nobody: no URI among its subject alternative names.
    #[error("the peer's certificate carries no SPIFFE ID")]
    NoIdentity,
    /// It names several; which one speaks is anyone's guess (X.509-SVID, section 2).
    #[error("the peer's certificate carries {0} URIs; exactly one SPIFFE ID is allowed")]
    SeveralIdentities(usize),
    /// Its URI is no identity of an exchange.
    #[error("the peer's certificate carries no identity of an exchange")]
    NotAnIdentity(#[source] IdentityError),
    /// Its trust domain is not ours; roots are never pooled, so nobody here can vouch for it.
    #[error("the peer is of the trust domain {found}; this exchange is {expected}")]
    OtherTrustDomain {
        /// Ours.
        expected: TrustDomain,
        /// The one in the certificate.
        found: TrustDomain,
    },
    /// It does not chain to a root of its trust domain.
    #[error("the peer's certificate does not chain to a root of its trust domain: {0}")]
    Untrusted(String),
    /// The snapshot in force has revoked it, or the CA that issued it.
    #[error("the certificate {0}, which the peer's chain holds, is revoked by the snapshot in force")]
    Revoked(Arc<str>),
    /// Its validity has ended.
    #[error("the peer's certificate has expired; its sidecar must renew it")]
    Expired,
    /// Its validity has not begun.
    #[error("the peer's certificate is not valid yet; compare the clocks of both machines")]
    NotYetValid,
    /// It is in order, but somebody else's.
    #[error("the peer is {found}; expected was {expected}")]
    WrongIdentity {
        /// Who should have answered.
        expected: SpiffeId,
        /// Who did.
        found: SpiffeId,
    },
    /// It is in order, but no sidecar's.
    #[error("the peer is {0}, which is no sidecar")]
    NotASidecar(SpiffeId),
}

impl PeerProblem {
    /// Stable name, for metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Malformed(_) => "malformed",
            Self::NoIdentity => "no_identity",
            Self::SeveralIdentities(_) => "several_identities",
            Self::NotAnIdentity(_) => "not_an_identity",
            Self::OtherTrustDomain { .. } => "other_trust_domain",
            Self::Untrusted(_) => "untrusted_chain",
            Self::Revoked(_) => "revoked",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongIdentity { .. } => "wrong_identity",
            Self::NotASidecar(_) => "not_a_sidecar",
        }
    }

    /// The reason under which it goes on record.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Expired => Reason::CertificateExpired,
            Self::Revoked(_) => Reason::CertificateRevoked,
            Self::WrongIdentity { .. } => Reason::PeerIdentityMismatch,
            _ => Reason::PeerNotIdentified,
        }
    }

    pub(super) fn from_chain(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                Self::Expired
            }
            rustls::Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
                Self::NotYetValid
            }
            other => Self::Untrusted(other.to_string()),
        }
    }
}

/// Goes through the TLS library as an error of its own kind, so that [`HandshakeProblem::from_io`] finds it again.
impl From<PeerProblem> for rustls::Error {
    fn from(problem: PeerProblem) -> Self {
        Self::InvalidCertificate(match problem {
            // Told to the peer as an alert of its own (RFC 8446, section 6.2), so that its operator sees why.
            PeerProblem::Expired => CertificateError::Expired,
            other => CertificateError::Other(OtherError(Arc::new(other))),
        })
    }
}

/// Why a TLS handshake came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeProblem {
    /// This end refused the peer's certificate.
    #[error(transparent)]
    Peer(#[from] PeerProblem),
    /// The peer refused, most often our certificate.
    #[error("the peer ended the handshake: {0}")]
    RefusedByPeer(String),
    /// What arrived was no TLS 1.3 handshake.
    #[error("the peer does not speak TLS as this exchange does: {0}")]
    Protocol(String),
    /// The connection broke.
    #[error("the connection broke during the handshake: {0}")]
    Broken(String),
}

impl HandshakeProblem {
    /// What a failed handshake came to; `error` is what the TLS stream returned.
    #[must_use]
    pub fn from_io(error: &io::Error) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Broken(error.to_string());
        };
        match tls {
            rustls::Error::NoCertificatesPresented => Self::Peer(PeerProblem::NoCertificate),
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                let known = inner.downcast_ref::<PeerProblem>().cloned();
                Self::Peer(known.unwrap_or_else(|| PeerProblem::Untrusted(inner.to_string())))
            }
            rustls::Error::InvalidCertificate(_) => Self::Peer(PeerProblem::from_chain(tls)),
            rustls::Error::AlertReceived(alert) => Self::RefusedByPeer(format!("{alert:?}")),
            other => Self::Protocol(other.to_string()),
        }
    }

    /// Stable name, for metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Peer(problem) => problem.as_str(),
            Self::RefusedByPeer(_) => "refused_by_peer",
            Self::Protocol(_) => "protocol",
            Self::Broken(_) => "broken",
        }
    }
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
    /// There is nothing to go back to.
    #[error("another certificate is in use, or the one before is over")]
    Superseded,
    /// The certificate names nobody, or is trusted by nobody.
    #[error("the sidecar's own certificate is not in order")]
    Certificate(#[source] PeerProblem),
}
