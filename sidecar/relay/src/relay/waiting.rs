//! Who waits: directions of calls for a connection, calls for room at an endpoint.

use super::core::Core;
use crate::{
    belief::sure,
    call::{Problem, Stage},
    counters::Breach,
    gate::Gate,
    keys::{CallId, Direction, EndpointId, FlowId},
    reputation::Reputation,
};

/// Enters a direction among those that wait for its sink's connection.
pub(super) fn wait<G: Gate>(core: &mut Core<G>, call: CallId, direction: Direction) {
    // What has no sink yet waits for that.
    let Some(at) = sure!(core.calls.get(call)).sink(direction).at else { return };
    let list = &mut sure!(core.connections.get_mut(at.connection)).waiting;
    core.calls.wait(list, FlowId { call, direction });
}

/// Takes a direction out of those that wait.
#[inline]
pub(super) fn wait_no_more<G: Gate>(core: &mut Core<G>, call: CallId, direction: Direction) {
    // What has no sink waits in no list.
    let Some(at) = sure!(core.calls.get(call)).sink(direction).at else { return };
    let list = &mut sure!(core.connections.get_mut(at.connection)).waiting;
    core.calls.wait_no_more(list, FlowId { call, direction });
}

/// Lets a call wait for room at an endpoint, and asks for a connection. False: too many wait there.
pub(super) fn enter_pending<G: Gate>(core: &mut Core<G>, id: CallId, endpoint: EndpointId, reputation: Reputation) -> bool {
    let until_ms = core.shared.ms_after(core.shared.limits.pending_timeout);
    let key = core.endpoints.key_of(endpoint);
    let (call, at) = (sure!(core.calls.get_mut(id), true), sure!(core.endpoints.get_mut(endpoint), true));
    if at.pending >= core.shared.limits.pending_per_endpoint_max {
        core.shared.counters.breach(Breach::Pending);
        call.attempts.last = Some((key, Problem::Full));
        call.attempts.leave_out(key);
        return false;
    }
    call.times.pending_until_ms = until_ms;
    call.wake_by(id, until_ms, &mut core.shared.wheel);
    at.pending += 1;
    core.calls.enter_pending(at.pending_calls(reputation), id, Stage::Pending { endpoint, reputation });
    core.endpoints.want_dial(endpoint, &mut core.shared);
    true
}

/// Takes a call out of those that wait for room, if it is among them.
#[inline]
pub(super) fn leave_pending<G: Gate>(core: &mut Core<G>, call: CallId) {
    let Stage::Pending { endpoint, reputation } = sure!(core.calls.get(call)).stage else { return };
    let at = sure!(core.endpoints.get_mut(endpoint));
    at.pending -= 1;
    core.calls.leave_pending(at.pending_calls(reputation), call);
}
