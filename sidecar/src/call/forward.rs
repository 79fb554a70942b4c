//! Forward: where a permitted call goes, and what goes with it. The engine does the carrying.

use std::{sync::Arc, time::Instant};

use chapar_core::{
    identity::AgencyName,
    policy::{Inquiry, PolicySnapshot, Side},
};

use super::{
    CALL_ID_METADATA, Desk, PURPOSE_METADATA,
    authorize::Allowed,
    minimise::{Extent, Minimised},
    record::{Account, Refused},
    trace,
};
use crate::live::{Pass, Running};

/// A call that may go on its way. Only the stages make one; only an engine takes it apart.
#[derive(Debug)]
pub struct Forward(Way);

/// What an engine needs to carry the call.
#[derive(Debug)]
pub(crate) struct Way {
    /// Closed by how the call ends.
    pub(crate) account: Account,
    /// Where to.
    pub(crate) destination: Destination,
    /// When the caller stops waiting.
    pub(crate) deadline: Option<Instant>,
    /// Metadata that is put in place of whatever the call brought under these names.
    pub(crate) metadata: Vec<(&'static str, Box<str>)>,
    /// Whether `tracestate` goes along: only with the trace it belongs to.
    pub(crate) keeps_tracestate: bool,
    /// How much of the messages passes.
    pub(crate) extent: Extent,
    /// Tells when the call may not go on.
    pub(crate) pass: Pass,
}

/// Where a call goes.
#[derive(Debug)]
pub(crate) enum Destination {
    /// To a sidecar of the provider.
    Provider {
        /// Names the provider and the service.
        inquiry: Arc<Inquiry>,
        /// For nodes that are reserved for someone.
        consumer: AgencyName,
        /// Holds the provider's endpoints.
        snapshot: Arc<PolicySnapshot>,
    },
    /// To the agency's own server of this service.
    Upstream {
        /// Names the service.
        inquiry: Arc<Inquiry>,
    },
}

impl Forward {
    pub(crate) fn into_way(self) -> Way {
        self.0
    }
}

/// Sends the call on to the provider's sidecar.
///
/// # Errors
/// When the policy changed under the call, what the new one refuses for.
pub fn to_provider(desk: &Desk, minimised: Minimised) -> Result<Forward, Refused> {
    forward(desk, minimised, |allowed| Destination::Provider {
        inquiry: Arc::clone(allowed.permit.inquiry()),
        consumer: allowed.known.consumer.clone(),
        snapshot: Arc::clone(&allowed.known.opened.snapshot),
    })
}

/// Sends the call on to the agency's own server.
///
/// # Errors
/// As [`to_provider`].
pub fn to_upstream(desk: &Desk, minimised: Minimised) -> Result<Forward, Refused> {
    forward(desk, minimised, |allowed| Destination::Upstream { inquiry: Arc::clone(allowed.permit.inquiry()) })
}

fn forward(desk: &Desk, minimised: Minimised, destination: impl FnOnce(&Allowed) -> Destination) -> Result<Forward, Refused> {
    let (allowed, extent) = minimised.into_parts();
    let destination = destination(&allowed);
    let metadata = metadata(&allowed);
    let Allowed { known, permit } = allowed;
    let opened = known.opened;
    let running = Running::new(opened.side, known.consumer, known.peer, opened.purpose.is_some(), &permit);
    let entered = desk.live.enter(running, |running| {
        // The policy may have changed between the decision and the entry, and the change then passed this call by.
        running.decided_again_if_changed(desk, &opened.snapshot)
    });
    let pass = match entered {
        Ok(pass) => pass,
        Err(refusal) => return Err(opened.account.refused(refusal)),
    };
    Ok(Forward(Way {
        account: opened.account,
        destination,
        deadline: opened.deadline,
        metadata,
        keeps_tracestate: opened.trace_joined == trace::Joined::Caller,
        extent,
        pass,
    }))
}

/// The tracking ID, the trace and the purpose go to both; the agency's own server also learns who asks and by which resolution, as the
/// sidecar vouches for it.
fn metadata(allowed: &Allowed) -> Vec<(&'static str, Box<str>)> {
    let opened = &allowed.known.opened;
    let account = &opened.account;
    let mut metadata = Vec::with_capacity(6);
    metadata.push((CALL_ID_METADATA, account.call_id().to_string().into_boxed_str()));
    metadata.push(("traceparent", trace::traceparent(account.trace()).into_boxed_str()));
    if let Some(purpose) = &opened.purpose {
        metadata.push((PURPOSE_METADATA, purpose.encoded().into_boxed_str()));
    }
    if opened.side == Side::Provider {
        let grant = allowed.permit.grant();
        metadata.push(("chapar-consumer", Box::from(allowed.known.consumer.as_str())));
        metadata.push(("chapar-inquiry", Box::from(&*grant.inquiry.inquiry)));
        metadata.push(("chapar-resolution", Box::from(&*grant.resolution)));
    }
    metadata
}
