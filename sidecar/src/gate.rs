//! The gate: what the relay asks about calls, answered by the stages of the path. One a worker, owned by its relay.

mod causes;
mod endings;
mod reply;
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
    policy::{PeerCertificate, Refusal, Side, certificate_in_order},
    subject::Coding,
    time::Timestamp,
};
use chapar_relay::{
    Assignment, Back, CallKey, Cause, Ending, EndpointKey, FirstMessage, Flows, HeadWriter, Opening, Reply, RequestHead,
    RequestHook, ResponseHook, Transformed, Verdict, hpack::KnownName,
};

use crate::call::{
    self, Book, Caller, Desk, Metadata,
    authorize::{self, Standing},
    forward::Way,
    minimise::Extent,
    record::Account,
    timeout, trace,
};
pub(crate) use crate::worker::{DialError, PlaceBook, Towards, Whither};

/// Where the calls of a connection come from.
pub(crate) type Origin = Rc<Caller>;

/// Who is at the other end of a connection that was dialled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Met {
    /// Its certificate; `None` for the agency's own servers.
    pub(crate) peer: Option<Rc<PeerCertificate>>,
}

/// Answers the relay's questions by the stages of the path.
#[derive(Debug)]
pub(crate) struct Gate {
    desk: Desk,
    /// Where calls can be taken.
    pub(crate) places: PlaceBook,
}

/// A call under way: its account, and what decides it again.
#[derive(Debug)]
pub(crate) struct Call {
    account: Account,
    /// The sidecar that the call went to, at the consumer's side.
    met: Option<Rc<PeerCertificate>>,
    /// From then on the call has to be decided again.
    valid_until: Timestamp,
    /// How many snapshots its worker had seen when it was decided.
    decided_on: u64,
    /// How its messages may be compressed, where that is known.
    coding: Option<Coding>,
    /// Why the peer of the last link was found void.
    void: Option<Box<Refusal>>,
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
    /// A gate whose stages consult `desk`.
    pub(crate) fn new(desk: Desk, places: PlaceBook) -> Self {
        Self { desk, places }
    }

    /// Takes in what has changed of policy and credentials: before running calls are decided again.
    pub(crate) fn refresh(&mut self, now: Instant) {
        self.desk.turn(now);
    }

    /// Makes the accounts that were closed safe from a crash: before any caller can see the end of its call.
    pub(crate) fn commit(&self) {
        self.desk.book().commit();
    }

    /// Where accounts are closed.
    pub(crate) const fn book(&self) -> &Rc<Book> {
        self.desk.book()
    }

    fn arrive(&mut self, caller: &Origin, head: &RequestHead<'_>, now: Instant, reply: &mut Reply) -> Opening<Call> {
        self.desk.turn(now);
        let path = head.path();
        let path = path.split(|byte| *byte == b'?').next().unwrap_or(path);
        let stage = call::Head { method: head.method(), path, metadata: &View(head), caller };
        let walked = match caller.peer() {
            Some(_) => call::from_sidecar(&self.desk, &stage),
            None => call::from_application(&self.desk, &stage),
        };
        let way = match walked {
            Ok(forward) => forward.into_way(),
            Err(refused) => {
                reply::put(&refused.account, &refused.refusal, refused.form, reply);
                return Opening::Refuse;
            }
        };
        if !way.keeps_tracestate {
            head.drop_tracestate();
        }
        self.forward(way, subject::coding(head))
    }

    fn forward(&self, way: Way, coding: Option<Coding>) -> Opening<Call> {
        let Way { account, deadline, valid_until, extent, .. } = way;
        let response = match extent {
            // Bodies pass through unread.
            Extent::Whole => ResponseHook::Pass,
        };
        let names_its_subject = account.permit().is_some_and(|permit| !permit.inquiry().subjects.is_empty());
        let can_hash = self.desk.snapshot().is_some_and(|snapshot| snapshot.subject_key().is_some());
        let request = if names_its_subject && can_hash { RequestHook::Peek } else { RequestHook::Pass };
        let decided_on = self.desk.snapshots_seen();
        let call = Call { account, met: None, valid_until, decided_on, coding, void: None };
        Opening::Forward { call, deadline, request, response, awaits_answer: false }
    }

