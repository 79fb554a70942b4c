//! Attempts: choosing an endpoint, finding a connection with capacity, sending the head.

use super::{
    core::Core,
    flow::{pump, release},
    refusing::{Why, connection_lost, detach, refuse},
    retiring::retire,
    waiting::{enter_pending, leave_pending},
};
use crate::{
    belief::sure,
    call::{At, Problem, Stage, State, Stream},
    connection::CloseReason,
    frame::STREAM_ID_MAX,
    gate::{Assignment, Gate},
    head::HeadWriter,
    keys::{CallId, ConnectionId, Direction, EndpointId, EndpointKey, StreamId},
    reputation::Reputation,
};

/// Connections with a void peer that a call meets before it ends.
const VOID_PEERS_MAX: u8 = 2;

/// Assigns a call that nothing holds back any more.
pub(super) fn go_on<G: Gate>(core: &mut Core<G>, id: CallId) {
    let call = sure!(core.calls.get(id));
    // One that has its answer is not sent again, though its connection may be gone.
    if call.stage == Stage::Unassigned && !call.is_answered() && !call.is_held() {
        assign(core, id);
    }
}

/// Seeks room for a call, at one endpoint after the other.
pub(super) fn assign<G: Gate>(core: &mut Core<G>, id: CallId) {
    loop {
        let made = sure!(core.calls.get(id)).attempts.made;
        let chosen = if made < core.shared.limits.attempts_max { choose(core, id) } else { None };
        // The first attempt is free; every other one must have been earned.
        let endpoint = chosen.filter(|_| made == 0 || core.endpoints.retries.spend());
        let Some(endpoint) = endpoint else { return give_up(core, id) };
        core.shared.counters.retries += u64::from(made > 0);
        sure!(core.calls.get_mut(id)).attempts.made += 1;
        if attempt(core, id, endpoint) {
            return;
        }
    }
}

/// Ends a call that found no endpoint, by what its last attempt came to.
fn give_up<G: Gate>(core: &mut Core<G>, id: CallId) {
    let why = match sure!(core.calls.get(id)).attempts.last {
        Some((endpoint, Problem::Unreachable)) => Why::Unreachable(endpoint),
        Some((endpoint, Problem::Full)) => Why::Full(endpoint),
        Some((endpoint, Problem::TimedOut)) => Why::TimedOut(endpoint),
        Some((endpoint, Problem::NotTaken)) => Why::NotTaken(endpoint),
        None => Why::NoEndpoint,
    };
    refuse(core, id, why);
}

fn choose<G: Gate>(core: &mut Core<G>, id: CallId) -> Option<EndpointId> {
    let mut endpoints = std::mem::take(&mut core.shared.scratch.endpoints);
    endpoints.clear();
    let call = sure!(core.calls.get_mut(id), None);
    core.gate.candidates(&mut call.own, &mut endpoints);
    let chosen = choose_of(core, id, &mut endpoints);
    core.shared.scratch.endpoints = endpoints;
    chosen
}

/// The less busy of two endpoints at random ("power of two choices"), of those that do well. Endpoints that are left out are tried only
/// when there is no other: better a try than a certain failure.
fn choose_of<G: Gate>(core: &mut Core<G>, id: CallId, keys: &mut Vec<EndpointKey>) -> Option<EndpointId> {
    let endpoints = &core.endpoints;
    let attempts = &sure!(core.calls.get(id), None).attempts;
    if let [only] = keys[..] {
        return endpoints.find(only).filter(|_| !attempts.is_left_out(only));
    }
    keys.retain(|key| endpoints.find(*key).is_some() && !attempts.is_left_out(*key));
    let now_ms = core.shared.now_ms;
    let is_available = |key: &EndpointKey| endpoints.get(key.id).is_some_and(|endpoint| endpoint.is_available(now_ms));
    if keys.iter().any(is_available) {
        keys.retain(is_available);
    }
    let count = keys.len() as u64;
    if count < 2 {
        return keys.first().map(|key| key.id);
    }
    let random = core.shared.random();
    let one = (random >> 32) % count;
    let other = (one + 1 + (random & 0xffff_ffff) % (count - 1)) % count;
    let at = |number: u64| keys.get(number as usize).map(|key| key.id);
    let (one, other) = (at(one)?, at(other)?);
    let load = |id: EndpointId| endpoints.get(id).map_or(usize::MAX, crate::endpoint::Endpoint::load);
    Some(if load(other) < load(one) { other } else { one })
}

