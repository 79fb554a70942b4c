//! Frames that carry no message: PING, RST_STREAM, GOAWAY, PRIORITY, and what is unknown.

use super::{CloseReason, Flood, LateReset, Past, Phase, Role};
use crate::{
    Relay,
    call::End,
    frame::{self, ErrorCode, FrameHead, GoAway, Priority, Reset, Violation, flags, put_ping, put_reset},
    gate::Gate,
    keys::CallKey,
};

/// What our PINGs carry: those of a drain are told from those that only probe.
pub(crate) const PROBE: [u8; 8] = *b"chaparKA";
pub(crate) const NOTICE: [u8; 8] = *b"chaparGO";

/// Late resets that leave together: fewer than the 20 streams that the h2 library lets a client reset before it has looked at them.
const RESETS_AT_ONCE: usize = 16;
/// Time between two such lots, in ms.
const RESETS_PAUSE_MS: u64 = 5;

impl<G: Gate> Relay<G> {
    /// Counts a frame against a bucket of its connection. False: that was one too many, and the connection ends.
    pub(crate) fn allows(&mut self, slot: u32, flood: Flood) -> bool {
        let Some(connection) = self.connections.get_mut(slot) else { return false };
        match connection.guard.count(flood, &self.limits, self.now_ms) {
            Ok(()) => true,
            Err(breach) => {
                self.breach(slot, breach);
                false
            }
        }
    }

    pub(crate) fn ping(&mut self, slot: u32, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
        let opaque = frame::ping(payload)?;
        if head.has(flags::ACK) {
            let noticed = self.connections.get(slot).is_some_and(|connection| matches!(connection.phase, Phase::Noticed { .. }));
            if opaque == NOTICE && noticed {
                self.retire_connection(slot, CloseReason::Drained);
            }
        } else if self.allows(slot, Flood::Pings)
            && let Some(connection) = self.writer(slot)
        {
            put_ping(connection.output.buffer(), opaque, true);
            self.check_output(slot);
        }
        Ok(())
    }

    pub(crate) fn priority(&mut self, slot: u32, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
        if self.allows(slot, Flood::Priorities) {
            Priority::read(head, payload)?;
        }
        Ok(())
    }

    pub(crate) fn unknown(&mut self, slot: u32) -> Result<(), Violation> {
        self.allows(slot, Flood::Priorities);
        Ok(())
    }

    pub(crate) fn reset(&mut self, slot: u32, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
        let code = Reset::read(payload)?.code;
        let Some(connection) = self.connections.get(slot) else { return Ok(()) };
        let accepted = connection.is_accepted();
        let call = connection.streams.call(head.stream);
        if call.is_none() {
            self.past(slot, head.stream)?;
        }
        // A server may refuse as many calls as it likes: only who opens streams can make us work by resetting them.
        if accepted && !self.allows(slot, Flood::Resets) {
            return Ok(());
        }
        match call {
            Some(call) if accepted => self.abandoned(call),
            Some(call) => self.reset_by_server(call, code),
            None => {}
        }
        Ok(())
    }

    pub(crate) fn goaway(&mut self, slot: u32, payload: &[u8]) -> Result<(), Violation> {
        let GoAway { last_stream, .. } = GoAway::read(payload)?;
        let Some(connection) = self.connections.get(slot) else { return Ok(()) };
        if !matches!(connection.role, Role::Link { .. }) {
            // The client opens no more streams; there is nothing to tell it.
            self.retire_connection(slot, CloseReason::Ended);
            return Ok(());
        }
        self.retire_connection(slot, CloseReason::Ended);
        for key in self.calls_on(slot) {
            let Some(call) = self.calls.find(key.slot, key.generation) else { continue };
            let untaken = self.calls.get(call).is_some_and(|call| call.far.connection == slot && call.far.stream > last_stream);
            if untaken {
                self.not_taken(call, true);
            }
        }
        Ok(())
    }