    /// Decides a running call again, on what the sidecar knows now.
    fn decide_again(&self, call: &mut Call) -> Result<(), Refusal> {
        // What had a snapshot once goes on having one.
        let (Some(snapshot), Some(permit)) = (self.desk.snapshot(), call.account.permit()) else {
            return Ok(());
        };
        let side = call.account.side();
        let inquiry = permit.inquiry();
        let standing = Standing {
            side,
            consumer: &permit.grant().consumer,
            path: &inquiry.path,
            provider: &inquiry.key.provider,
            peer: match side {
                Side::Consumer => call.met.as_deref(),
                Side::Provider => call.account.caller().peer(),
            },
            purpose_stated: call.account.states_purpose(),
        };
        let permit = authorize::again(snapshot, self.desk.own(), self.desk.now(), &standing)?;
        call.valid_until = permit.valid_until();
        call.decided_on = self.desk.snapshots_seen();
        Ok(())
    }

    /// Revocation and expiry do not reach an open connection by themselves: who is at its other end is checked for each call.
    fn in_order(&self, met: &Met) -> Result<(), Refusal> {
        match (&met.peer, self.desk.snapshot()) {
            (Some(peer), Some(snapshot)) => certificate_in_order(snapshot, peer, self.desk.now()),
            _ => Ok(()),
        }
    }
}

impl chapar_relay::Gate for Gate {
    type Origin = Origin;
    type Peer = Met;
    type Endpoint = Whither;
    type DialError = DialError;
    type Call = Call;
    /// Nothing is asked of anybody while a call waits.
    type Answer = Infallible;

    fn open(&mut self, origin: &Origin, head: &RequestHead<'_>, _: CallKey, now: Instant, reply: &mut Reply) -> Opening<Call> {
        self.arrive(origin, head, now, reply)
    }

    fn candidates(&mut self, call: &mut Call, places: &mut Vec<EndpointKey>) {
        let Some(permit) = call.account.permit() else { return };
        places.extend_from_slice(match call.account.side() {
            Side::Consumer => self.places.of_provider(permit.inquiry()),
            Side::Provider => self.places.of_upstream(permit.inquiry()),
        });
    }

    fn assigned(&mut self, call: &mut Call, place: &Whither, met: &Met, now: Instant) -> Assignment {
        if let Err(refusal) = self.in_order(met) {
            call.void = Some(Box::new(refusal));
            return Assignment::Void;
        }
        place.used(now);
        call.account.forwarded_to(&place.address);
        // Its revocation or expiry ends the call. A call that is sent again depends on the next peer only.
        call.met.clone_from(&met.peer);
        if let Some(peer) = &met.peer {
            call.valid_until = call.valid_until.min(peer.not_after);
        }
        Assignment::Go
    }

    fn write_onward(&mut self, call: &Call, _: &Whither, _: &Met, left: Option<Duration>, out: &mut HeadWriter<'_>) {
        let account = &call.account;
        out.field(metadata::CALL_ID.as_bytes(), &account.call_id().hex());
        out.field(b"traceparent", &trace::traceparent(account.trace()));
        if let Some(left) = left {
            out.field(b"grpc-timeout", timeout::format(left).as_bytes());
        }
        // The agency's own server also learns who asks and by which resolution, as its sidecar vouches for it.
        if let (Side::Provider, Some(permit)) = (account.side(), account.permit()) {
            let grant = permit.grant();
            out.field(metadata::CONSUMER.as_bytes(), grant.consumer.as_str().as_bytes());
            out.field(metadata::INQUIRY.as_bytes(), grant.inquiry.inquiry.as_bytes());
            out.field(metadata::RESOLUTION.as_bytes(), grant.resolution.as_bytes());
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
        let key = self.desk.snapshot().and_then(|snapshot| snapshot.subject_key());
        let (Some(key), Some(permit)) = (key, call.account.permit()) else { return Verdict::Go };
        match subject::hash(message, call.coding, &permit.inquiry().subjects, key) {
            Ok(Some(subject)) => call.account.asks_about(subject),
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
        self.desk.turn(now);
        if call.decided_on == self.desk.snapshots_seen() && self.desk.now() < call.valid_until {
            return true;
        }
        let Err(refusal) = self.decide_again(call) else {
            return true;
        };
        tracing::info!(reason = refusal.reason.as_str(), call_id = %call.account.call_id(), "call cut");
        causes::put(call, &causes::Told::refused(refusal), reply);
        false
    }

    fn refusal(&mut self, call: &mut Call, cause: &Cause<'_, Self>, reply: &mut Reply) {
        let told = causes::told(call, cause, self.desk.agency());
        causes::put(call, &told, reply);
    }

    fn close(&mut self, mut call: Call, ending: Ending<'_>, flows: Flows, now: Instant) {
        // Also where nothing else happens in this turn, its length is right.
        self.desk.book().turn(now);
        endings::put(&mut call.account, &ending, &flows);
        // Being dropped closes the account.
        drop(call);
    }
}
