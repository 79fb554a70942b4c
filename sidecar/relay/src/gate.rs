//! What the relay asks of whoever decides about calls. Static dispatch: a worker has one gate, and the relay owns it.

use std::time::{Duration, Instant};

use crate::{
    head::{HeadWriter, Reply, RequestHead},
    keys::{CallKey, EndpointKey},
};

/// Decides about calls, writes what they carry on, and closes their accounts.
///
/// All methods run on the worker's thread, inside a call to the relay; none may block. For each value that [`Gate::open`] returned
/// in [`Opening::Forward`], [`Gate::close`] is called exactly once, whatever happens.
pub trait Gate {
    /// Who is at the other end of a connection that came in.
    type Origin;
    /// Who is at the other end of a connection that was dialled.
    type Peer;
    /// What the gate knows of an endpoint.
    type Endpoint;
    /// Why an endpoint was not reached.
    type DialError;
    /// A call, from its opening to its close: the account and whatever decides it again. Stored inline, so keep it small.
    type Call;
    /// What the answer brings that a call awaits.
    type Answer;

    /// A call has come. To refuse it, write `reply` and close its account before returning [`Opening::Refuse`]: such a call is not
    /// heard of again. `key` is for whoever will [`crate::Relay::answer`] it.
    fn open(
        &mut self,
        origin: &Self::Origin,
        head: &RequestHead<'_>,
        key: CallKey,
        now: Instant,
        reply: &mut Reply,
    ) -> Opening<Self::Call>;

    /// Where `call` may go: append to `endpoints`, which is empty. None: the call ends by [`Cause::NoEndpoint`]. Asked for each attempt; those
    /// that were tried are left out.
    fn candidates(&mut self, call: &mut Self::Call, endpoints: &mut Vec<EndpointKey>);

    /// There is room for `call` on a connection to `endpoint` at whose other end is `peer`. Asked before each attempt.
    fn assigned(&mut self, call: &mut Self::Call, endpoint: &Self::Endpoint, peer: &Self::Peer, now: Instant) -> Assignment;

    /// Appends the fields that go on with the request: tracking ID, trace, `grpc-timeout` of `left`. Pseudo-header fields are the
    /// relay's and are already written. Of the caller's fields all pass but those of [`crate::head::dropped_onward`].
    fn write_onward(
        &mut self,
        call: &Self::Call,
        endpoint: &Self::Endpoint,
        peer: &Self::Peer,
        left: Option<Duration>,
        out: &mut HeadWriter<'_>,
    );

    /// Appends the fields that go back with `part` of the response. Of the server's fields all pass but those that concern one hop,
    /// and all `chapar-*`.
    fn write_back(&mut self, call: &Self::Call, part: Back, out: &mut HeadWriter<'_>);

    /// The first message of a call that was opened with [`RequestHook::Peek`] or [`RequestHook::Hold`]. For [`Verdict::Cut`] write
    /// `reply` first. Under `Peek`, [`Verdict::Await`] counts as `Go`.
    fn first_message(&mut self, call: &mut Self::Call, message: FirstMessage<'_>, reply: &mut Reply) -> Verdict;

    /// The answer that a call awaited. For [`Verdict::Cut`] write `reply` first; [`Verdict::Await`] waits on.
    fn answered(&mut self, call: &mut Self::Call, answer: Self::Answer, reply: &mut Reply) -> Verdict;

    /// One message of a response that passes by [`ResponseHook::EachMessage`]: append to `out` what goes to the caller in its place,
    /// without the prefix. For [`Transformed::Cut`] write `reply` first.
    fn transform(
        &mut self,
        call: &mut Self::Call,
        compressed: bool,
        message: &[u8],
        out: &mut Vec<u8>,
        reply: &mut Reply,
    ) -> Transformed;

    /// Whether a running call may go on: asked by [`crate::Relay::continue_recheck`]. False: write `reply` first.
    fn recheck(&mut self, call: &mut Self::Call, now: Instant, reply: &mut Reply) -> bool;

    /// The relay ends `call` for `cause`: write what the caller is told. [`Gate::close`] follows with [`Ending::Told`].
    fn refusal(&mut self, call: &mut Self::Call, cause: &Cause<'_, Self>, reply: &mut Reply);

    /// The call has ended. What tells the caller so is in its connection's output, or is about to be put there, but cannot have left.
    fn close(&mut self, call: Self::Call, ending: Ending<'_>, flows: Flows, now: Instant);
}

/// What becomes of a call that has come.
#[derive(Debug)]
pub enum Opening<C> {
    /// It goes on.
    Forward {
        /// The gate's own value of it.
        call: C,
        /// When the caller stops waiting.
        deadline: Option<Instant>,
        /// What of the request the gate wants to see.
        request: RequestHook,
        /// How the response passes.
        response: ResponseHook,
        /// True: the call is not sent on before [`crate::Relay::answer`] says so.
        awaits_answer: bool,
    },
    /// It is refused, by what was written in the reply.
    Refuse,
}

impl<C> Opening<C> {
    /// The call goes on, unread either way.
    pub const fn pass(call: C, deadline: Option<Instant>) -> Self {
        Self::Forward { call, deadline, request: RequestHook::Pass, response: ResponseHook::Pass, awaits_answer: false }
    }
}

/// What of the request the gate wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestHook {
    /// Nothing.
    Pass,
    /// The first message, while it goes on: but for its last bytes, which wait for the verdict.
    Peek,
    /// The first message, before anything goes on: the call is sent on once the gate has said [`Verdict::Go`].
    Hold,
}

/// How the response passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseHook {
    /// As it comes.
    Pass,
    /// Message by message through [`Gate::transform`].
    EachMessage,
}

/// The first message of a request.
#[derive(Debug, Clone, Copy)]
pub enum FirstMessage<'m> {
    /// All of it.
    Whole {
        /// The prefix's flag: the message is compressed as `grpc-encoding` says.
        compressed: bool,
        /// Without the prefix of five bytes.
        message: &'m [u8],
    },
    /// It is longer than `Limits::first_message_bytes_max`, as its prefix says: of the rest not all has come.
    TooLong {
        /// How long one may be.
        bytes_max: u32,
    },
    /// The request ended in the midst of it.
    Torn,
    /// The request ended without one.
    Missing,
}

/// What the gate says of a call that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Go,
    /// End, by what was written in the reply.
    Cut,
    /// Wait for [`crate::Relay::answer`].
    Await,
}

