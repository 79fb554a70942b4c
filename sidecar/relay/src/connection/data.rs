//! The beginning of a DATA frame: what it does to windows and streams, before any of its data are looked at.

use super::{Connection, DataFrame, Flood, Past};
use crate::{
    Relay,
    call::Way,
    counters::Breach,
    frame::{DataShape, ErrorCode, FrameHead, Violation, flags},
    gate::Gate,
};

impl<G: Gate> Relay<G> {
    /// A DATA frame begins. All of its payload counts against both windows.
    pub(crate) fn begin_data(&mut self, slot: u32, head: &FrameHead, shape: DataShape) {
        if let Err(violation) = self.data_head(slot, head, shape) {
            self.violated(slot, violation);
        }
    }

    fn data_head(&mut self, slot: u32, head: &FrameHead, shape: DataShape) -> Result<(), Violation> {
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(()) };
        let payload = i64::from(head.payload_bytes);
        connection.receive_window -= payload;
        if connection.receive_window < 0 {
            self.counters.breach(Breach::Window);
            return Err(Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, "DATA beyond the connection's window"));
        }
        let end_stream = head.has(flags::END_STREAM);
        connection.guard.data_came(&self.limits);
        if head.payload_bytes == 0
            && !end_stream
            && let Err(breach) = connection.guard.count(Flood::EmptyData, &self.limits, self.now_ms)
        {
            self.breach(slot, breach);
            return Ok(());
        }
        let way = if connection.is_accepted() { Way::Request } else { Way::Response };
        let call = connection.streams.call(head.stream);
        let Some(call) = call else {
            self.stray_data(slot, head)?;
            self.expect_data(slot, shape, end_stream, None);
            return Ok(());
        };
        match self.data_on_call(call, way, payload) {
            Ok(()) => {
                let key = self.key_of_call(call);
                self.expect_data(slot, shape, end_stream, Some(key));
                let padding = (shape.lead_bytes + shape.trail_bytes) as usize;
                if padding > 0 {
                    self.release(call, way, padding);
                }
            }
            Err(violation) => {
                self.stream_violated(slot, head.stream, violation);
                self.expect_data(slot, shape, end_stream, None);
            }
        }
        Ok(())
    }

    /// Whether the call may be sent so much.
    #[inline]
    fn data_on_call(&mut self, call: u32, way: Way, payload: i64) -> Result<(), Violation> {
        let Some(call) = self.calls.get_mut(call) else { return Ok(()) };
        let head_came = call.http_status != 0;
        let flowing = call.flowing(way);
        if flowing.source_ended {
            return Err(Violation::stream(ErrorCode::STREAM_CLOSED, "DATA after the end of the stream"));
        }
        if way == Way::Response && !head_came {
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "DATA before the head of the response"));
        }
        flowing.receive_window -= payload;
        if flowing.receive_window < 0 {
            self.counters.breach(Breach::Window);
            return Err(Violation::stream(ErrorCode::FLOW_CONTROL_ERROR, "DATA beyond the stream's window"));
        }
        Ok(())
    }

    fn expect_data(&mut self, slot: u32, shape: DataShape, end_stream: bool, call: Option<crate::CallKey>) {
        let padding = (shape.lead_bytes + shape.trail_bytes) as usize;
        if call.is_none() && padding > 0 {
            self.release_connection(slot, padding);
        }
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.is_closing() {
            return;
        }
        let frame = DataFrame {
            lead_bytes: shape.lead_bytes,
            data_bytes: shape.data_bytes,
            trail_bytes: shape.trail_bytes,
            end_stream,
            call,
        };
        let is_whole = shape.lead_bytes == 0 && shape.data_bytes == 0 && shape.trail_bytes == 0;
        if !is_whole {
            connection.data = Some(frame);
            return;
        }
        let way = if connection.is_accepted() { Way::Request } else { Way::Response };
        if let (Some(call), true) = (call, end_stream)
            && let Some(call) = self.calls.find(call.slot, call.generation)
        {
            self.deliver(call, way, &[], true);
        }
    }

    /// DATA on a stream that is not open.
    fn stray_data(&mut self, slot: u32, head: &FrameHead) -> Result<(), Violation> {
        // Nobody has told the server yet. It can send no more than its window.
        if self.connections.get(slot).is_some_and(|link| link.is_reset_late(head.stream)) {
            return Ok(());
        }
        match self.past(slot, head.stream)? {
            Past::Reset | Past::Forgotten => self.stray(slot),
            Past::Ended | Past::Skipped => {
                self.stray(slot);
                self.put_stream_reset(slot, head.stream, ErrorCode::STREAM_CLOSED);
            }
        }
        Ok(())
    }

    /// What became of a stream that is not open.
    ///
    /// # Errors
    /// It never was, and cannot have been.
    pub(crate) fn past(&self, slot: u32, stream: u32) -> Result<Past, Violation> {
        let Some(connection) = self.connections.get(slot) else { return Ok(Past::Forgotten) };
        if stream.is_multiple_of(2) || stream > connection.recent.last() {
            return Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a frame on a stream that is idle"));
        }
        Ok(connection.recent.past(stream))
    }

    /// Counts a frame on a stream that has ended.
    pub(crate) fn stray(&mut self, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot).filter(|connection| !Connection::is_closing(connection)) else {
            return;
        };
        if let Err(breach) = connection.guard.count(Flood::Strays, &self.limits, self.now_ms) {
            self.breach(slot, breach);
        }
    }
}