/// Tries one endpoint. False: it has no room, not even for someone who waits.
pub(super) fn attempt<G: Gate>(core: &mut Core<G>, id: CallId, endpoint: EndpointId) -> bool {
    loop {
        let reputation = reputation_of_caller(core, id);
        let found = core.endpoints.connection_with_capacity(endpoint, reputation, &core.connections, &core.shared);
        let Some(connection) = found else { return enter_pending(core, id, endpoint, reputation) };
        let call = sure!(core.calls.get_mut(id), true);
        let at = sure!(core.endpoints.get(endpoint), true);
        let peer = sure!(sure!(core.connections.get(connection), true).role.peer(), true);
        match core.gate.assigned(&mut call.own, &at.own, peer, core.shared.now) {
            Assignment::Go => {
                start(core, id, endpoint, connection);
                return true;
            }
            Assignment::Void => {
                call.attempts.void_peers += 1;
                let is_over = call.attempts.void_peers >= VOID_PEERS_MAX;
                retire(core, connection, CloseReason::Retired);
                if is_over {
                    refuse(core, id, Why::PeerVoid(core.endpoints.key_of(endpoint)));
                    return true;
                }
            }
        }
    }
}

fn reputation_of_caller<G: Gate>(core: &Core<G>, id: CallId) -> Reputation {
    let near = sure!(sure!(core.calls.get(id), Reputation::None).near.at, Reputation::None);
    sure!(core.connections.get(near.connection), Reputation::None).guard.reputation()
}

/// Sends the head of a call over a connection that has room, and what waits of its body.
fn start<G: Gate>(core: &mut Core<G>, id: CallId, endpoint: EndpointId, on: ConnectionId) {
    let shared = &mut core.shared;
    let connection = sure!(core.connections.writer(on, shared));
    let (call, at) = (sure!(core.calls.get_mut(id)), sure!(core.endpoints.get_mut(endpoint)));
    let stream = match connection.recent.last() {
        StreamId::CONNECTION => StreamId::new(1),
        last => StreamId::new(last.number() + 2),
    };
    connection.note_stream(stream, &shared.limits);
    connection.streams.insert(stream, id);
    let left = call.times.deadline.map(|deadline| deadline.saturating_duration_since(shared.now));
    let block = connection.begin_block(stream);
    let out = connection.output.buffer();
    out.extend_from_slice(&at.origin);
    out.extend_from_slice(&call.head);
    let peer = sure!(connection.role.peer());
    core.gate.write_onward(&call.own, &at.own, peer, left, &mut HeadWriter::new(connection.output.buffer()));
    let request = &mut call.request;
    let end_stream = !call.near.state.receives() && request.queue.is_empty() && request.trailers.is_empty();
    connection.end_block(block, end_stream);
    request.send_window = connection.peer.window_bytes;
    request.moved_ms = shared.now_ms;
    call.far = Stream::open(At { connection: on, stream });
    if end_stream {
        call.far.state.send_end();
    }
    call.response.receive_window = i64::from(shared.limits.call_window_bytes);
    call.stage = Stage::Assigned { endpoint };
    call.times.pending_until_ms = u64::MAX;
    at.calls += 1;
    if stream.number() + 2 > STREAM_ID_MAX {
        retire(core, on, CloseReason::Retired);
    }
    if !end_stream {
        pump(core, id, Direction::Request);
    }
}

/// The other side provably did not take the call on (RFC 9113, section 8.7).
pub(super) fn not_taken<G: Gate>(core: &mut Core<G>, id: CallId, may_be_same_endpoint: bool) {
    let call = sure!(core.calls.get_mut(id));
    if call.is_answered() {
        return connection_lost(core, id);
    }
    let endpoint = core.endpoints.key_of(sure!(call.endpoint()));
    call.attempts.last = Some((endpoint, Problem::NotTaken));
    if !may_be_same_endpoint {
        call.attempts.leave_out(endpoint);
    }
    detach(core, id, State::Idle);
    if rewind(core, id) { assign(core, id) } else { give_up(core, id) }
}

/// Goes back to the beginning of the request, if all that has come of it can be sent again.
fn rewind<G: Gate>(core: &mut Core<G>, id: CallId) -> bool {
    let call = sure!(core.calls.get_mut(id), false);
    // Too much of it has come to be kept.
    let Some(replay) = &call.replay else { return false };
    let request = &mut call.request;
    // What waits is among what was kept; the caller's window is opened for it all the same.
    let waiting = request.drop_queue();
    if !replay.is_empty() {
        request.queue.furnish(|| core.shared.large.take());
        request.queue.buffer().extend_from_slice(replay);
    }
    request.prepaid_bytes = request.queue.len();
    if waiting > 0 {
        release(core, id, Direction::Request, waiting);
    }
    true
}

/// Sends a call that waits at an endpoint elsewhere. No problem: the endpoint is no more, and what is wrong there tells nobody anything.
pub(super) fn go_elsewhere<G: Gate>(core: &mut Core<G>, id: CallId, endpoint: EndpointId, problem: Option<Problem>) {
    leave_pending(core, id);
    let key = core.endpoints.key_of(endpoint);
    let call = sure!(core.calls.get_mut(id));
    call.attempts.last = problem.map(|problem| (key, problem)).or(call.attempts.last);
    call.attempts.leave_out(key);
    call.times.pending_until_ms = u64::MAX;
    assign(core, id);
}
