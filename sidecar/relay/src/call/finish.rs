//! How calls end, and what is left to do then. Every way out leads through [`Relay::end_call`], which closes the account once.

use super::{Problem, Stage, Stream, Way};
use crate::{
    Relay,
    counters::Breach,
    endpoint::Reputation,
    frame::ErrorCode,
    gate::{Ending, Gate},
    slab::NONE,
    timer::{Owner, Timer},
};

use super::refuse::Why;

/// As [`Ending`], before the call is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    Reset(ErrorCode),
    Told,
    Abandoned,
}

impl<G: Gate> Relay<G> {
    /// The whole response is in the caller's output.
    pub(crate) fn finish(&mut self, call: u32) {
        let Some(held) = self.calls.get(call) else { return };
        // The caller need not send the rest of its request (RFC 9113, section 8.1).
        let near_code = (!held.request.source_ended).then_some(ErrorCode::NO_ERROR);
        // What the other relay refused, it does not count as answered either.
        let (near, far, is_served) = (held.near.connection, held.far.connection, !held.is_refused);
        if let Some(connection) = self.connections.get_mut(near) {
            connection.guard.call_answered();
            if is_served {
                connection.guard.call_served();
            }
        }
        if is_served && let Some(pace) = self.connections.get_mut(far).and_then(|link| link.pace.as_mut()) {
            pace.earn(&self.limits);
        }
        self.end_call(call, End::Answered, near_code, Some(ErrorCode::CANCEL));
    }

    /// Ends a call: its streams, with these codes where they are still open, its timer, its account.
    pub(crate) fn end_call(&mut self, call: u32, end: End, near_code: Option<ErrorCode>, far_code: Option<ErrorCode>) {
        self.wait_no_more(call, Way::Request);
        self.wait_no_more(call, Way::Response);
        self.leave_pending(call);
        let Some(mut held) = self.calls.remove(call) else { return };
        self.wheel.unset(&mut held.timer);
        let (flows, is_direct) = (held.flows(), held.is_direct(Way::Response));
        let ending = match end {
            End::Answered => Ending::Answered {
                http_status: held.http_status,
                grpc_status: held.grpc_status,
                refused: held.is_refused.then_some(&*held.refused),
            },
            End::Reset(code) => Ending::Reset { code },
            End::Told => Ending::Told,
            End::Abandoned => Ending::Abandoned,
        };
        self.gate.close(held.own, ending, flows, self.now);
        let unread = held.request.queue.len().saturating_sub(held.request.prepaid_bytes);
        self.leave_stream(held.near, near_code, unread, false);
        if held.far.is_somewhere() {
            let is_open = !(held.response.source_ended && held.request.sink_ended);
            // What waits was taken from the server as it is, or was made of what is owed to it.
            let response = &held.response;
            let unread = if is_direct { response.queue.len() } else { response.owed_bytes };
            self.leave_stream(held.far, far_code.filter(|_| is_open), unread, held.http_status == 0);
            if let Some(endpoint) = self.endpoints.get_mut(held.endpoint) {
                endpoint.calls -= 1;
                if endpoint.pending > 0 || endpoint.is_removed {
                    self.ready.push(held.endpoint);
                }
            }
        }
        for buffer in [held.head, held.request.trailers, held.response.trailers, held.refused] {
            self.small.give(buffer);
        }
        let queues = [held.request.queue.take_buffer(), held.response.queue.take_buffer()];
        for buffer in queues.into_iter().chain([held.replay.bytes, held.gathered, held.gathered_back]) {
            self.large.give(buffer);
        }
    }

    /// A stream ends on its connection; `unread` bytes that came on it go nowhere, and are given back. What the server may not have
    /// looked at yet is reset `late`.
    #[inline]
    fn leave_stream(&mut self, at: Stream, code: Option<ErrorCode>, unread: usize, late: bool) {
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(at.connection) else { return };
        connection.streams.remove(at.stream);
        connection.times.busy_ms = now_ms;
        let is_empty = connection.streams.is_empty();
        if unread > 0 {
            self.release_connection(at.connection, unread);
        }
        if let Some(code) = code {
            self.put_reset_in_time(at.connection, at.stream, code, late);
        }
        if is_empty {
            let idle_ms = self.ms_after(self.limits.idle_timeout);
            self.wake_by(at.connection, idle_ms);
            self.end_if_empty(at.connection);
        }
    }

    /// The caller broke its stream off, or is gone.
    pub(crate) fn abandoned(&mut self, call: u32) {
        self.end_call(call, End::Abandoned, None, Some(ErrorCode::CANCEL));
    }

    /// The server broke its stream off.
    pub(crate) fn reset_by_server(&mut self, call: u32, code: ErrorCode) {
        let Some(held) = self.calls.get_mut(call) else { return };
        if held.response.source_ended {
            // All of the answer is here; the server only wants no more of the request.
            held.request.sink_ended = true;
            let waiting = held.request.queue.len() - held.request.prepaid_bytes.min(held.request.queue.len());
            held.request.queue.advance(held.request.queue.len());
            held.request.prepaid_bytes = 0;
            return self.release(call, Way::Request, waiting);
        }
        if code == ErrorCode::REFUSED_STREAM && held.http_status == 0 {
            // A link is used before the server has told how many streams it takes: then it is no reason to leave the endpoint out.
            let (link, stream) = (self.connections.get(held.far.connection), held.far.stream);
            let was_early = link.is_some_and(|link| stream <= link.early_last || link.streams.len() > link.peer.streams_max);
            return self.not_taken(call, was_early);
        }
        self.end_call(call, End::Reset(code), Some(code_for_caller(code)), None);
    }

