//! One HTTP/2 connection: what it has said, what it is still to be told, and the calls on it.

use std::collections::VecDeque;

use crate::{
    frame::{self, ErrorCode, Violation},
    gate::Gate,
    hpack::{Decoder, TABLE_BYTES_MAX_DEFAULT},
    keys::CallKey,
    limits::Limits,
    slab::NONE,
    timer::Timer,
};

mod block;
mod control;
mod data;
mod ending;
mod guard;
mod input;
mod opening;
mod pace;
mod settings;
mod streams;
mod timing;
mod window;

pub(crate) use guard::{Flood, Guard};
pub(crate) use pace::Pace;
pub(crate) use streams::{Past, Recent, Streams};

use crate::{call::Queue, counters::Breach, endpoint::Reputation};

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// It had no call for `Limits::idle_timeout`.
    Idle,
    /// It drained.
    Drained,
    /// It was retired.
    Retired,
    /// The peer broke a rule of HTTP/2.
    Protocol(Violation),
    /// The peer broke a limit of ours.
    Breach(Breach),
    /// The peer said that it goes away, and its calls have ended.
    Ended,
}

/// Whether a connection is probed by PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Never: ordinary gRPC ends take PINGs amiss.
    Never,
    /// After `Limits::keepalive_interval` of silence.
    Ping,
}

/// Which end of the connection this is.
pub(crate) enum Role<G: Gate> {
    /// It came in: this is the server.
    Accepted(G::Origin),
    /// It was dialled: this is the client.
    Link { endpoint: u32, peer: G::Peer },
}

/// How far it is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes calls.
    Open,
    /// It came in, and the peer was told that it will end; calls are still taken for a moment.
    Noticed { since_ms: u64 },
    /// It takes no further calls and ends when those that it has are over.
    Retired(CloseReason),
    /// It ends when its output has left.
    Closing { why: CloseReason, since_ms: u64 },
}

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

/// A header block that is under way, over several frames.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// 0: none is.
    pub(crate) stream: u32,
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

/// Directions of calls that wait for the connection's window or for room in its output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// Times, in ms since the relay was made.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) timer: Timer,
    pub(crate) timer_ms: u64,
    pub(crate) opened_ms: u64,
    pub(crate) heard_ms: u64,
    /// When the last call ended.
    pub(crate) busy_ms: u64,
    /// When the output last moved.
    pub(crate) moved_ms: u64,
    /// When the frame or block that is under way began.
    pub(crate) begun_ms: u64,
    /// When the PING that is not answered yet was sent.
    pub(crate) pinged_ms: Option<u64>,
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
    /// The last stream that a link opened before the peer's SETTINGS told how many it takes.
    pub(crate) early_last: u32,
    pub(crate) settings_acked: bool,
    pub(crate) partial: Vec<u8>,
    pub(crate) data: Option<DataFrame>,
    pub(crate) block: Block,
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
    pub(crate) waiting: Waiting,

    pub(crate) streams: Streams,
    pub(crate) recent: Recent,
    /// The last stream that a GOAWAY of ours named: later ones must not name a higher (RFC 9113, section 6.8).
    pub(crate) told_last: u32,
    pub(crate) guard: Guard,
    pub(crate) times: Times,
    /// How fast a link to another relay may reset streams.
    pub(crate) pace: Option<Pace>,
    /// Resets that wait for `Limits::reset_notice`, or for the pace.
    pub(crate) late_resets: VecDeque<LateReset>,
}

/// A reset that is still to leave. Its stream takes up room at the server until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LateReset {
    pub(crate) due_ms: u64,
    pub(crate) stream: u32,
    pub(crate) code: ErrorCode,
}

/// Streams that a link opens before the peer's SETTINGS tell how many it takes.
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
            early_last: 0,
            settings_acked: false,
            partial: Vec::new(),
            data: None,
            block: Block::default(),
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
            waiting: Waiting { first: NONE, last: NONE },
            streams: Streams::default(),
            recent: Recent::new(),
            told_last: frame::STREAM_ID_MAX,
            guard: Guard::new(limits, probe),
            times: Times {
                timer: Timer::UNSET,
                timer_ms: u64::MAX,
                opened_ms: now_ms,
                heard_ms: now_ms,
                busy_ms: now_ms,
                moved_ms: now_ms,
                begun_ms: now_ms,
                pinged_ms: None,
            },
            pace: is_paced.then(|| Pace::new(limits, now_ms)),
            late_resets: VecDeque::new(),
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

    /// The endpoint of a link.
    #[inline]
    pub(crate) const fn endpoint(&self) -> Option<u32> {
        match self.role {
            Role::Link { endpoint, .. } => Some(endpoint),
            Role::Accepted(_) => None,
        }
    }

    /// Room for DATA: what the connection's window and the output's soft limit leave.
    #[inline]
    pub(crate) fn room(&self, limits: &Limits) -> usize {
        let output = limits.output_bytes_soft_max.saturating_sub(self.output.len());
        output.min(usize::try_from(self.send_window).unwrap_or(0))
    }

    /// Streams that are open for the server's part.
    #[inline]
    fn streams_at_server(&self) -> u32 {
        self.streams.len() + u32::try_from(self.late_resets.len()).unwrap_or(u32::MAX)
    }

    /// Whether a link has room for one more call of a caller with this name. Once its pace leaves less than would reset all that is on
    /// it, those without a good name are kept to half of it: what they reset may take up room for long.
    #[inline]
    pub(crate) fn has_capacity(&self, reputation: Reputation, limits: &Limits, now_ms: u64) -> bool {
        let capacity = self.peer.streams_max.min(limits.calls_per_connection_max);
        let capacity = match &self.pace {
            Some(pace) if reputation == Reputation::None => capacity.min(pace.left(limits, now_ms).max(capacity.div_ceil(2))),
            _ => capacity,
        };
        self.phase == Phase::Open && self.streams_at_server() < capacity && self.output.len() < limits.output_bytes_soft_max
    }

    /// Whether `stream` was reset, and the server is still to hear of it.
    pub(crate) fn is_reset_late(&self, stream: u32) -> bool {
        self.late_resets.iter().any(|late| late.stream == stream)
    }
}
