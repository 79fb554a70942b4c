//! DATA frames: what one does to windows and streams as it begins, and its data as they come.

use super::{
    core::Core,
    cutting::{allows, past, stray, stream_violated, violated},
    delivering::deliver,
    flow::release,
};
use crate::{
    belief::sure,
    connection::{DataFrame, Flood, Past},
    counters::Breach,
    frame::{DataShape, ErrorCode, FrameHead, Violation, flags},
    gate::Gate,
    keys::{CallId, ConnectionId, Direction, StreamId},
};

/// A DATA frame begins. All of its payload counts against both windows.
pub(super) fn begin_data<G: Gate>(core: &mut Core<G>, id: ConnectionId, head: &FrameHead, shape: DataShape) {
    if let Err(violation) = data_head(core, id, head, shape) {
        violated(core, id, violation);
    }
}

fn data_head<G: Gate>(core: &mut Core<G>, id: ConnectionId, head: &FrameHead, shape: DataShape) -> Result<(), Violation> {
    let connection = sure!(core.connections.get_mut(id), Ok(()));
    let payload = i64::from(head.payload_bytes);
    connection.receive_window -= payload;
    if connection.receive_window < 0 {
        core.shared.counters.breach(Breach::Window);
        return Err(Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, "DATA beyond the connection's window"));
    }
    let (stream, end_stream) = (StreamId::new(head.stream), head.has(flags::END_STREAM));
    connection.guard.data_came(&core.shared.limits);
    let (direction, call) = (connection.incoming(), connection.streams.call(stream));
    if head.payload_bytes == 0 && !end_stream && !allows(core, id, Flood::EmptyData) {
        return Ok(());
    }
    let mut frame = DataFrame {
        lead_bytes: shape.lead_bytes,
        data_bytes: shape.data_bytes,
        trail_bytes: shape.trail_bytes,
        end_stream,
        call: None,
    };
    let Some(call) = call else {
        stray_data(core, id, stream)?;
        expect_data(core, id, frame);
        return Ok(());
    };
    match data_on_call(core, call, direction, payload) {
        Ok(()) => {
            frame.call = Some(core.calls.key_of(call));
            let padding = (shape.lead_bytes + shape.trail_bytes) as usize;
            if padding > 0 {
                release(core, call, direction, padding);
            }
        }
        Err(violation) => stream_violated(core, id, stream, violation),
    }
    expect_data(core, id, frame);
    Ok(())
}

/// Whether the call may be sent so much.
#[inline]
fn data_on_call<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction, payload: i64) -> Result<(), Violation> {
    let call = sure!(core.calls.get_mut(id), Ok(()));
    if !call.source(direction).state.receives() {
        return Err(Violation::stream(ErrorCode::STREAM_CLOSED, "DATA after the end of the stream"));
    }
    if direction == Direction::Response && !call.is_answered() {
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "DATA before the head of the response"));
    }
    let flowing = call.flowing(direction);
    flowing.receive_window -= payload;
    if flowing.receive_window < 0 {
        core.shared.counters.breach(Breach::Window);
        return Err(Violation::stream(ErrorCode::FLOW_CONTROL_ERROR, "DATA beyond the stream's window"));
    }
    Ok(())
}

fn expect_data<G: Gate>(core: &mut Core<G>, id: ConnectionId, frame: DataFrame) {
    let padding = (frame.lead_bytes + frame.trail_bytes) as usize;
    if frame.call.is_none() && padding > 0 {
        core.connections.give_back(id, padding, &mut core.shared);
    }
    let connection = sure!(core.connections.get_mut(id));
    if connection.is_closing() {
        return;
    }
    if !frame.is_whole() {
        connection.data = Some(frame);
        return;
    }
    let direction = connection.incoming();
    if let Some(call) = frame.call.filter(|_| frame.end_stream) {
        deliver(core, call.id, direction, &[], true);
    }
}

/// Data of the frame that is under way; so many bytes were used.
pub(super) fn take_data<G: Gate>(core: &mut Core<G>, id: ConnectionId, bytes: &[u8]) -> usize {
    let connection = sure!(core.connections.get_mut(id), bytes.len());
    // The frame's head has ended the connection.
    let Some(data) = &mut connection.data else { return 0 };
    let lead = bytes.len().min(data.lead_bytes as usize);
    data.lead_bytes -= lead as u32;
    let rest = bytes.get(lead..).unwrap_or_default();
    let count = rest.len().min(data.data_bytes as usize);
    data.data_bytes -= count as u32;
    let after = rest.get(count..).unwrap_or_default();
    let trail = if data.lead_bytes == 0 && data.data_bytes == 0 { after.len().min(data.trail_bytes as usize) } else { 0 };
    data.trail_bytes -= trail as u32;
    let (DataFrame { end_stream, call, .. }, is_whole) = (*data, data.is_whole());
    let direction = connection.incoming();
    if is_whole {
        connection.data = None;
    }
    // The call may have ended since the frame began.
    if let Some(call) = call.and_then(|call| core.calls.find(call)) {
        let (piece, end) = (rest.get(..count).unwrap_or_default(), is_whole && end_stream);
        if count > 0 || end {
            deliver(core, call, direction, piece, end);
        }
    } else if count > 0 {
        core.connections.give_back(id, count, &mut core.shared);
    }
    lead + count + trail
}

/// DATA on a stream that is not open.
fn stray_data<G: Gate>(core: &mut Core<G>, id: ConnectionId, stream: StreamId) -> Result<(), Violation> {
    let connection = sure!(core.connections.get(id), Ok(()));
    // Nobody has told the server yet. It can send no more than its window.
    if connection.is_reset_late(stream) {
        return Ok(());
    }
    let past = past(connection, stream)?;
    stray(core, id);
    if matches!(past, Past::Ended | Past::Skipped) {
        core.connections.put_reset(id, stream, ErrorCode::STREAM_CLOSED, &mut core.shared);
    }
    Ok(())
}
