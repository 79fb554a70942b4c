//! Who brings a call.

use std::sync::Arc;

use chapar_core::{
    identity::{Agency, TrustDomain},
    policy::PeerCertificate,
};

use crate::shares::Held;

/// Who is at the other end of a connection that came in. One for each connection, shared by its calls.
#[derive(Debug)]
pub struct Caller {
    identity: CallerIdentity,
    address: Box<str>,
    /// The calls of all that it shares a share with.
    calls: Arc<Held>,
}

/// Who brings calls, as the listener or the handshake says.
#[derive(Debug)]
pub enum CallerIdentity {
    /// One of the agency's own applications.
    Application,
    /// A sidecar with this certificate, which was verified when the connection was made.
    Sidecar {
        /// The certificate.
        peer: PeerCertificate,
        /// The agency that it says that it speaks for; `None` where it speaks for none.
        agency: Option<Agency>,
    },
}

impl Caller {
    /// One of the agency's own applications.
    #[must_use]
    pub fn application(address: &str) -> Self {
        Self { identity: CallerIdentity::Application, address: address.into(), calls: Arc::default() }
    }

    /// The sidecar with this certificate, which was verified when the connection was made, seen from the exchange `own`.
    #[must_use]
    pub fn sidecar(peer: PeerCertificate, own: &TrustDomain, address: &str) -> Self {
        let agency = Agency::from_spiffe_id(&peer.spiffe_id, own);
        Self { identity: CallerIdentity::Sidecar { peer, agency }, address: address.into(), calls: Arc::default() }
    }

    /// The same, one of those whose `calls` are counted together: an agency's sidecars, or the own applications.
    #[must_use]
    pub fn among(self, calls: Arc<Held>) -> Self {
        Self { calls, ..self }
    }

    /// The calls of all that it shares a share with.
    #[must_use]
    pub const fn calls(&self) -> &Arc<Held> {
        &self.calls
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> &CallerIdentity {
        &self.identity
    }

    /// Its certificate; `None` for the agency's own.
    #[must_use]
    pub const fn peer(&self) -> Option<&PeerCertificate> {
        match &self.identity {
            CallerIdentity::Application => None,
            CallerIdentity::Sidecar { peer, .. } => Some(peer),
        }
    }

    /// The agency that its certificate says that it speaks for; `None` for the agency's own, and for whoever speaks for none.
    #[must_use]
    pub const fn agency(&self) -> Option<&Agency> {
        match &self.identity {
            CallerIdentity::Application => None,
            CallerIdentity::Sidecar { agency, .. } => agency.as_ref(),
        }
    }

    /// Where it connected from.
    #[must_use]
    pub const fn address(&self) -> &str {
        &self.address
    }
}
