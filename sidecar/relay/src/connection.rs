//! One HTTP/2 connection: what it has said, what it is still to be told, and the calls on it.

use std::collections::VecDeque;

use crate::{
    frame::{self, BlockWriter, put_data_head},
    gate::Gate,
    hpack::{Decoder, TABLE_BYTES_MAX_DEFAULT, put_table_size_zero},
    keys::{CallKey, ConnectionId, Direction, EndpointId, FlowId, StreamId},
    limits::Limits,
    list::List,
    queue::Queue,
    reputation::Reputation,
    timer::{Owner, Timer, Wheel},
};

mod guard;
mod output;
mod pace;
mod phase;
mod resets;
mod slots;
mod streams;
mod timing;

pub(crate) use guard::{Flood, Guard};
pub(crate) use pace::Pace;
pub use phase::{CloseReason, Probe};
pub(crate) use phase::{Phase, Role};
pub(crate) use resets::{Heard, LateReset};
pub(crate) use slots::Connections;
pub(crate) use streams::{Past, Recent, Streams};
pub(crate) use timing::{Overdue, Times};

/// A DATA frame that is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataFrame {
    pub(crate) lead_bytes: u32,
    pub(crate) data_bytes: u32,
    pub(crate) trail_bytes: u32,
    pub(crate) end_stream: bool,
    /// None: nobody wants it.
    pub(crate) call: Option<CallKey>,
}

impl DataFrame {
    /// Whether nothing of it is still to come.
    #[inline]
    pub(crate) const fn is_whole(&self) -> bool {
        self.lead_bytes == 0 && self.data_bytes == 0 && self.trail_bytes == 0
    }
}

/// A header block that is under way, over several frames.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) stream: StreamId,
    pub(crate) end_stream: bool,
    pub(crate) depends_on_itself: bool,
    pub(crate) continuations: u32,
    pub(crate) bytes: Vec<u8>,
}

/// What the peer's SETTINGS say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerSettings {
    pub(crate) window_bytes: i64,
    pub(crate) frame_bytes_max: u32,
    pub(crate) streams_max: u32,
}

/// One connection.
pub(crate) struct Connection<G: Gate> {
    pub(crate) role: Role<G>,
    pub(crate) phase: Phase,
    pub(crate) probe: Probe,
    pub(crate) is_dirty: bool,

    /// Bytes of the preface still to come.
    pub(crate) preface_left: u8,
    pub(crate) settings_came: bool,
    /// The last stream that was opened on a dialled connection before the peer's SETTINGS told how many it takes.
    pub(crate) early_last: StreamId,
    pub(crate) settings_acked: bool,
    pub(crate) partial: Vec<u8>,
    pub(crate) data: Option<DataFrame>,
    pub(crate) block: Option<Block>,
    pub(crate) decoder: Decoder,
    /// What the peer may still send.
    pub(crate) receive_window: i64,
    /// What has left towards the other side, and is not given back to the peer's window yet.
    pub(crate) unreleased_bytes: u32,

    pub(crate) output: Queue,
    /// What we may still send.
    pub(crate) send_window: i64,
    pub(crate) peer: PeerSettings,
    /// The next header block begins with a dynamic table size of 0.
    pub(crate) table_size_due: bool,
    /// Directions of calls that wait for its window, or for room in its output.
    pub(crate) waiting: List<FlowId>,

    pub(crate) streams: Streams,
    pub(crate) recent: Recent,
    /// The last stream that a GOAWAY of ours named: later ones must not name a higher (RFC 9113, section 6.8).
    pub(crate) told_last: StreamId,
    pub(crate) guard: Guard,
    pub(crate) times: Times,
    /// How fast a connection to another relay may reset streams.
    pub(crate) pace: Option<Pace>,
    /// Resets that wait for `Limits::reset_notice`, or for the pace.
    pub(crate) late_resets: VecDeque<LateReset>,
    /// How far the server has got with those that left.
    pub(crate) heard: Heard,
}

/// Streams that are opened on a dialled connection before the peer's SETTINGS tell how many it takes.
const STREAMS_BEFORE_SETTINGS: u32 = 100;

impl<G: Gate> Connection<G> {
    pub(crate) fn new(role: Role<G>, probe: Probe, limits: &Limits, now_ms: u64) -> Self {
        let accepted = matches!(role, Role::Accepted(_));
        let is_paced = !accepted && probe == Probe::Ping;
        Self {
            role,
            phase: Phase::Open,
            probe,
            is_dirty: false,
            preface_left: if accepted { frame::PREFACE.len() as u8 } else { 0 },
            settings_came: false,
            early_last: StreamId::CONNECTION,
            settings_acked: false,
            partial: Vec::new(),
            data: None,
            block: None,
            decoder: Decoder::new(TABLE_BYTES_MAX_DEFAULT),
            receive_window: i64::from(limits.connection_window_bytes),
            unreleased_bytes: 0,
            output: Queue::default(),
            send_window: i64::from(frame::WINDOW_BYTES_DEFAULT),
            peer: PeerSettings {
                window_bytes: i64::from(frame::WINDOW_BYTES_DEFAULT),
                frame_bytes_max: frame::FRAME_BYTES_MAX_DEFAULT,
                streams_max: STREAMS_BEFORE_SETTINGS,
            },
            table_size_due: true,
            waiting: List::EMPTY,
            streams: Streams::default(),
            recent: Recent::new(),
            told_last: StreamId::MAX,
            guard: Guard::new(limits, probe),
            times: Times::new(now_ms),
            pace: is_paced.then(|| Pace::new(limits, now_ms)),
            late_resets: VecDeque::new(),
            heard: Heard::default(),
        }
    }

