//! Resets that leave in their time: not before the server may have looked at a call, and no faster than the connection's pace.

use super::Connections;
use crate::{
    belief::sure,
    frame::{ErrorCode, Settings, put_reset, put_settings},
    gate::Gate,
    keys::{ConnectionId, StreamId},
    limits::Limits,
    shared::Shared,
};

/// Late resets that leave before a server must show that it has read them: fewer than the 20 streams that the h2 library lets a client
/// reset before it has looked at them.
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

/// How far a server has got with the late resets that were sent to it.
///
/// Time alone says nothing about a server under load. It is asked by SETTINGS that set nothing, which must be acknowledged in their order
/// (RFC 9113, section 6.5.3); ordinary gRPC servers take PINGs amiss.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Late resets since it was last asked.
    unasked: usize,
    /// When it was asked, as long as it has not answered.
    asked_ms: Option<u64>,
}

impl Heard {
    /// From when on further resets may leave. Who does not answer is not waited for longer than for the answer to a PING.
    pub(crate) fn free_ms(&self, limits: &Limits) -> u64 {
        self.asked_ms.map_or(0, |asked_ms| asked_ms.saturating_add(limits.keepalive_timeout.as_millis() as u64))
    }

    /// The server has read what came before the question. False: it was not asked.
    pub(crate) const fn answered(&mut self) -> bool {
        self.asked_ms.take().is_some()
    }
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
            if connection.heard.free_ms(&shared.limits) > now_ms {
                break;
            }
            paced_ms = connection.pace.as_mut().map_or(now_ms, |pace| pace.next_ms(&shared.limits, now_ms));
            let Some(late) = connection.late_resets.pop_front_if(|late| late.due_ms.max(paced_ms) <= now_ms) else { break };
            self.put_reset(id, late.stream, late.code, shared);
            self.ask(id, shared);
        }
        let connection = sure!(self.get_mut(id));
        if let Some(next) = connection.late_resets.front_mut() {
            next.due_ms = next.due_ms.max(paced_ms).max(now_ms + RESETS_PAUSE_MS);
        }
        shared.ready.extend(connection.endpoint());
    }

    /// One late reset more has left: after so many, the server is asked whether it has read them. Another relay is not, which counts
    /// resets and SETTINGS by time.
    fn ask(&mut self, id: ConnectionId, shared: &mut Shared) {
        let now_ms = shared.now_ms;
        let Some(connection) = self.writer(id, shared) else { return };
        if connection.pace.is_some() {
            return;
        }
        let heard = &mut connection.heard;
        heard.unasked += 1;
        if heard.unasked >= RESETS_AT_ONCE {
            *heard = Heard { unasked: 0, asked_ms: Some(now_ms) };
            put_settings(connection.output.buffer(), &Settings::default());
        }
    }

    /// Those that waited for the server go on.
    pub(crate) fn resets_heard(&mut self, id: ConnectionId, shared: &mut Shared) {
        let connection = sure!(self.get_mut(id));
        if connection.heard.answered()
            && let Some(next) = connection.late_resets.front()
        {
            connection.wake_by(id, next.due_ms, &mut shared.wheel);
        }
    }
}
