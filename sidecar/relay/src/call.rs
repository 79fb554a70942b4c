//! One call: its two streams, and what flows between them.

use std::num::NonZeroU16;

use crate::{
    gate::{Flows, Gate, RequestHook, ResponseHook},
    keys::{CallId, Direction, EndpointId},
    list::Links,
    reputation::Reputation,
    timer::{Owner, Timer, Wheel},
};

mod attempts;
mod flowing;
mod meter;
mod slots;
mod state;

pub(crate) use attempts::{Attempts, Problem};
pub(crate) use flowing::Flowing;
pub(crate) use meter::PREFIX_BYTES;
pub(crate) use slots::Calls;
pub(crate) use state::{At, State, Stream};

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// At no endpoint: the gate has still to say that it may go on, or its connection is gone after all of the answer came.
    Unassigned,
    /// It waits for room at an endpoint, among those whose callers have such a reputation.
    Pending { endpoint: EndpointId, reputation: Reputation },
    /// It is on a connection to an endpoint.
    Assigned { endpoint: EndpointId },
}

/// What is known of the answer.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// None: its head has not come.
    pub(crate) http_status: Option<NonZeroU16>,
    pub(crate) grpc_status: Option<u32>,
    /// The value of `chapar-refused`.
    pub(crate) refused: Option<Vec<u8>>,
}

/// When something is due, in ms since the relay was made.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) deadline: Option<std::time::Instant>,
    pub(crate) deadline_ms: u64,
    pub(crate) pending_until_ms: u64,
    timer: Timer,
    timer_ms: u64,
}

/// One call.
pub(crate) struct Call<G: Gate> {
    pub(crate) own: G::Call,
    pub(crate) stage: Stage,
    /// The caller's stream.
    pub(crate) near: Stream,
    /// The server's stream.
    pub(crate) far: Stream,
    pub(crate) request: Flowing,
    pub(crate) response: Flowing,

    /// The request's block, but for what each attempt adds.
    pub(crate) head: Vec<u8>,
    /// What has come of the request, kept for another attempt. None: too much has come, or the server has begun to answer.
    pub(crate) replay: Option<Vec<u8>>,
    pub(crate) attempts: Attempts,

    pub(crate) request_hook: RequestHook,
    pub(crate) response_hook: ResponseHook,
    /// The request's first message, gathered for the gate, prefix and all.
    pub(crate) gathered: Vec<u8>,
    /// A message of the response, likewise. Apart from the request's: a server may answer before that is whole.
    pub(crate) gathered_back: Vec<u8>,
    /// The worker has still to answer.
    pub(crate) awaits_answer: bool,

    pub(crate) answered: Answered,
    pub(crate) times: Times,
    /// Its neighbours among those that wait at its endpoint.
    pending_links: Links<CallId>,
}

impl<G: Gate> Call<G> {
    pub(crate) fn new(own: G::Call, near: At, window_bytes: u32) -> Self {
        let window = i64::from(window_bytes);
        Self {
            own,
            stage: Stage::Unassigned,
            near: Stream::open(near),
            far: Stream::IDLE,
            request: Flowing::new(window),
            response: Flowing::new(window),
            head: Vec::new(),
            replay: Some(Vec::new()),
            attempts: Attempts::NONE,
            request_hook: RequestHook::Pass,
            response_hook: ResponseHook::Pass,
            gathered: Vec::new(),
            gathered_back: Vec::new(),
            awaits_answer: false,
            answered: Answered::default(),
            times: Times {
                deadline: None,
                deadline_ms: u64::MAX,
                pending_until_ms: u64::MAX,
                timer: Timer::UNSET,
                timer_ms: u64::MAX,
            },
            pending_links: Links::NONE,
        }
    }

    #[inline]
    pub(crate) const fn flowing(&mut self, direction: Direction) -> &mut Flowing {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// Where bytes of `direction` come from.
    #[inline]
    pub(crate) const fn source(&self, direction: Direction) -> &Stream {
        match direction {
            Direction::Request => &self.near,
            Direction::Response => &self.far,
        }
    }

    /// Where bytes of `direction` go to.
    #[inline]
    pub(crate) const fn sink(&self, direction: Direction) -> &Stream {
        match direction {
            Direction::Request => &self.far,
            Direction::Response => &self.near,
        }
    }

    /// The source has said that nothing more comes of `direction`.
    #[inline]
    pub(crate) fn source_ends(&mut self, direction: Direction) {
        match direction {
            Direction::Request => self.near.state.receive_end(),
            Direction::Response => self.far.state.receive_end(),
        }
    }

    /// The sink was told that nothing more comes of `direction`.
    #[inline]
    pub(crate) fn sink_ends(&mut self, direction: Direction) {
        match direction {
            Direction::Request => self.far.state.send_end(),
            Direction::Response => self.near.state.send_end(),
        }
    }

    /// Whether what leaves is given back to the source as it leaves; else messages are transformed, and give it back by themselves.
    #[inline]
    pub(crate) fn is_direct(&self, direction: Direction) -> bool {
        direction == Direction::Request || self.response_hook == ResponseHook::Pass
    }

    /// Whether the gate still keeps it from being assigned.
    pub(crate) fn is_held(&self) -> bool {
        self.awaits_answer || self.request_hook == RequestHook::Hold
    }

    /// Whether the server has begun to answer.
    #[inline]
    pub(crate) const fn is_answered(&self) -> bool {
        self.answered.http_status.is_some()
    }

    /// The endpoint whose connection it is on.
    pub(crate) const fn endpoint(&self) -> Option<EndpointId> {
        match self.stage {
            Stage::Assigned { endpoint } => Some(endpoint),
            Stage::Unassigned | Stage::Pending { .. } => None,
        }
    }

    pub(crate) const fn flows(&self) -> Flows {
        Flows { request: self.request.meter.flow(), response: self.response.meter.flow() }
    }

    /// Sees to the call not later than `due_ms`.
    #[inline]
    pub(crate) fn wake_by(&mut self, id: CallId, due_ms: u64, wheel: &mut Wheel) {
        if due_ms < self.times.timer_ms {
            wheel.unset(&mut self.times.timer);
            self.times.timer = wheel.set(Owner::Call(id), due_ms);
            self.times.timer_ms = due_ms;
        }
    }

    /// The timer went off: the wheel has forgotten it.
    pub(crate) const fn timer_fired(&mut self) {
        (self.times.timer, self.times.timer_ms) = (Timer::UNSET, u64::MAX);
    }

    /// No timer goes off for it any more.
    #[inline]
    pub(crate) fn unset_timer(&mut self, wheel: &mut Wheel) {
        wheel.unset(&mut self.times.timer);
    }

    /// When data that wait for a receiver will have waited too long.
    pub(crate) fn stalled_ms(&self, stall_ms: u64) -> u64 {
        let of = |sink: &Stream, flowing: &Flowing| {
            let waits = sink.at.is_some() && !flowing.queue.is_empty();
            if waits { flowing.moved_ms.saturating_add(stall_ms) } else { u64::MAX }
        };
        of(&self.far, &self.request).min(of(&self.near, &self.response))
    }
}
