//! How connections end: at once, when their calls are over, or because the peer is gone.

use super::{CloseReason, Phase, Role, control::NOTICE};
use crate::{
    Relay,
    frame::{ErrorCode, STREAM_ID_MAX, put_goaway, put_ping},
    gate::Gate,
};

impl<G: Gate> Relay<G> {
    /// Ends a connection and its calls: GOAWAY is the last it is told.
    pub(crate) fn shut(&mut self, slot: u32, why: CloseReason, code: ErrorCode, debug: &'static str) {
        let Some(connection) = self.writer(slot) else { return };
        let last = if connection.is_accepted() { connection.recent.last().min(connection.told_last) } else { 0 };
        put_goaway(connection.output.buffer(), last, code, debug);
        self.begin_closing(slot, why);
        self.end_calls_of(slot);
    }

    /// From now on the connection only waits for its output to leave.
    fn begin_closing(&mut self, slot: u32, why: CloseReason) {
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.phase = Phase::Closing { why, since_ms: now_ms };
        connection.data = None;
        let (partial, block) = (std::mem::take(&mut connection.partial), std::mem::take(&mut connection.block));
        self.outputs.give(partial);
        self.outputs.give(block.bytes);
        self.leave_endpoint(slot);
        let due_ms = self.ms_after(self.limits.linger);
        self.wake_by(slot, due_ms);
    }

    /// Ends all calls of a connection that is lost to them.
    fn end_calls_of(&mut self, slot: u32) {
        let keys = self.calls_on(slot);
        for key in &keys {
            let Some(call) = self.calls.find(key.slot, key.generation) else { continue };
            let Some(held) = self.calls.get(call) else { continue };
            if held.near.connection == slot {
                self.abandoned(call);
            } else {
                self.link_lost(call);
            }
        }
        self.scratch.calls = keys;
    }

    /// The socket is gone.
    pub(crate) fn lose(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot) {
            // Nothing can be told any more: ends of streams must not be written.
            let now_ms = self.now_ms;
            if !connection.is_closing() {
                connection.phase = Phase::Closing { why: CloseReason::Ended, since_ms: now_ms };
            }
        }
        self.leave_endpoint(slot);
        self.end_calls_of(slot);
        let Some(mut connection) = self.connections.remove(slot) else { return };
        self.wheel.unset(&mut connection.times.timer);
        self.outputs.give(connection.output.take_buffer());
        self.outputs.give(connection.partial);
        self.outputs.give(connection.block.bytes);
        if let Role::Link { endpoint, .. } = connection.role {
            if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
                endpoint.connections -= 1;
            }
            self.let_go(endpoint);
            self.ready.push(endpoint);
        }
    }

    /// A link takes no further calls: its endpoint forgets it.
    fn leave_endpoint(&mut self, slot: u32) {
        let Some(endpoint) = self.connections.get(slot).and_then(super::Connection::endpoint) else { return };
        if let Some(held) = self.endpoints.get_mut(endpoint)
            && let Some(at) = held.links.iter().position(|link| *link == slot)
        {
            held.links.remove(at);
            self.ready.push(endpoint);
        }
    }

    /// Tells a client that its connection will end; calls that are on their way to us are still taken.
    pub(crate) fn notice(&mut self, slot: u32) {
        let now_ms = self.now_ms;
        let Some(connection) = self.writer(slot) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        connection.phase = Phase::Noticed { since_ms: now_ms };
        let out = connection.output.buffer();
        put_goaway(out, STREAM_ID_MAX, ErrorCode::NO_ERROR, "");
        put_ping(out, NOTICE, false);
        let due_ms = self.ms_after(self.limits.drain_notice);
        self.wake_by(slot, due_ms);
    }

    /// The connection takes no further call, and ends when those that it has are over.
    pub(crate) fn retire_connection(&mut self, slot: u32, why: CloseReason) {
        let Some(connection) = self.connections.get(slot) else { return };
        if matches!(connection.phase, Phase::Retired(_) | Phase::Closing { .. }) {
            return;
        }
        let (accepted, phase) = (connection.is_accepted(), connection.phase);
        if accepted && phase == Phase::Open && why != CloseReason::Ended {
            return self.notice(slot);
        }
        if let Some(connection) = self.writer(slot) {
            connection.phase = Phase::Retired(why);
            if accepted && why != CloseReason::Ended {
                connection.told_last = connection.recent.last();
                put_goaway(connection.output.buffer(), connection.told_last, ErrorCode::NO_ERROR, "");
            }
        }
        self.leave_endpoint(slot);
        self.end_if_empty(slot);
    }

    /// Ends a retired connection that has no call.
    #[inline]
    pub(crate) fn end_if_empty(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        let Phase::Retired(why) = connection.phase else { return };
        if !connection.streams.is_empty() {
            return;
        }
        let accepted = connection.is_accepted();
        if let Some(connection) = self.writer(slot) {
            if !accepted {
                put_goaway(connection.output.buffer(), 0, ErrorCode::NO_ERROR, "");
            }
            self.begin_closing(slot, why);
        }
    }
}
