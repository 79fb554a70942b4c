//! Doing what is due.

use super::{
    assigning::go_elsewhere,
    core::Core,
    cutting::shut,
    refusing::{Why, refuse},
    retiring::retire,
};
use crate::{
    belief::sure,
    call::{Problem, Stage},
    connection::{CloseReason, Overdue, Phase},
    counters::Breach,
    frame::{ErrorCode, put_ping},
    gate::Gate,
    keys::{CallId, ConnectionId},
    timer::Owner,
};

/// What our PINGs carry that only probe.
const PROBE: [u8; 8] = *b"chaparKA";

/// Does what is due.
pub(super) fn expire<G: Gate>(core: &mut Core<G>) {
    while let Some(owner) = core.shared.wheel.expire(core.shared.now_ms) {
        match owner {
            Owner::Connection(id) => connection_due(core, id),
            Owner::Call(id) => call_due(core, id),
            Owner::Endpoint(id) => core.endpoints.due(id, &mut core.shared),
        }
    }
}

/// Sees to a connection when it is next due.
pub(super) fn watch<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    let is_kept_open = is_kept_open(core, id);
    sure!(core.connections.get_mut(id)).watch(id, is_kept_open, &mut core.shared);
}

/// Whether a connection is not idle for having no call.
fn is_kept_open<G: Gate>(core: &Core<G>, id: ConnectionId) -> bool {
    let endpoint = sure!(core.connections.get(id), false).endpoint();
    endpoint.is_some_and(|endpoint| core.endpoints.is_kept_open(endpoint))
}

/// A connection's timer went off.
fn connection_due<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    let is_kept_open = is_kept_open(core, id);
    let shared = &mut core.shared;
    let connection = sure!(core.connections.get_mut(id));
    connection.timer_fired();
    if connection.output.is_empty() {
        shared.outputs.give(connection.output.take_buffer());
    }
    if let Some(what) = connection.overdue(is_kept_open, &shared.limits, shared.now_ms) {
        overdue(core, id, what);
    }
    watch(core, id);
}

fn overdue<G: Gate>(core: &mut Core<G>, id: ConnectionId, overdue: Overdue) {
    match overdue {
        Overdue::Linger => {
            core.connections.drop_output(id, &mut core.shared);
            let connection = sure!(core.connections.get_mut(id));
            // It is on its way out: nothing further is due, but whoever holds the socket must hear of it.
            if let Phase::Closing { since_ms, .. } = &mut connection.phase {
                *since_ms = u64::MAX;
            }
            core.connections.mark(id, &mut core.shared);
        }
        Overdue::Handshake => time_out(core, id, Breach::HalfOpen, ErrorCode::SETTINGS_TIMEOUT),
        Overdue::Frame => time_out(core, id, Breach::SlowWriter, ErrorCode::ENHANCE_YOUR_CALM),
        Overdue::Output => {
            time_out(core, id, Breach::SlowReader, ErrorCode::ENHANCE_YOUR_CALM);
            core.connections.drop_output(id, &mut core.shared);
        }
        Overdue::Answer => {
            time_out(core, id, Breach::Unanswered, ErrorCode::NO_ERROR);
            core.connections.drop_output(id, &mut core.shared);
        }
        Overdue::Silence => {
            let now_ms = core.shared.now_ms;
            let connection = sure!(core.connections.writer(id, &mut core.shared));
            put_ping(connection.output.buffer(), PROBE, false);
            connection.times.pinged_ms = Some(now_ms);
        }
        Overdue::Notice => retire(core, id, CloseReason::Drained),
        Overdue::Resets => core.connections.put_due_resets(id, &mut core.shared),
        Overdue::Idle => {
            core.shared.counters.breach(Breach::Idle);
            retire(core, id, CloseReason::Idle);
        }
    }
}

fn time_out<G: Gate>(core: &mut Core<G>, id: ConnectionId, breach: Breach, code: ErrorCode) {
    core.shared.counters.breach(breach);
    shut(core, id, CloseReason::Breach(breach), code, breach.as_str());
}

/// A call's timer went off.
fn call_due<G: Gate>(core: &mut Core<G>, id: CallId) {
    let now_ms = core.shared.now_ms;
    let stall_ms = core.shared.limits.call_stall_timeout.as_millis() as u64;
    let call = sure!(core.calls.get_mut(id));
    call.timer_fired();
    if call.times.deadline_ms <= now_ms {
        return refuse(core, id, Why::DeadlineExceeded);
    }
    if call.times.pending_until_ms <= now_ms {
        call.times.pending_until_ms = u64::MAX;
        if let Stage::Pending { endpoint, .. } = call.stage {
            call.wake_by(id, call.times.deadline_ms, &mut core.shared.wheel);
            return go_elsewhere(core, id, endpoint, Some(Problem::TimedOut));
        }
    }
    let stalled_ms = call.stalled_ms(stall_ms);
    if stalled_ms <= now_ms {
        core.shared.counters.breach(Breach::SlowCall);
        return refuse(core, id, Why::Stalled);
    }
    let due_ms = call.times.deadline_ms.min(call.times.pending_until_ms).min(stalled_ms);
    if due_ms < u64::MAX {
        call.wake_by(id, due_ms, &mut core.shared.wheel);
    }
}
