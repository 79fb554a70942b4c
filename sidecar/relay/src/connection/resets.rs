//! Resets that leave in their time: not before the server may have looked at a call, and no faster than the connection's pace.

use super::Connections;
use crate::{
    belief::sure,
    frame::{ErrorCode, put_reset},
    gate::Gate,
    keys::{ConnectionId, StreamId},
    shared::Shared,
};

/// Late resets that leave together: fewer than the 20 streams that the h2 library lets a client reset before it has looked at them.
const RESETS_AT_ONCE: usize = 16;
/// Time between two such lots, in ms.
const RESETS_PAUSE_MS: u64 = 5;

/// A reset that is still to leave. Its stream takes up room at the server until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LateReset {
    pub(crate) due_ms: u64,
    pub(crate) stream: StreamId,
    pub(crate) code: ErrorCode,
}

impl<G: Gate> Connections<G> {
    /// Appends RST_STREAM, and remembers it.
    pub(crate) fn put_reset(&mut self, id: ConnectionId, stream: StreamId, code: ErrorCode, shared: &mut Shared) {
        // A connection that closes tells nothing any more.
        let Some(connection) = self.writer(id, shared) else { return };
        put_reset(connection.output.buffer(), stream.number(), code);
        connection.recent.reset(stream);
        if let Some(pace) = &mut connection.pace {
            pace.spend();
        }
    }

    /// Has RST_STREAM follow: after `Limits::reset_notice` if `late`, and not before the connection's pace allows it. Until then the
    /// stream takes up room at the server, which can send no more than its window.
    pub(crate) fn put_reset_in_time(
        &mut self,
        id: ConnectionId,
        stream: StreamId,
        code: ErrorCode,
        late: bool,
        shared: &mut Shared,
    ) {
        let now_ms = shared.now_ms;
        let notice_ms = if late { shared.ms_after(shared.limits.reset_notice) } else { now_ms };
        let connection = sure!(self.get_mut(id));
        if connection.is_closing() {
            return;
        }
        let paced_ms = connection.pace.as_mut().map_or(now_ms, |pace| pace.next_ms(&shared.limits, now_ms));
        let due_ms = notice_ms.max(paced_ms);
        if due_ms <= now_ms {
            return self.put_reset(id, stream, code, shared);
        }
        connection.recent.reset(stream);
        connection.late_resets.push_back(LateReset { due_ms, stream, code });
        connection.wake_by(id, due_ms, &mut shared.wheel);
    }

    /// Appends those that are due, few at a time: a server that is behind must not find them all at once either.
    pub(crate) fn put_due_resets(&mut self, id: ConnectionId, shared: &mut Shared) {
        let now_ms = shared.now_ms;
        let mut paced_ms = now_ms;
        for _ in 0..RESETS_AT_ONCE {
            let connection = sure!(self.get_mut(id));
            paced_ms = connection.pace.as_mut().map_or(now_ms, |pace| pace.next_ms(&shared.limits, now_ms));
            let Some(late) = connection.late_resets.pop_front_if(|late| late.due_ms.max(paced_ms) <= now_ms) else { break };
            self.put_reset(id, late.stream, late.code, shared);
        }
        let connection = sure!(self.get_mut(id));
        if let Some(next) = connection.late_resets.front_mut() {
            next.due_ms = next.due_ms.max(paced_ms).max(now_ms + RESETS_PAUSE_MS);
        }
        shared.ready.extend(connection.endpoint());
    }
}
