//! The gate: what the relay asks about calls, answered by the stages of the path. One a worker, owned by its relay.

mod causes;
mod endings;
mod reply;
mod running;
mod subject;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    rc::Rc,
    time::{Duration, Instant},
};

use chapar_core::{
    metadata,
    policy::{Reason, Refusal, Side, certificate_in_order},
};
use chapar_relay::{
    Assignment, Back, CallKey, Cause, Ending, EndpointKey, FirstMessage, Flows, HeadWriter, Opening, Reply, RequestHead,
    RequestHook, ResponseHook, Transformed, Verdict, hpack::KnownName,
};

pub(crate) use self::running::Call;
use self::subject::SubjectSearch;
use crate::{
    call::{
        self, Accounts, CallHead, Caller, CallerIdentity, Metadata, StageContext, forward::Forwarding, minimise::Extent, timeout,
        trace,
    },
    endpoints::{Endpoint, EndpointKind, EndpointSet},
    transport::{DialError, FarEnd},
};

/// Answers the relay's questions by the stages of the path.
#[derive(Debug)]
pub(crate) struct Gate {
    context: StageContext,
    /// Where calls can be taken.
    pub(crate) endpoints: EndpointSet,
}

/// The stages' view of a request's head.
struct View<'h>(&'h RequestHead<'h>);

impl Metadata for View<'_> {
    fn first(&self, name: KnownName) -> Option<&[u8]> {
        self.0.first(name)
    }

    fn repeats(&self, name: KnownName) -> bool {
        self.0.repeats(name)
    }
}

impl Gate {
    /// A gate whose stages consult `context`.
    pub(crate) fn new(context: StageContext, endpoints: EndpointSet) -> Self {
        Self { context, endpoints }
    }

    /// Takes in what has changed of policy and credentials: before running calls are decided again.
    pub(crate) fn refresh(&mut self, now: Instant) {
        self.context.advance_to(now);
    }

    /// Makes the accounts that were closed safe from a crash: before any caller can see the end of its call.
    pub(crate) fn commit(&self) {
        self.context.accounts().commit();
    }

    /// Where accounts are closed.
    pub(crate) const fn accounts(&self) -> &Rc<Accounts> {
        self.context.accounts()
    }

    /// Has a call that has come walk the stages.
    fn arrive(&mut self, caller: &Rc<Caller>, head: &RequestHead<'_>, now: Instant, reply: &mut Reply) -> Opening<Call> {
        self.context.advance_to(now);
        let path = head.path();
        let path = path.split(|byte| *byte == b'?').next().unwrap_or(path);
        let stage_head = CallHead { method: head.method(), path, metadata: &View(head), caller };
        let decided = match caller.identity() {
            CallerIdentity::Sidecar { .. } => call::from_sidecar(&self.context, &stage_head),
            CallerIdentity::Application => call::from_application(&self.context, &stage_head),
        };
        match decided {
            Ok(forward) => Self::forward(forward.into_forwarding(), head),
            Err(refused) => {
                reply::put(&refused.account.record(), &refused.refusal, refused.form, reply);
                Opening::Refuse
            }
        }
    }

    /// Hands a permitted call to the relay.
    fn forward(forwarding: Forwarding, head: &RequestHead<'_>) -> Opening<Call> {
        if !forwarding.keeps_tracestate {
            head.drop_tracestate();
        }
        let deadline = forwarding.deadline;
        let response = match forwarding.extent {
            // Bodies pass through unread.
            Extent::Whole => ResponseHook::Pass,
        };
        let subject = SubjectSearch::new(&forwarding, head);
        let request = match &subject {
            SubjectSearch::NotAsked => RequestHook::Pass,
            SubjectSearch::Asked { .. } => RequestHook::Peek,
        };
        let call = Call::new(forwarding, subject);
        Opening::Forward { call, deadline, request, response, awaits_answer: false }
    }

    /// Whether calls may go over a connection to an endpoint of this kind. Revocation and expiry do not reach an open connection by
    /// themselves: who is at its other end is checked for each call.
    fn in_order(&self, kind: EndpointKind, far_end: &FarEnd) -> Result<(), Refusal> {
        match (kind, far_end) {
            (EndpointKind::Peer, FarEnd::Sidecar(peer)) => {
                certificate_in_order(self.context.in_force()?, peer, self.context.now())
            }
            (EndpointKind::Upstream, FarEnd::OwnServer) => Ok(()),
            (EndpointKind::Peer, FarEnd::OwnServer) | (EndpointKind::Upstream, FarEnd::Sidecar(_)) => {
                let detail = "who is at the other end of the connection is not of the kind that the endpoint is";
                Err(Refusal::new(Reason::PeerNotIdentified, detail))
            }
        }
    }
}