    #[inline]
    pub(crate) const fn is_accepted(&self) -> bool {
        matches!(self.role, Role::Accepted(_))
    }

    #[inline]
    pub(crate) const fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }

    /// The endpoint of a connection that was dialled.
    #[inline]
    pub(crate) const fn endpoint(&self) -> Option<EndpointId> {
        match self.role {
            Role::Dialled { endpoint, .. } => Some(endpoint),
            Role::Accepted(_) => None,
        }
    }

    /// Which way flows what comes on it.
    #[inline]
    pub(crate) const fn incoming(&self) -> Direction {
        if self.is_accepted() { Direction::Request } else { Direction::Response }
    }

    /// Which way flows what is sent on it.
    #[inline]
    pub(crate) const fn outgoing(&self) -> Direction {
        if self.is_accepted() { Direction::Response } else { Direction::Request }
    }

    /// Room for DATA: what the connection's window and the output's soft limit leave.
    #[inline]
    pub(crate) fn room(&self, limits: &Limits) -> usize {
        let output = limits.output_bytes_soft_max.saturating_sub(self.output.len());
        output.min(usize::try_from(self.send_window).unwrap_or(0))
    }

    /// Whether a dialled connection has room for one more call, of a caller with this reputation.
    #[inline]
    pub(crate) fn has_capacity(&self, reputation: Reputation, limits: &Limits, now_ms: u64) -> bool {
        // A reset that is still to leave takes up room at the server.
        let open = self.streams.len() + u32::try_from(self.late_resets.len()).unwrap_or(u32::MAX);
        self.phase == Phase::Open
            && self.output.len() < limits.output_bytes_soft_max
            && open < self.calls_max(reputation, limits, now_ms)
    }

    /// How many calls a dialled connection may have before one more of a caller with this reputation is too many.
    ///
    /// Callers of good reputation may use all that the server takes. The others may at any time use half of it, and of the rest as
    /// much as the pace would let us reset at once: a call that is reset beyond the pace takes up room until its reset may leave.
    #[inline]
    fn calls_max(&self, reputation: Reputation, limits: &Limits, now_ms: u64) -> u32 {
        let all = self.peer.streams_max.min(limits.calls_per_connection_max);
        match (&self.pace, reputation) {
            (Some(pace), Reputation::None) => all.min(pace.left(limits, now_ms).max(all.div_ceil(2))),
            _ => all,
        }
    }

    /// Whether `stream` was reset, and the server is still to hear of it.
    pub(crate) fn is_reset_late(&self, stream: StreamId) -> bool {
        self.late_resets.iter().any(|late| late.stream == stream)
    }

    /// A new stream is put down, whatever becomes of it.
    pub(crate) fn note_stream(&mut self, stream: StreamId, limits: &Limits) {
        self.recent.open(stream);
        self.guard.stream_opened(limits);
    }

    /// Begins a header block in the output; [`Connection::end_block`] ends it.
    #[inline]
    pub(crate) fn begin_block(&mut self, stream: StreamId) -> BlockWriter {
        let out = self.output.buffer();
        let writer = BlockWriter::begin(out, stream.number());
        if std::mem::take(&mut self.table_size_due) {
            put_table_size_zero(out);
        }
        writer
    }

    #[inline]
    pub(crate) fn end_block(&mut self, writer: BlockWriter, end_stream: bool) {
        writer.end(self.output.buffer(), end_stream, self.peer.frame_bytes_max);
    }

    /// Appends `bytes` as DATA; an end without bytes is an empty frame.
    #[inline]
    pub(crate) fn put_data(&mut self, stream: StreamId, bytes: &[u8], end: bool, limits: &Limits) {
        let frame_bytes_max = self.peer.frame_bytes_max as usize;
        let out = self.output.buffer();
        self.send_window -= bytes.len() as i64;
        let mut rest = bytes;
        loop {
            let (part, after) = rest.split_at(rest.len().min(frame_bytes_max));
            put_data_head(out, stream.number(), part.len() as u32, end && after.is_empty());
            out.extend_from_slice(part);
            self.guard.data_sent(limits);
            rest = after;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Sees to the connection not later than `due_ms`.
    #[inline]
    pub(crate) fn wake_by(&mut self, id: ConnectionId, due_ms: u64, wheel: &mut Wheel) {
        if due_ms < self.times.timer_ms {
            self.set_timer(id, due_ms, wheel);
        }
    }

    pub(crate) fn set_timer(&mut self, id: ConnectionId, due_ms: u64, wheel: &mut Wheel) {
        wheel.unset(&mut self.times.timer);
        self.times.timer = wheel.set(Owner::Connection(id), due_ms);
        self.times.timer_ms = due_ms;
    }

    /// The timer went off: the wheel has forgotten it.
    pub(crate) const fn timer_fired(&mut self) {
        (self.times.timer, self.times.timer_ms) = (Timer::UNSET, u64::MAX);
    }
}