/// What the gate made of a response's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transformed {
    /// What it appended goes to the caller.
    Send {
        /// The flag for the prefix.
        compressed: bool,
    },
    /// The call ends, by what was written in the reply.
    Cut,
}

/// What the gate says of the peer that a call would go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// The call may go to it.
    Go,
    /// No call may go over this connection: it is retired, and another is tried, dialled anew if need be. A second time for the same call
    /// ends it by [`Cause::PeerVoid`].
    Void,
}

/// Which part of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// The head; `end` if it is the whole response.
    Head {
        /// Nothing follows.
        end: bool,
    },
    /// The trailers.
    Trailers {
        /// They carry `chapar-refused`.
        refused: bool,
    },
}

/// Why the relay itself ends a call.
#[derive(Debug)]
pub enum Cause<'c, G: Gate + ?Sized> {
    /// The deadline passed.
    DeadlineExceeded,
    /// [`Gate::candidates`] gave none that exists.
    NoEndpoint,
    /// The last endpoint that was tried could not be reached.
    Unreachable {
        /// Which.
        endpoint: &'c G::Endpoint,
        /// Why.
        error: &'c G::DialError,
    },
    /// There was no room for it, and too many wait already (`Limits::pending_per_endpoint_max`).
    Full {
        /// Where.
        endpoint: &'c G::Endpoint,
    },
    /// There was no room for it in time (`Limits::pending_timeout`).
    TimedOut {
        /// Where.
        endpoint: &'c G::Endpoint,
    },
    /// Both connections that were tried have a peer that [`Gate::assigned`] found void.
    PeerVoid {
        /// Where.
        endpoint: &'c G::Endpoint,
    },
    /// The other side did not take it on, and there is no further attempt.
    NotTaken {
        /// Who.
        endpoint: &'c G::Endpoint,
    },
    /// The connection broke under it, after it may have been taken on.
    Lost {
        /// To whom.
        endpoint: &'c G::Endpoint,
    },
    /// The response breaks HTTP/2's rules of messages (RFC 9113, section 8.1.1).
    MalformedResponse {
        /// Whose.
        endpoint: &'c G::Endpoint,
    },
    /// A message of the response is longer than `Limits::transformed_message_bytes_max`.
    MessageTooLong,
    /// The caller, or the server, takes nothing for `Limits::stall_timeout`.
    Stalled,
    /// The sidecar goes down and waits no longer ([`crate::Relay::cut_all`]).
    Draining,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending<'e> {
    /// With the server's whole answer.
    Answered {
        /// `:status`.
        http_status: u16,
        /// The value of `grpc-status`, the trailers' before the head's; 2 (UNKNOWN) if it is no number.
        grpc_status: Option<u32>,
        /// The value of `chapar-refused`, as the other side sent it: to be believed of sidecars only.
        refused: Option<&'e [u8]>,
    },
    /// The server broke the stream off, and so does the relay towards the caller.
    Reset {
        /// As the server sent it.
        code: crate::frame::ErrorCode,
    },
    /// The caller is told what the gate last wrote in a reply for it.
    Told,
    /// The caller broke the stream off, or its connection ended.
    Abandoned,
}

/// What has flowed, as read from the one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow {
    /// Whole gRPC messages.
    pub messages: u64,
    /// Bytes of DATA, without padding.
    pub bytes: u64,
}

/// What has flowed both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flows {
    /// From the caller.
    pub request: Flow,
    /// From the server; where messages are transformed, what went to the caller.
    pub response: Flow,
}
