//! Flow control: what the peer lets us send, what we let it send, and who waits for either.

use super::{Connection, Flood};
use crate::{
    Relay,
    call::Way,
    frame::{self, ErrorCode, FrameHead, Violation, WindowUpdate, put_window_update},
    gate::Gate,
    slab::NONE,
};

/// What one direction of a call may send in its turn, while others wait for the same connection.
const TURN_BYTES_MAX: usize = 64 * 1024;

/// A direction of a call as one number, for the lists of those that wait.
const fn ticket(call: u32, way: Way) -> u32 {
    call * 2 + way as u32
}

const fn of_ticket(ticket: u32) -> (u32, Way) {
    (ticket / 2, if ticket.is_multiple_of(2) { Way::Request } else { Way::Response })
}

impl<G: Gate> Relay<G> {
    pub(crate) fn window_update(&mut self, slot: u32, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(()) };
        if let Err(breach) = connection.guard.count(Flood::WindowUpdates, &self.limits, self.now_ms) {
            self.breach(slot, breach);
            return Ok(());
        }
        let max = i64::from(frame::WINDOW_BYTES_MAX);
        if head.stream == 0 {
            let more = i64::from(WindowUpdate::read(head, payload)?.increment_bytes);
            connection.send_window += more;
            if connection.send_window > max {
                return Err(Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, "WINDOW_UPDATE that makes the window overflow"));
            }
            self.pump_waiting(slot);
            return Ok(());
        }
        let way = if connection.is_accepted() { Way::Response } else { Way::Request };
        let Some(call) = connection.streams.call(head.stream) else {
            if !self.is_forgiven(slot, head.stream)? {
                self.stray(slot);
            }
            return Ok(());
        };
        let more = i64::from(WindowUpdate::read(head, payload)?.increment_bytes);
        let Some(flowing) = self.calls.get_mut(call).map(|call| call.flowing(way)) else { return Ok(()) };
        flowing.send_window += more;
        if flowing.send_window > max {
            return Err(Violation::stream(ErrorCode::FLOW_CONTROL_ERROR, "WINDOW_UPDATE that makes the window overflow"));
        }
        if !flowing.queue.is_empty() {
            self.pump(call, way);
        }
        Ok(())
    }

    /// So many bytes of one direction have left: its source may send as many again.
    #[inline]
    pub(crate) fn release(&mut self, call: u32, way: Way, bytes: usize) {
        let half = self.limits.call_window_bytes / 2;
        let Some(call) = self.calls.get_mut(call) else { return };
        let source = call.source(way);
        let flowing = call.flowing(way);
        let mut update = 0;
        if !flowing.source_ended {
            flowing.unreleased_bytes += bytes as u32;
            if flowing.unreleased_bytes >= half {
                update = std::mem::take(&mut flowing.unreleased_bytes);
                flowing.receive_window += i64::from(update);
            }
        }
        if update > 0
            && let Some(connection) = self.writer(source.connection)
        {
            put_window_update(connection.output.buffer(), source.stream, update);
        }
        self.release_connection(source.connection, bytes);
    }

    /// As [`Relay::release`], but for the connection's window only.
    #[inline]
    pub(crate) fn release_connection(&mut self, slot: u32, bytes: usize) {
        let half = self.limits.connection_window_bytes / 2;
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.unreleased_bytes += bytes as u32;
        if connection.unreleased_bytes < half {
            return;
        }
        if let Some(connection) = self.writer(slot) {
            let update = std::mem::take(&mut connection.unreleased_bytes);
            connection.receive_window += i64::from(update);
            put_window_update(connection.output.buffer(), 0, update);
        }
    }

    /// Enters a direction among those that wait for its receiver's connection.
    pub(crate) fn wait(&mut self, call: u32, way: Way) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let sink = held.sink(way).connection;
        let flowing = held.flowing(way);
        if flowing.is_waiting {
            return;
        }
        let Some(connection) = self.connections.get_mut(sink) else { return };
        let last = connection.waiting.last;
        (flowing.is_waiting, flowing.before, flowing.after) = (true, last, NONE);
        connection.waiting.last = ticket(call, way);
        if last == NONE {
            connection.waiting.first = ticket(call, way);
        } else {
            let (before, before_way) = of_ticket(last);
            if let Some(before) = self.calls.get_mut(before) {
                before.flowing(before_way).after = ticket(call, way);
            }
        }
    }

    /// Takes a direction out of those that wait.
    pub(crate) fn wait_no_more(&mut self, call: u32, way: Way) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let sink = held.sink(way).connection;
        let flowing = held.flowing(way);
        if !flowing.is_waiting {
            return;
        }
        flowing.is_waiting = false;
        let (before, after) = (flowing.before, flowing.after);
        let neighbours = [(before, true), (after, false)];
        for (neighbour, is_before) in neighbours {
            if neighbour == NONE {
                if let Some(connection) = self.connections.get_mut(sink) {
                    let end = if is_before { &mut connection.waiting.first } else { &mut connection.waiting.last };
                    *end = if is_before { after } else { before };
                }
                continue;
            }
            let (neighbour, way) = of_ticket(neighbour);
            if let Some(neighbour) = self.calls.get_mut(neighbour) {
                let flowing = neighbour.flowing(way);
                let link = if is_before { &mut flowing.after } else { &mut flowing.before };
                *link = if is_before { after } else { before };
            }
        }
    }

    /// Lets those that wait for a connection send, in turn, while there is room.
    pub(crate) fn pump_waiting(&mut self, slot: u32) {
        loop {
            let Some(connection) = self.connections.get(slot) else { return };
            if connection.waiting.first == NONE || connection.is_closing() || connection.room(&self.limits) == 0 {
                return;
            }
            let (call, way) = of_ticket(connection.waiting.first);
            self.wait_no_more(call, way);
            self.pump_some(call, way, TURN_BYTES_MAX);
        }
    }

    /// Whether a connection's own limits, not a stream's, hold data back.
    pub(crate) fn is_full(&self, slot: u32) -> bool {
        self.connections.get(slot).is_some_and(|connection: &Connection<G>| connection.room(&self.limits) == 0)
    }
}
