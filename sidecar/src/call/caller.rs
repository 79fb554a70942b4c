//! Who brings a call.

use chapar_core::{
    identity::{Agency, TrustDomain},
    policy::PeerCertificate,
};

/// Who is at the other end of a connection that came in. One for each connection, shared by its calls.
#[derive(Debug)]
pub struct Caller {
    peer: Option<PeerCertificate>,
    agency: Option<Agency>,
    address: Box<str>,
}

impl Caller {
    /// One of the agency's own applications.
    #[must_use]
    pub fn application(address: &str) -> Self {
        Self { peer: None, agency: None, address: address.into() }
    }

    /// The sidecar with this certificate, which was verified when the connection was made, seen from the exchange `own`.
    #[must_use]
    pub fn sidecar(peer: PeerCertificate, own: &TrustDomain, address: &str) -> Self {
        let agency = Agency::from_spiffe_id(&peer.spiffe_id, own);
        Self { peer: Some(peer), agency, address: address.into() }
    }

    /// Its certificate; `None` for the agency's own.
    #[must_use]
    pub const fn peer(&self) -> Option<&PeerCertificate> {
        self.peer.as_ref()
    }

    /// The agency that its certificate says that it speaks for; `None` for the agency's own, and for whoever speaks for none.
    #[must_use]
    pub const fn agency(&self) -> Option<&Agency> {
        self.agency.as_ref()
    }

    /// Where it connected from.
    #[must_use]
    pub const fn address(&self) -> &str {
        &self.address
    }
}
