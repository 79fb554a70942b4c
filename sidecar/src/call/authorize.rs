//! Authorise: may this consumer make this inquiry now. The only maker of a permit is `chapar_core::policy::decide`.

use std::sync::Arc;

use chapar_core::{
    identity::AgencyName,
    policy::{self, Facts, PeerCertificate, Permit, PolicySnapshot, Reason, Refusal, Side},
    time::Timestamp,
};

use super::{
    identify::Known,
    record::Refused,
    route::{Found, Routed},
};

/// A call that a grant in force allows.
#[derive(Debug)]
pub struct Permitted(Allowed);

#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) known: Known,
    pub(super) permit: Permit,
}

impl Permitted {
    pub(super) fn into_allowed(self) -> Allowed {
        self.0
    }
}

/// Decides on the snapshot that the call was routed with.
///
/// # Errors
/// What `policy::decide` refuses for.
pub fn decide(routed: Routed) -> Result<Permitted, Refused> {
    let Found { mut known, inquiry } = routed.into_found();
    let opened = &mut known.opened;
    let snapshot = Arc::clone(&opened.snapshot);
    let Ok(offer) = snapshot.inquiry(&inquiry.path, Some(inquiry.key.provider.as_str())) else {
        let detail = "the inquiry is not in the snapshot that it was found in";
        return Err(known.opened.account.refused(Refusal::new(Reason::UnknownInquiry, detail)));
    };
    let facts = Facts {
        side: opened.side,
        consumer: &known.consumer,
        offer,
        own: &opened.own,
        peer: known.peer.as_deref(),
        purpose_stated: opened.purpose.is_some(),
        now: opened.now,
    };
    opened.account.decided_on(opened.snapshot.policy_version());
    match policy::decide(&opened.snapshot, &facts) {
        Ok(permit) => {
            opened.account.permitted_by(&permit);
            Ok(Permitted(Allowed { known, permit }))
        }
        Err(refusal) => Err(known.opened.account.refused(refusal)),
    }
}

/// Who asks whom for what, for as long as the call runs: enough to decide it again.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'c> {
    /// Which side this is.
    pub side: Side,
    /// Who asks.
    pub consumer: &'c AgencyName,
    /// HTTP/2 path of the inquiry.
    pub path: &'c str,
    /// Who answers.
    pub provider: &'c AgencyName,
    /// The certificate that the other sidecar showed.
    pub peer: Option<&'c PeerCertificate>,
    /// Whether it stated its purpose.
    pub purpose_stated: bool,
}

/// Decides a running call again, on what the sidecar knows now.
///
/// # Errors
/// Why the call has to end.
pub fn again(snapshot: &PolicySnapshot, own: &PeerCertificate, now: Timestamp, call: &Standing<'_>) -> Result<Permit, Refusal> {
    let offer = snapshot.inquiry(call.path, Some(call.provider.as_str())).map_err(|_| {
        let detail =
            format!("{} is no longer in an approved passport of {}; only an approval brings it back", call.path, call.provider);
        Refusal::new(Reason::UnknownInquiry, detail)
    })?;
    let Standing { side, consumer, peer, purpose_stated, .. } = *call;
    let facts = Facts { side, consumer, offer, own, peer, purpose_stated, now };
    policy::decide(snapshot, &facts)
}
