//! One call: its two streams, and what flows between them.

use crate::{
    endpoint::Reputation,
    gate::{Flows, Gate, RequestHook, ResponseHook},
    slab::NONE,
    timer::Timer,
};

mod attempt;
mod finish;
mod flow;
mod hook;
mod meter;
mod open;
mod queue;
mod refuse;
mod respond;

pub(crate) use finish::End;
pub(crate) use meter::{Meter, PREFIX_BYTES};
pub(crate) use queue::Queue;

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the caller to the server.
    Request = 0,
    /// From the server to the caller.
    Response = 1,
}

/// A stream on a connection; none while `connection` is [`NONE`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) connection: u32,
    pub(crate) stream: u32,
}

impl Stream {
    pub(crate) const NOWHERE: Self = Self { connection: NONE, stream: 0 };

    #[inline]
    pub(crate) const fn is_somewhere(self) -> bool {
        self.connection != NONE
    }
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The gate has still to say that it may go on.
    Held,
    /// It waits for room at an endpoint, among those whose callers have such a name.
    Pending { endpoint: u32, reputation: Reputation },
    /// It is on a link.
    Flying,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Flowing {
    /// What waits for the receiver.
    pub(crate) queue: Queue,
    /// A block of trailers that follows the queue.
    pub(crate) trailers: Vec<u8>,
    /// The source has ended its stream.
    pub(crate) source_ended: bool,
    /// What the source may still send.
    pub(crate) receive_window: i64,
    /// What has left towards the receiver, and is not given back to the source's window yet.
    pub(crate) unreleased_bytes: u32,
    /// What of the queue was given back already.
    pub(crate) prepaid_bytes: usize,
    /// What is given back once the queue is low: it went into messages that were transformed.
    pub(crate) owed_bytes: usize,
    /// Bytes that `content-length` still promises.
    pub(crate) content_left: Option<u64>,
    /// The receiver's stream has been ended from here.
    pub(crate) sink_ended: bool,
    /// What the receiver takes.
    pub(crate) send_window: i64,
    /// When something last left, while something waits.
    pub(crate) moved_ms: u64,
    pub(crate) meter: Meter,
    /// Whether it waits in the receiver's connection, and beside whom.
    pub(crate) is_waiting: bool,
    pub(crate) before: u32,
    pub(crate) after: u32,
}

impl Flowing {
    const fn new(receive_window: i64) -> Self {
        Self {
            queue: Queue::EMPTY,
            trailers: Vec::new(),
            source_ended: false,
            receive_window,
            unreleased_bytes: 0,
            prepaid_bytes: 0,
            owed_bytes: 0,
            content_left: None,
            sink_ended: false,
            send_window: 0,
            moved_ms: 0,
            meter: Meter::NEW,
            is_waiting: false,
            before: NONE,
            after: NONE,
        }
    }
}

/// Request bytes that are kept for another attempt.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) bytes: Vec<u8>,
    /// False: too many have come, or the server has begun to answer.
    pub(crate) is_whole: bool,
}

/// Why an attempt came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    Unreachable,
    Full,
    TimedOut,
    NotTaken,
}

/// Endpoints that were tried in vain.
const TRIED_MAX: usize = 4;

/// What has been tried for a call.
#[derive(Debug)]
pub(crate) struct Attempts {
    pub(crate) made: u8,
    pub(crate) void_peers: u8,
    tried: [u32; TRIED_MAX],
    tried_count: u8,
    pub(crate) last: Option<(u32, Problem)>,
}

impl Attempts {
    const NONE: Self = Self { made: 0, void_peers: 0, tried: [NONE; TRIED_MAX], tried_count: 0, last: None };

    pub(crate) fn leave_out(&mut self, endpoint: u32) {
        if let Some(slot) = self.tried.get_mut(usize::from(self.tried_count)) {
            *slot = endpoint;
            self.tried_count += 1;
        }
    }

    #[inline]
    pub(crate) fn is_left_out(&self, endpoint: u32) -> bool {
        self.tried_count > 0 && self.tried.contains(&endpoint)
    }
}

/// One call.
pub(crate) struct Call<G: Gate> {
    pub(crate) own: G::Call,
    pub(crate) stage: Stage,
    /// The caller's stream.
    pub(crate) near: Stream,
    /// The server's stream, while the call is on a link.
    pub(crate) far: Stream,
    /// The endpoint of that link.
    pub(crate) endpoint: u32,
    pub(crate) request: Flowing,
    pub(crate) response: Flowing,

    /// The request's block, but for what each attempt adds.
    pub(crate) head: Vec<u8>,
    pub(crate) replay: Replay,
    pub(crate) attempts: Attempts,

    pub(crate) request_hook: RequestHook,
    pub(crate) response_hook: ResponseHook,
    /// The request's first message, gathered for the gate, prefix and all.
    pub(crate) gathered: Vec<u8>,
    /// A message of the response, likewise. Apart from the request's: a server may answer before that is whole.
    pub(crate) gathered_back: Vec<u8>,
    /// The worker has still to answer.
    pub(crate) awaits_answer: bool,

    /// The response's head is out.
    pub(crate) head_sent: bool,
    pub(crate) http_status: u16,
    pub(crate) grpc_status: Option<u32>,
    /// The value of `chapar-refused`, if `is_refused`.
    pub(crate) refused: Vec<u8>,
    pub(crate) is_refused: bool,

    pub(crate) deadline: Option<std::time::Instant>,
    pub(crate) deadline_ms: u64,
    pub(crate) pending_until_ms: u64,
    pub(crate) timer: Timer,
    pub(crate) timer_ms: u64,
    /// Its neighbours among those that wait at its endpoint.
    pub(crate) pending_before: u32,
    pub(crate) pending_after: u32,
}

impl<G: Gate> Call<G> {
    pub(crate) fn new(own: G::Call, near: Stream, window_bytes: u32) -> Self {
        let window = i64::from(window_bytes);
        Self {
            own,
            stage: Stage::Held,
            near,
            far: Stream::NOWHERE,
            endpoint: NONE,
            request: Flowing::new(window),
            response: Flowing::new(window),
            head: Vec::new(),
            replay: Replay { bytes: Vec::new(), is_whole: true },
            attempts: Attempts::NONE,
            request_hook: RequestHook::Pass,
            response_hook: ResponseHook::Pass,
            gathered: Vec::new(),
            gathered_back: Vec::new(),
            awaits_answer: false,
            head_sent: false,
            http_status: 0,
            grpc_status: None,
            refused: Vec::new(),
            is_refused: false,
            deadline: None,
            deadline_ms: u64::MAX,
            pending_until_ms: u64::MAX,
            timer: Timer::UNSET,
            timer_ms: u64::MAX,
            pending_before: NONE,
            pending_after: NONE,
        }
    }

    #[inline]
    pub(crate) const fn flowing(&mut self, way: Way) -> &mut Flowing {
        match way {
            Way::Request => &mut self.request,
            Way::Response => &mut self.response,
        }
    }

    /// Where bytes of `way` come from.
    #[inline]
    pub(crate) const fn source(&self, way: Way) -> Stream {
        match way {
            Way::Request => self.near,
            Way::Response => self.far,
        }
    }

    /// Where bytes of `way` go to.
    #[inline]
    pub(crate) const fn sink(&self, way: Way) -> Stream {
        match way {
            Way::Request => self.far,
            Way::Response => self.near,
        }
    }

    pub(crate) const fn flows(&self) -> Flows {
        Flows { request: self.request.meter.flow(), response: self.response.meter.flow() }
    }
}
