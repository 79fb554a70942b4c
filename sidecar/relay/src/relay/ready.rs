//! Endpoints whose calls must be seen to: room came free, a dial came to something or nothing, or the endpoint was removed.

use super::{
    assigning::{assign, attempt, go_elsewhere},
    core::Core,
    waiting::leave_pending,
};
use crate::{
    belief::sure,
    call::Problem,
    connection::Role,
    gate::Gate,
    keys::{ConnectionId, EndpointId, EndpointKey},
    reputation::Reputation,
};

/// What is left to do once the outermost call to the relay has done its own.
pub(super) fn settle<G: Gate>(core: &mut Core<G>) {
    while let Some(endpoint) = core.shared.ready.pop() {
        serve_pending(core, endpoint);
    }
}

/// Sees to those who wait at an endpoint: assigns them, dials for them, or sends them elsewhere.
fn serve_pending<G: Gate>(core: &mut Core<G>, id: EndpointId) {
    // It stood among those that are ready more than once, and is gone by now.
    let Some(endpoint) = core.endpoints.get(id) else { return };
    if endpoint.is_removed {
        send_pending_elsewhere(core, id, None);
        return core.endpoints.let_go(id);
    }
    for reputation in Reputation::ALL {
        assign_pending(core, id, reputation);
    }
    core.endpoints.warm(id, &mut core.shared);
}

/// Assigns those whose callers have such a reputation. Who is put back waits for the next time.
fn assign_pending<G: Gate>(core: &mut Core<G>, id: EndpointId, reputation: Reputation) {
    for _ in 0..sure!(core.endpoints.get(id)).pending {
        let Some(call) = sure!(core.endpoints.get(id)).first_of(reputation) else { return };
        if core.endpoints.connection_with_capacity(id, reputation, &core.connections, &core.shared).is_none() {
            return core.endpoints.want_dial(id, &mut core.shared);
        }
        leave_pending(core, call);
        if !attempt(core, call, id) {
            assign(core, call);
        }
    }
}

fn send_pending_elsewhere<G: Gate>(core: &mut Core<G>, id: EndpointId, problem: Option<Problem>) {
    for _ in 0..sure!(core.endpoints.get(id)).pending {
        let Some(call) = sure!(core.endpoints.get(id)).first() else { break };
        go_elsewhere(core, call, id, problem);
    }
}

/// Enters a connection to an endpoint. None: the endpoint is gone.
pub(super) fn dialled<G: Gate>(core: &mut Core<G>, key: EndpointKey, peer: G::Peer) -> Option<ConnectionId> {
    // A worker may be late, or ask twice: keys from outside are never believed.
    let id = core.endpoints.find_any(key)?;
    let endpoint = sure!(core.endpoints.get_mut(id), None);
    endpoint.is_dialling = false;
    core.shared.ready.push(id);
    if endpoint.is_removed {
        return None;
    }
    endpoint.problem = None;
    endpoint.connections_count += 1;
    let (probe, role) = (endpoint.probe, Role::Dialled { endpoint: id, peer });
    let connection = core.connections.open(role, probe, &mut core.shared);
    sure!(core.endpoints.get_mut(id), None).connections.push(connection);
    Some(connection)
}

/// A dial came to nothing.
pub(super) fn not_reached<G: Gate>(core: &mut Core<G>, key: EndpointKey, error: G::DialError) {
    // As above.
    let Some(id) = core.endpoints.find_any(key) else { return };
    let endpoint = sure!(core.endpoints.get_mut(id));
    endpoint.is_dialling = false;
    endpoint.problem = Some(error);
    if endpoint.is_removed {
        core.shared.ready.push(id);
        return;
    }
    // Where connections are open, those who wait may yet find room on them.
    let has_connections = !endpoint.connections.is_empty();
    core.endpoints.eject(id, &mut core.shared);
    if !has_connections {
        send_pending_elsewhere(core, id, Some(Problem::Unreachable));
    }
    core.endpoints.warm(id, &mut core.shared);
}