    /// The calls on a connection, as they are now. To be iterated by value: calls may end meanwhile.
    pub(crate) fn calls_on(&mut self, slot: u32) -> Vec<CallKey> {
        let mut keys = std::mem::take(&mut self.scratch.calls);
        keys.clear();
        if let Some(connection) = self.connections.get(slot) {
            keys.extend(connection.streams.calls().map(|call| self.key_of_call(call)));
        }
        keys
    }

    /// The peer broke a rule on a stream, which ends thereby.
    pub(crate) fn stream_violated(&mut self, slot: u32, stream: u32, violation: Violation) {
        let Some(connection) = self.connections.get(slot) else { return };
        let (accepted, call) = (connection.is_accepted(), connection.streams.call(stream));
        if accepted && !self.allows(slot, Flood::Resets) {
            return;
        }
        match call {
            Some(call) if accepted => self.end_call(call, End::Abandoned, Some(violation.code), Some(ErrorCode::CANCEL)),
            Some(call) => self.malformed_response(call, violation.code),
            None => match self.past(slot, stream) {
                Ok(Past::Reset) => {}
                Ok(_) => self.put_stream_reset(slot, stream, violation.code),
                // RST_STREAM must not name a stream that is idle (RFC 9113, section 6.4).
                Err(_) => self.violated(slot, Violation::connection(violation.code, violation.why)),
            },
        }
    }

    /// Appends RST_STREAM, and remembers it.
    pub(crate) fn put_stream_reset(&mut self, slot: u32, stream: u32, code: ErrorCode) {
        if let Some(connection) = self.writer(slot) {
            put_reset(connection.output.buffer(), stream, code);
            connection.recent.reset(stream);
            if let Some(pace) = &mut connection.pace {
                pace.spend();
            }
        }
        self.check_output(slot);
    }

    /// Has RST_STREAM follow: after `Limits::reset_notice` if `late`, and not before the link's pace allows it. Until then the stream
    /// takes up room at the server, which can send no more than its window.
    pub(crate) fn put_reset_in_time(&mut self, slot: u32, stream: u32, code: ErrorCode, late: bool) {
        let now_ms = self.now_ms;
        let notice_ms = if late { self.ms_after(self.limits.reset_notice) } else { now_ms };
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.is_closing() {
            return;
        }
        let paced_ms = connection.pace.as_mut().map_or(now_ms, |pace| pace.next_ms(&self.limits, now_ms));
        let due_ms = notice_ms.max(paced_ms);
        if due_ms <= now_ms {
            return self.put_stream_reset(slot, stream, code);
        }
        connection.recent.reset(stream);
        connection.late_resets.push_back(LateReset { due_ms, stream, code });
        self.wake_by(slot, due_ms);
    }

    /// Appends those that are due, few at a time: a server that is behind must not find them all at once either.
    pub(crate) fn put_due_resets(&mut self, slot: u32) {
        let now_ms = self.now_ms;
        let mut paced_ms = now_ms;
        for _ in 0..RESETS_AT_ONCE {
            let Some(connection) = self.connections.get_mut(slot) else { return };
            paced_ms = connection.pace.as_mut().map_or(now_ms, |pace| pace.next_ms(&self.limits, now_ms));
            let Some(late) = connection.late_resets.pop_front_if(|late| late.due_ms.max(paced_ms) <= now_ms) else { break };
            self.put_stream_reset(slot, late.stream, late.code);
        }
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if let Some(next) = connection.late_resets.front_mut() {
            next.due_ms = next.due_ms.max(paced_ms).max(now_ms + RESETS_PAUSE_MS);
        }
        if let Some(endpoint) = connection.endpoint() {
            self.ready.push(endpoint);
        }
    }

    /// What became of `stream`, if it is worth more than a count.
    pub(crate) fn is_forgiven(&self, slot: u32, stream: u32) -> Result<bool, Violation> {
        Ok(matches!(self.past(slot, stream)?, Past::Reset | Past::Forgotten))
    }
}
