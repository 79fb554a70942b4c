//! How calls end, and what is left to do then. Every way out leads through [`end_call`], which closes the account once.

use super::{
    core::Core,
    retiring::end_if_empty,
    waiting::{leave_pending, wait_no_more},
};
use crate::{
    belief::sure,
    call::{At, State},
    frame::ErrorCode,
    gate::{Ending, Gate},
    keys::{CallId, Direction},
};

/// As [`Ending`], before the call is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    Reset(ErrorCode),
    Told,
    Abandoned,
}

/// The whole response is in the caller's output.
pub(super) fn finish<G: Gate>(core: &mut Core<G>, id: CallId) {
    let call = sure!(core.calls.get(id));
    // The caller need not send the rest of its request (RFC 9113, section 8.1).
    let near_code = call.near.state.receives().then_some(ErrorCode::NO_ERROR);
    // What the other relay refused, it does not count as answered either.
    let is_served = call.answered.refused.is_none();
    let (near, far) = (call.near.at, call.far.at);
    let near = sure!(near.and_then(|near| core.connections.get_mut(near.connection)));
    near.guard.call_answered();
    if is_served {
        near.guard.call_served();
    }
    if is_served
        && let Some(far) = far
        && let Some(pace) = &mut sure!(core.connections.get_mut(far.connection)).pace
    {
        pace.earn(&core.shared.limits);
    }
    end_call(core, id, End::Answered, near_code, Some(ErrorCode::CANCEL));
}

/// Ends a call: its streams, with these codes where they are still open, its timer, its account.
pub(super) fn end_call<G: Gate>(
    core: &mut Core<G>,
    id: CallId,
    end: End,
    near_code: Option<ErrorCode>,
    far_code: Option<ErrorCode>,
) {
    wait_no_more(core, id, Direction::Request);
    wait_no_more(core, id, Direction::Response);
    leave_pending(core, id);
    let mut call = sure!(core.calls.remove(id));
    call.unset_timer(&mut core.shared.wheel);
    let (flows, is_direct, endpoint) = (call.flows(), call.is_direct(Direction::Response), call.endpoint());
    let ending = match end {
        End::Answered => Ending::Answered {
            http_status: call.answered.http_status.map_or(0, std::num::NonZero::get),
            grpc_status: call.answered.grpc_status,
            refused: call.answered.refused.as_deref(),
        },
        End::Reset(code) => Ending::Reset { code },
        End::Told => Ending::Told,
        End::Abandoned => Ending::Abandoned,
    };
    core.gate.close(call.own, ending, flows, core.shared.now);
    if let Some(at) = call.near.at {
        leave_stream(core, at, near_code, call.request.unpaid_bytes(), false);
    }
    if let Some(at) = call.far.at {
        let is_open = call.far.state != State::Closed;
        // What waits was taken from the server as it is, or was made of what is owed to it.
        let unread = if is_direct { call.response.queue.len() } else { call.response.owed_bytes };
        let is_late = call.answered.http_status.is_none();
        leave_stream(core, at, far_code.filter(|_| is_open), unread, is_late);
        core.endpoints.call_left(sure!(endpoint), &mut core.shared);
    }
    let shared = &mut core.shared;
    for buffer in [call.head, call.request.trailers, call.response.trailers, call.answered.refused.unwrap_or_default()] {
        shared.small.give(buffer);
    }
    let queues = [call.request.queue.take_buffer(), call.response.queue.take_buffer()];
    for buffer in queues.into_iter().chain([call.replay.unwrap_or_default(), call.gathered, call.gathered_back]) {
        shared.large.give(buffer);
    }
}

/// A stream ends on its connection; `unread` bytes that came on it go nowhere, and are given back. What the server may not have
/// looked at yet is reset `late`.
#[inline]
fn leave_stream<G: Gate>(core: &mut Core<G>, at: At, code: Option<ErrorCode>, unread: usize, late: bool) {
    let shared = &mut core.shared;
    let connection = sure!(core.connections.get_mut(at.connection));
    connection.streams.remove(at.stream);
    connection.times.busy_ms = shared.now_ms;
    let is_empty = connection.streams.is_empty();
    if is_empty {
        connection.wake_by(at.connection, shared.ms_after(shared.limits.idle_timeout), &mut shared.wheel);
    }
    if unread > 0 {
        core.connections.give_back(at.connection, unread, shared);
    }
    if let Some(code) = code {
        core.connections.put_reset_in_time(at.connection, at.stream, code, late, shared);
    }
    if is_empty {
        end_if_empty(core, at.connection);
    }
}

/// The caller broke its stream off, or is gone.
pub(super) fn abandoned<G: Gate>(core: &mut Core<G>, call: CallId) {
    end_call(core, call, End::Abandoned, None, Some(ErrorCode::CANCEL));
}
