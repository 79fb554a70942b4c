//! Identify: who asks. The answer comes from where the call came in, never from what it says of itself.

use chapar_core::{
    identity::Agency,
    policy::{PeerCertificate, Reason, Refusal, certificate_in_order},
};

use super::{
    accept::{Accepted, Opened},
    record::Refused,
};

/// A call of which it is known who asks.
#[derive(Debug)]
pub struct Identified<'c>(Known<'c>);

#[derive(Debug)]
pub(super) struct Known<'c> {
    pub(super) opened: Opened<'c>,
    pub(super) consumer: &'c Agency,
    pub(super) peer: Option<&'c PeerCertificate>,
}

impl<'c> Identified<'c> {
    pub(super) fn into_known(self) -> Known<'c> {
        self.0
    }
}

/// The outbound listener is the agency's own: whoever reaches it speaks for the agency.
#[must_use]
pub fn application(accepted: Accepted<'_>) -> Identified<'_> {
    let mut opened = accepted.into_opened();
    opened.account.identified();
    Identified(Known { consumer: opened.context.agency(), opened, peer: None })
}

/// The peer's certificate, verified when its connection was made, says who asks. Whether it is still in order is asked anew
/// for every call: neither revocation nor expiry reach an open connection by themselves.
///
/// # Errors
/// `PEER_NOT_IDENTIFIED`, `CERTIFICATE_REVOKED`, `CERTIFICATE_EXPIRED` or `AGENCY_SUSPENDED`.
pub fn sidecar(accepted: Accepted<'_>) -> Result<Identified<'_>, Refused> {
    let mut opened = accepted.into_opened();
    let Some(peer) = opened.head.caller.peer() else {
        let detail = "the connection shows no certificate, and only sidecars of agencies make inquiries here";
        return Err(opened.refused(Refusal::new(Reason::PeerNotIdentified, detail)));
    };
    let Some(consumer) = opened.head.caller.agency() else {
        let detail = format!("{} is not the sidecar of an agency and cannot make inquiries", peer.spiffe_id);
        return Err(opened.refused(Refusal::new(Reason::PeerNotIdentified, detail)));
    };
    opened.account.identified();
    if let Err(refusal) = certificate_in_order(opened.snapshot, peer, opened.context.now()) {
        return Err(opened.refused(refusal));
    }
    Ok(Identified(Known { opened, consumer, peer: Some(peer) }))
}