    /// The link broke under the call.
    pub(crate) fn link_lost(&mut self, call: u32) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let endpoint = held.endpoint;
        if held.response.source_ended {
            // All of the answer is here, and on its way.
            held.request.sink_ended = true;
            self.detach(call);
            return;
        }
        self.lost_at(endpoint);
        self.refuse(call, Why::Lost(endpoint));
    }

    /// The server broke a rule on the call's stream.
    pub(crate) fn malformed_response(&mut self, call: u32, code: ErrorCode) {
        let Some(held) = self.calls.get(call) else { return };
        let far = held.far;
        let why = Why::MalformedResponse(held.endpoint);
        // The server is told which rule; the caller, what the gate makes of it.
        self.put_stream_reset(far.connection, far.stream, code);
        if let Some(held) = self.calls.get_mut(call) {
            held.response.source_ended = true;
            held.request.sink_ended = true;
        }
        self.refuse(call, why);
    }

    /// Looks after the call not later than `due_ms`.
    #[inline]
    pub(crate) fn wake_call_by(&mut self, call: u32, due_ms: u64) {
        let Some(held) = self.calls.get_mut(call) else { return };
        if due_ms < held.timer_ms {
            self.wheel.unset(&mut held.timer);
            held.timer = self.wheel.set(Owner::Call(call), due_ms);
            held.timer_ms = due_ms;
        }
    }

    /// A call's timer went off.
    pub(crate) fn call_due(&mut self, call: u32) {
        let now_ms = self.now_ms;
        let stall_ms = self.limits.call_stall_timeout.as_millis() as u64;
        let Some(held) = self.calls.get_mut(call) else { return };
        (held.timer, held.timer_ms) = (Timer::UNSET, u64::MAX);
        if held.deadline_ms <= now_ms {
            return self.refuse(call, Why::DeadlineExceeded);
        }
        if held.pending_until_ms <= now_ms {
            held.pending_until_ms = u64::MAX;
            if let Stage::Pending { endpoint, .. } = held.stage {
                let deadline_ms = held.deadline_ms;
                self.wake_call_by(call, deadline_ms);
                return self.go_elsewhere(call, endpoint, Some(Problem::TimedOut));
            }
        }
        let stalled_ms = [Way::Request, Way::Response].map(|way| {
            let is_somewhere = held.sink(way).is_somewhere();
            let flowing = held.flowing(way);
            let waits = is_somewhere && !flowing.queue.is_empty();
            if waits { flowing.moved_ms.saturating_add(stall_ms) } else { u64::MAX }
        });
        let stalled_ms = stalled_ms[0].min(stalled_ms[1]);
        if stalled_ms <= now_ms {
            self.counters.breach(Breach::SlowCall);
            return self.refuse(call, Why::Stalled);
        }
        let due_ms = held.deadline_ms.min(held.pending_until_ms).min(stalled_ms);
        if due_ms < u64::MAX {
            self.wake_call_by(call, due_ms);
        }
    }

    /// Takes a call out of those that wait at its endpoint.
    pub(crate) fn leave_pending(&mut self, call: u32) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let Stage::Pending { endpoint, reputation } = held.stage else { return };
        held.stage = Stage::Held;
        let (before, after) = (held.pending_before, held.pending_after);
        (held.pending_before, held.pending_after) = (NONE, NONE);
        if let Some(neighbour) = self.calls.get_mut(before) {
            neighbour.pending_after = after;
        }
        if let Some(neighbour) = self.calls.get_mut(after) {
            neighbour.pending_before = before;
        }
        if let Some(at) = self.endpoints.get_mut(endpoint) {
            at.pending -= 1;
            let line = at.line(reputation);
            if before == NONE {
                line.first = after;
            }
            if after == NONE {
                line.last = before;
            }
        }
    }

    /// Adds a call to those that wait at an endpoint and whose callers have such a name.
    pub(crate) fn wait_last(&mut self, call: u32, endpoint: u32, reputation: Reputation) {
        let Some(at) = self.endpoints.get_mut(endpoint) else { return };
        let line = at.line(reputation);
        let last = std::mem::replace(&mut line.last, call);
        if last == NONE {
            line.first = call;
        }
        at.pending += 1;
        if let Some(neighbour) = self.calls.get_mut(last) {
            neighbour.pending_after = call;
        }
        if let Some(held) = self.calls.get_mut(call) {
            (held.pending_before, held.pending_after) = (last, NONE);
        }
    }
}

/// What a server's code says to the caller: what has a meaning for a call passes (gRPC, PROTOCOL-HTTP2.md, "Errors"), what speaks of
/// the server's own connection does not.
const fn code_for_caller(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::CANCEL | ErrorCode::ENHANCE_YOUR_CALM | ErrorCode::INADEQUATE_SECURITY => code,
        _ => ErrorCode::INTERNAL_ERROR,
    }
}