impl chapar_relay::Gate for Gate {
    type Origin = Rc<Caller>;
    type Peer = Rc<FarEnd>;
    type Endpoint = Endpoint;
    type DialError = DialError;
    type Call = Call;
    /// Nothing is asked of anybody while a call waits.
    type Answer = Infallible;

    fn open(
        &mut self,
        origin: &Rc<Caller>,
        head: &RequestHead<'_>,
        _: CallKey,
        now: Instant,
        reply: &mut Reply,
    ) -> Opening<Call> {
        self.arrive(origin, head, now, reply)
    }

    fn candidates(&mut self, call: &mut Call, endpoints: &mut Vec<EndpointKey>) {
        let inquiry = call.account.permit().inquiry();
        endpoints.extend_from_slice(match call.account.side() {
            Side::Consumer => self.endpoints.of_provider(inquiry),
            Side::Provider => self.endpoints.of_upstream(inquiry),
        });
    }

    fn assigned(&mut self, call: &mut Call, endpoint: &Endpoint, far_end: &Rc<FarEnd>, now: Instant) -> Assignment {
        match self.in_order(endpoint.kind, far_end) {
            Ok(()) => {
                endpoint.used(now);
                call.goes_to(&endpoint.address, far_end);
                Assignment::Go
            }
            Err(refusal) => {
                call.void = Some(Box::new(refusal));
                Assignment::Void
            }
        }
    }

    fn write_onward(&mut self, call: &Call, _: &Endpoint, _: &Rc<FarEnd>, left: Option<Duration>, out: &mut HeadWriter<'_>) {
        let account = &call.account;
        out.field(metadata::CALL_ID.as_bytes(), &account.call_id().hex());
        out.field(b"traceparent", &trace::traceparent(account.trace()));
        if let Some(left) = left {
            out.field(b"grpc-timeout", timeout::format(left).as_bytes());
        }
        match account.side() {
            Side::Consumer => {}
            // The agency's own server also learns who asks and by which resolution, as its sidecar vouches for it.
            Side::Provider => {
                let grant = account.permit().grant();
                out.field(metadata::CONSUMER.as_bytes(), grant.consumer.as_str().as_bytes());
                out.field(metadata::INQUIRY.as_bytes(), grant.inquiry.inquiry.as_bytes());
                out.field(metadata::RESOLUTION.as_bytes(), grant.resolution.as_bytes());
            }
        }
    }

    fn write_back(&mut self, call: &Call, part: Back, out: &mut HeadWriter<'_>) {
        match part {
            // The other sidecar cut a call that it had begun to answer. Many a library shows of such a call the trailers alone.
            Back::Head { .. } | Back::Trailers { refused: true } => {
                out.field(metadata::CALL_ID.as_bytes(), &call.account.call_id().hex());
            }
            Back::Trailers { refused: false } => {}
        }
    }

    fn first_message(&mut self, call: &mut Call, message: FirstMessage<'_>, reply: &mut Reply) -> Verdict {
        match call.subject.hash(message, &call.account) {
            Ok(Some(subject)) => call.account.asks_about(subject),
            // The field may be optional.
            Ok(None) => {}
            Err(refusal) => {
                causes::put(call, &causes::Told::refused(refusal), reply);
                return Verdict::Cut;
            }
        }
        Verdict::Go
    }

    fn answered(&mut self, _: &mut Call, answer: Infallible, _: &mut Reply) -> Verdict {
        match answer {}
    }

    fn transform(&mut self, call: &mut Call, _: bool, _: &[u8], _: &mut Vec<u8>, reply: &mut Reply) -> Transformed {
        // Never asked for (`ResponseHook::Pass`): a message that nothing said how to narrow does not pass.
        causes::put(call, &causes::Told::not_narrowed(), reply);
        Transformed::Cut
    }

    fn recheck(&mut self, call: &mut Call, now: Instant, reply: &mut Reply) -> bool {
        self.context.advance_to(now);
        match call.decide_again(&self.context) {
            Ok(()) => true,
            Err(refusal) => {
                tracing::info!(reason = refusal.reason.as_str(), call_id = %call.account.call_id(), "call cut");
                causes::put(call, &causes::Told::refused(refusal), reply);
                false
            }
        }
    }

    fn refusal(&mut self, call: &mut Call, cause: &Cause<'_, Self>, reply: &mut Reply) {
        let told = causes::told(call, cause, self.context.agency());
        causes::put(call, &told, reply);
    }

    fn close(&mut self, mut call: Call, ending: Ending<'_>, flows: Flows, now: Instant) {
        // Also where nothing else happens in this turn, its length is right.
        self.context.accounts().advance_to(now);
        endings::put(&mut call.account, &ending, &flows);
        // Being dropped closes the account.
        drop(call);
    }
}
