//! What is written to a connection.

use super::{Connection, Connections};
use crate::{
    belief::sure,
    frame::put_window_update,
    gate::Gate,
    keys::{ConnectionId, StreamId},
    limits::Limits,
    shared::Shared,
};

/// An output that has grown beyond this gives its buffer back as soon as it is empty; others, when the connection is next looked after.
const OUTPUT_KEPT_BYTES_MAX: usize = 64 * 1024;

impl<G: Gate> Connections<G> {
    /// The connection, to append to its output; none if it is closing. It is marked for whoever writes to its socket.
    #[inline]
    pub(crate) fn writer(&mut self, id: ConnectionId, shared: &mut Shared) -> Option<&mut Connection<G>> {
        let key = self.key_of(id);
        let connection = sure!(self.get_mut(id), None);
        if connection.is_closing() {
            return None;
        }
        if !connection.is_dirty {
            connection.is_dirty = true;
            shared.dirty.push_back(key);
        }
        if connection.output.is_empty() {
            connection.times.moved_ms = shared.now_ms;
            connection.output.furnish(|| shared.outputs.take());
            connection.wake_by(id, shared.ms_after(shared.limits.stall_timeout), &mut shared.wheel);
        }
        Some(connection)
    }

    /// Marks a connection whose socket must be seen to although nothing is to be written.
    pub(crate) fn mark(&mut self, id: ConnectionId, shared: &mut Shared) {
        let key = self.key_of(id);
        sure!(self.get_mut(id)).is_dirty = true;
        shared.dirty.push_back(key);
    }

    /// So many bytes of the output are gone. True: it is low, and more may be put into it.
    pub(crate) fn output_left(&mut self, id: ConnectionId, bytes: usize, shared: &mut Shared) -> bool {
        let soft_max = shared.limits.output_bytes_soft_max;
        let connection = sure!(self.get_mut(id), false);
        let was_full = connection.output.len() >= soft_max;
        connection.output.advance(bytes);
        connection.times.moved_ms = shared.now_ms;
        if connection.output.is_empty() && connection.output.capacity() > OUTPUT_KEPT_BYTES_MAX {
            shared.outputs.give(connection.output.take_buffer());
        }
        if was_full {
            shared.ready.extend(connection.endpoint());
        }
        connection.output.len() <= soft_max / 2
    }

    /// Nobody will read what is left.
    pub(crate) fn drop_output(&mut self, id: ConnectionId, shared: &mut Shared) {
        let connection = sure!(self.get_mut(id));
        shared.outputs.give(connection.output.take_buffer());
    }

    /// Whether a connection's own limits, not a stream's, hold data back.
    pub(crate) fn is_full(&self, id: ConnectionId, limits: &Limits) -> bool {
        sure!(self.get(id), false).room(limits) == 0
    }

    /// Appends a whole header block.
    pub(crate) fn put_block(&mut self, id: ConnectionId, stream: StreamId, block: &[u8], end: bool, shared: &mut Shared) {
        // A connection that closes tells nothing any more.
        let Some(connection) = self.writer(id, shared) else { return };
        let writer = connection.begin_block(stream);
        connection.output.buffer().extend_from_slice(block);
        connection.end_block(writer, end);
    }

    /// So many bytes that came have left: the peer may send as many again on the connection.
    #[inline]
    pub(crate) fn give_back(&mut self, id: ConnectionId, bytes: usize, shared: &mut Shared) {
        let half = shared.limits.connection_window_bytes / 2;
        let connection = sure!(self.get_mut(id));
        connection.unreleased_bytes += bytes as u32;
        if connection.unreleased_bytes < half {
            return;
        }
        // A connection that closes asks for nothing more.
        if let Some(connection) = self.writer(id, shared) {
            let update = std::mem::take(&mut connection.unreleased_bytes);
            connection.receive_window += i64::from(update);
            put_window_update(connection.output.buffer(), 0, update);
        }
    }

    /// As [`Connections::give_back`], for one stream: `update` bytes at once.
    pub(crate) fn put_window_update(&mut self, id: ConnectionId, stream: StreamId, update: u32, shared: &mut Shared) {
        if let Some(connection) = self.writer(id, shared) {
            put_window_update(connection.output.buffer(), stream.number(), update);
        }
    }
}
