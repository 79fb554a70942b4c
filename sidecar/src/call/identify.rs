//! Identify: who asks. The answer comes from where the call came in, never from what it says of itself.

use std::sync::Arc;

use chapar_core::{
    identity::AgencyName,
    policy::{PeerCertificate, Reason, Refusal, certificate_in_order},
};

use super::{
    Desk,
    accept::{Accepted, Opened},
    record::Refused,
};

/// A call of which it is known who asks.
#[derive(Debug)]
pub struct Identified(Known);

#[derive(Debug)]
pub(super) struct Known {
    pub(super) opened: Opened,
    pub(super) consumer: AgencyName,
    pub(super) peer: Option<Arc<PeerCertificate>>,
}

impl Identified {
    pub(super) fn into_known(self) -> Known {
        self.0
    }
}

/// The outbound listener is the agency's own: whoever reaches it speaks for the agency.
#[must_use]
pub fn application(desk: &Desk, accepted: Accepted) -> Identified {
    let mut opened = accepted.into_opened();
    opened.account.asked_by(&desk.agency);
    Identified(Known { opened, consumer: desk.agency.clone(), peer: None })
}

/// The peer's certificate, verified when its connection was made, says who asks. Whether it is still in order is asked anew
/// for every call: neither revocation nor expiry reach an open connection by themselves.
///
/// # Errors
/// `PEER_NOT_IDENTIFIED`, `CERTIFICATE_REVOKED`, `CERTIFICATE_EXPIRED` or `AGENCY_SUSPENDED`.
pub fn sidecar(accepted: Accepted, peer: &Arc<PeerCertificate>) -> Result<Identified, Refused> {
    let mut opened = accepted.into_opened();
    let Some(consumer) = peer.spiffe_id.agency().cloned() else {
        let detail = format!("{} is not the sidecar of an agency and cannot make inquiries", peer.spiffe_id);
        return Err(opened.account.refused(Refusal::new(Reason::PeerNotIdentified, detail)));
    };
    opened.account.asked_by(&consumer);
    if let Err(refusal) = certificate_in_order(&opened.snapshot, peer, opened.now) {
        return Err(opened.account.refused(refusal));
    }
    Ok(Identified(Known { opened, consumer, peer: Some(Arc::clone(peer)) }))
}
