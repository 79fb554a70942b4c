//! Authorise: may this consumer make this inquiry now. The only maker of a permit is `chapar_core::policy::decide`.

use chapar_core::{
    identity::Agency,
    policy::{self, Facts, PeerCertificate, Permit, PolicySnapshot, Reason, Refusal, Side},
    time::Timestamp,
};

use super::{
    identify::Known,
    record::{Form, Refused, RefusedAccount},
    route::{Found, Routed},
};

/// A call that a grant in force allows.
#[derive(Debug)]
pub struct Permitted<'c>(Allowed<'c>);

/// A known call with its permit.
#[derive(Debug)]
pub(super) struct Allowed<'c> {
    pub(super) known: Known<'c>,
    pub(super) permit: Permit,
}

impl<'c> Permitted<'c> {
    pub(super) fn into_allowed(self) -> Allowed<'c> {
        self.0
    }
}

/// Decides on the snapshot that the call was routed with.
///
/// # Errors
/// What `policy::decide` refuses for.
pub fn decide(routed: Routed<'_>) -> Result<Permitted<'_>, Refused> {
    let Found { mut known, offer } = routed.into_found();
    let opened = &mut known.opened;
    let facts = Facts {
        side: opened.account.side(),
        consumer: known.consumer,
        offer,
        own: opened.context.own(),
        peer: known.peer,
        purpose_stated: opened.account.states_purpose(),
        now: opened.context.now(),
    };
    opened.account.decided_on(opened.snapshot.policy_version());
    match policy::decide(opened.snapshot, &facts) {
        Ok(permit) => Ok(Permitted(Allowed { known, permit })),
        Err(refusal) => {
            let mut account = known.opened.account;
            account.asks_for(offer.inquiry());
            account.refuse(&refusal);
            Err(Refused { account: RefusedAccount::Undecided(account), refusal, form: Form::GrpcStatus })
        }
    }
}

/// Who asks whom for what, for as long as the call runs: enough to decide it again.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'c> {
    /// Which side this is.
    pub side: Side,
    /// Who asks.
    pub consumer: &'c Agency,
    /// HTTP/2 path of the inquiry.
    pub path: &'c str,
    /// Who answers.
    pub provider: &'c Agency,
    /// The certificate that the other sidecar showed.
    pub peer: Option<&'c PeerCertificate>,
    /// Whether the caller said what it asks for.
    pub purpose_stated: bool,
}

/// Decides a running call again, on what the sidecar knows now.
///
/// # Errors
/// Why the call has to end.
pub fn again(snapshot: &PolicySnapshot, own: &PeerCertificate, now: Timestamp, call: &CallFacts<'_>) -> Result<Permit, Refusal> {
    let offer = snapshot.inquiry(call.path, Some(call.provider.as_str())).map_err(|_| {
        let detail =
            format!("{} is no longer in an approved passport of {}; only an approval brings it back", call.path, call.provider);
        Refusal::new(Reason::UnknownInquiry, detail)
    })?;
    let facts =
        Facts { side: call.side, consumer: call.consumer, offer, own, peer: call.peer, purpose_stated: call.purpose_stated, now };
    policy::decide(snapshot, &facts)
}
