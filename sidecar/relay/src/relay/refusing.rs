//! Ending a call for a reason of ours: the gate says what the caller is told.

use super::{
    core::Core,
    ending::{End, end_call},
};
use crate::{
    belief::sure,
    call::{At, State},
    frame::ErrorCode,
    gate::{Cause, Gate},
    keys::{CallId, ConnectionId, EndpointId, EndpointKey},
};

/// As [`Cause`], but with endpoints by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    DeadlineExceeded,
    NoEndpoint,
    Unreachable(EndpointKey),
    Full(EndpointKey),
    TimedOut(EndpointKey),
    PeerVoid(EndpointKey),
    NotTaken(EndpointKey),
    Lost(EndpointKey),
    MalformedResponse(EndpointKey),
    MessageTooLong,
    Stalled,
    Draining,
}

/// Ends a call for `why`.
pub(super) fn refuse<G: Gate>(core: &mut Core<G>, id: CallId, why: Why) {
    let call = sure!(core.calls.get_mut(id));
    let endpoints = &core.endpoints;
    let at = |key: EndpointKey| endpoints.find_any(key).and_then(|id| endpoints.get(id));
    // An endpoint that was removed meanwhile is none.
    let cause = match why {
        Why::DeadlineExceeded => Some(Cause::DeadlineExceeded),
        Why::NoEndpoint => Some(Cause::NoEndpoint),
        Why::Unreachable(key) => at(key).and_then(|endpoint| {
            let error = endpoint.problem.as_ref()?;
            Some(Cause::Unreachable { endpoint: &endpoint.own, error })
        }),
        Why::Full(key) => at(key).map(|endpoint| Cause::Full { endpoint: &endpoint.own }),
        Why::TimedOut(key) => at(key).map(|endpoint| Cause::TimedOut { endpoint: &endpoint.own }),
        Why::PeerVoid(key) => at(key).map(|endpoint| Cause::PeerVoid { endpoint: &endpoint.own }),
        Why::NotTaken(key) => at(key).map(|endpoint| Cause::NotTaken { endpoint: &endpoint.own }),
        Why::Lost(key) => at(key).map(|endpoint| Cause::Lost { endpoint: &endpoint.own }),
        Why::MalformedResponse(key) => at(key).map(|endpoint| Cause::MalformedResponse { endpoint: &endpoint.own }),
        Why::MessageTooLong => Some(Cause::MessageTooLong),
        Why::Stalled => Some(Cause::Stalled),
        Why::Draining => Some(Cause::Draining),
    };
    core.reply.clear();
    core.gate.refusal(&mut call.own, &cause.unwrap_or(Cause::NoEndpoint), &mut core.reply);
    tell(core, id);
}

/// Ends a call by what the gate wrote in the reply.
pub(super) fn tell<G: Gate>(core: &mut Core<G>, id: CallId) {
    let call = sure!(core.calls.get(id));
    let (near, is_answered) = (sure!(call.near.at), call.is_answered());
    let near_code = call.near.state.receives().then_some(ErrorCode::NO_ERROR);
    put_reply(core, near, is_answered);
    end_call(core, id, End::Told, near_code, Some(ErrorCode::CANCEL));
}

/// Writes a stream's end without an answer: what the gate wrote in the reply.
pub(super) fn put_reply<G: Gate>(core: &mut Core<G>, near: At, as_trailers: bool) {
    let mut block = std::mem::take(&mut core.shared.scratch.written);
    block.clear();
    core.reply.put(&mut block, as_trailers);
    core.connections.put_block(near.connection, near.stream, &block, true, &mut core.shared);
    core.shared.scratch.written = block;
}

/// The connection to the server broke under the call.
pub(super) fn connection_lost<G: Gate>(core: &mut Core<G>, id: CallId) {
    let call = sure!(core.calls.get(id));
    let endpoint = sure!(call.endpoint());
    if !call.far.state.receives() {
        // All of the answer is here, and on its way.
        return detach(core, id, State::Closed);
    }
    core.endpoints.lost(endpoint, &mut core.shared);
    refuse(core, id, Why::Lost(core.endpoints.key_of(endpoint)));
}

/// Takes a call off its connection to an endpoint. Its far stream is in `state` from then on: idle, if it is to be sent again.
pub(super) fn detach<G: Gate>(core: &mut Core<G>, id: CallId, state: State) {
    super::waiting::wait_no_more(core, id, crate::keys::Direction::Request);
    let call = sure!(core.calls.get_mut(id));
    let (at, endpoint): (Option<At>, Option<EndpointId>) = (call.far.at.take(), call.endpoint());
    call.far.state = state;
    call.stage = crate::call::Stage::Unassigned;
    let (at, endpoint) = (sure!(at), sure!(endpoint));
    let connection = sure!(core.connections.get_mut(at.connection));
    connection.streams.remove(at.stream);
    connection.recent.reset(at.stream);
    connection.times.busy_ms = core.shared.now_ms;
    sure!(core.endpoints.get_mut(endpoint)).calls -= 1;
    core.shared.ready.push(endpoint);
    super::retiring::end_if_empty(core, at.connection);
}

/// The server broke a rule on the call's stream.
pub(super) fn malformed_response<G: Gate>(core: &mut Core<G>, id: CallId, code: ErrorCode) {
    let call = sure!(core.calls.get_mut(id));
    let (far, endpoint) = (sure!(call.far.at), sure!(call.endpoint()));
    call.far.state = State::Closed;
    // The server is told which rule; the caller, what the gate makes of it.
    core.connections.put_reset(far.connection, far.stream, code, &mut core.shared);
    refuse(core, id, Why::MalformedResponse(core.endpoints.key_of(endpoint)));
}

/// Ends all calls of a connection that is lost to them.
pub(super) fn end_calls_of<G: Gate>(core: &mut Core<G>, connection: ConnectionId) {
    let keys = core.calls_on(connection);
    for key in &keys {
        // One that ended since takes no further end.
        let Some(id) = core.calls.find(*key) else { continue };
        let is_callers = core.calls.get(id).and_then(|call| call.near.at).is_some_and(|near| near.connection == connection);
        if is_callers { super::ending::abandoned(core, id) } else { connection_lost(core, id) }
    }
    core.give_back(keys);
}

/// Asks the gate whether a call may go on, and ends it if not. False: there is none.
pub(super) fn recheck<G: Gate>(core: &mut Core<G>, id: CallId) -> bool {
    // The slot is free.
    let Some(call) = core.calls.get_mut(id) else { return false };
    core.reply.clear();
    if !core.gate.recheck(&mut call.own, core.shared.now, &mut core.reply) {
        tell(core, id);
    }
    true
}
