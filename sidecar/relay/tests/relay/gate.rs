//! A gate that lets everything through unless told otherwise, and keeps count.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chapar_relay::{
    Assignment, Back, CallKey, Cause, Ending, EndpointKey, FirstMessage, Flows, Gate, HeadWriter, Opening, Reply, RequestHead,
    RequestHook, ResponseHook, Transformed, Verdict, hpack::KnownName,
};

/// How a call ended, as the gate heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Answered { http: u16, grpc: Option<u32>, refused: Option<String> },
    Reset(u32),
    Told(&'static str),
    Abandoned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Go,
    Cut,
    Await,
}

#[derive(Debug)]
pub(crate) struct TestCall {
    number: usize,
    told: &'static str,
}

#[derive(Debug)]
pub(crate) struct TestGate {
    pub(crate) endpoints: Vec<EndpointKey>,
    pub(crate) opened: usize,
    open: BTreeSet<usize>,
    pub(crate) closed: Vec<(Ended, Flows)>,
    pub(crate) keys: Vec<CallKey>,
    pub(crate) paths: Vec<String>,

    pub(crate) refuses: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) request: RequestHook,
    pub(crate) response: ResponseHook,
    pub(crate) awaits: bool,
    pub(crate) on_message: Message,
    pub(crate) on_answer: Message,
    pub(crate) first_messages: Vec<String>,
    pub(crate) allows: bool,
    pub(crate) void_peers: Vec<u32>,
    pub(crate) assigned: Vec<u32>,
    pub(crate) lefts: Vec<Option<Duration>>,
    pub(crate) transform_cuts_at: Option<u8>,
}

impl Default for TestGate {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            opened: 0,
            open: BTreeSet::new(),
            closed: Vec::new(),
            keys: Vec::new(),
            paths: Vec::new(),
            refuses: false,
            timeout: None,
            request: RequestHook::Pass,
            response: ResponseHook::Pass,
            awaits: false,
            on_message: Message::Go,
            on_answer: Message::Go,
            first_messages: Vec::new(),
            allows: true,
            void_peers: Vec::new(),
            assigned: Vec::new(),
            lefts: Vec::new(),
            transform_cuts_at: None,
        }
    }
}

impl TestGate {
    pub(crate) fn is_all_closed(&self) -> bool {
        self.open.is_empty() && self.closed.len() == self.opened
    }

    pub(crate) fn last_end(&self) -> Option<&Ended> {
        self.closed.last().map(|(ended, _)| ended)
    }
}

fn refuse(call: &mut TestCall, reply: &mut Reply, status: &str, why: &'static str) {
    call.told = why;
    reply.field(b"grpc-status", status.as_bytes());
    reply.field(b"grpc-message", why.as_bytes());
}

fn verdict(message: Message, call: &mut TestCall, reply: &mut Reply) -> Verdict {
    match message {
        Message::Go => Verdict::Go,
        Message::Await => Verdict::Await,
        Message::Cut => {
            refuse(call, reply, "7", "cut by the gate");
            Verdict::Cut
        }
    }
}

impl Gate for TestGate {
    type Origin = &'static str;
    type Peer = u32;
    type Endpoint = &'static str;
    type DialError = &'static str;
    type Call = TestCall;
    type Answer = ();

    fn open(
        &mut self,
        _: &&'static str,
        head: &RequestHead<'_>,
        key: CallKey,
        now: Instant,
        reply: &mut Reply,
    ) -> Opening<TestCall> {
        self.paths.push(String::from_utf8_lossy(head.path()).into_owned());
        assert!(!head.repeats(KnownName::Path));
        if self.refuses {
            reply.field(b"grpc-status", b"7");
            return Opening::Refuse;
        }
        self.keys.push(key);
        self.opened += 1;
        self.open.insert(self.opened);
        head.drop_tracestate();
        Opening::Forward {
            call: TestCall { number: self.opened, told: "" },
            deadline: self.timeout.map(|timeout| now + timeout),
            request: self.request,
            response: self.response,
            awaits_answer: self.awaits,
        }
    }

    fn candidates(&mut self, _: &mut TestCall, endpoints: &mut Vec<EndpointKey>) {
        assert!(endpoints.is_empty());
        endpoints.extend_from_slice(&self.endpoints);
    }

    fn assigned(&mut self, _: &mut TestCall, _: &&'static str, peer: &u32, _: Instant) -> Assignment {
        self.assigned.push(*peer);
        if self.void_peers.contains(peer) { Assignment::Void } else { Assignment::Go }
    }

    fn write_onward(&mut self, _: &TestCall, _: &&'static str, _: &u32, left: Option<Duration>, out: &mut HeadWriter<'_>) {
        self.lefts.push(left);
        out.field(b"chapar-call-id", b"id");
    }

    fn write_back(&mut self, _: &TestCall, part: Back, out: &mut HeadWriter<'_>) {
        if part != (Back::Trailers { refused: false }) {
            out.field(b"chapar-call-id", b"id");
        }
    }

    fn first_message(&mut self, call: &mut TestCall, message: FirstMessage<'_>, reply: &mut Reply) -> Verdict {
        self.first_messages.push(match message {
            FirstMessage::Whole { compressed, message } => format!("{compressed} {}", String::from_utf8_lossy(message)),
            FirstMessage::TooLong { .. } => "too long".to_owned(),
            FirstMessage::Torn => "torn".to_owned(),
            FirstMessage::Missing => "missing".to_owned(),
        });
        verdict(self.on_message, call, reply)
    }

    fn answered(&mut self, call: &mut TestCall, (): (), reply: &mut Reply) -> Verdict {
        verdict(self.on_answer, call, reply)
    }

    fn transform(
        &mut self,
        call: &mut TestCall,
        compressed: bool,
        message: &[u8],
        out: &mut Vec<u8>,
        reply: &mut Reply,
    ) -> Transformed {
        if self.transform_cuts_at.is_some_and(|byte| message.contains(&byte)) {
            refuse(call, reply, "13", "cannot be transformed");
            return Transformed::Cut;
        }
        out.extend_from_slice(b"<");
        out.extend_from_slice(message);
        out.extend_from_slice(b">");
        Transformed::Send { compressed }
    }

    fn recheck(&mut self, call: &mut TestCall, _: Instant, reply: &mut Reply) -> bool {
        if !self.allows {
            refuse(call, reply, "7", "no longer allowed");
        }
        self.allows
    }

    fn refusal(&mut self, call: &mut TestCall, cause: &Cause<'_, Self>, reply: &mut Reply) {
        let (status, why) = match cause {
            Cause::DeadlineExceeded => ("4", "deadline"),
            Cause::NoEndpoint => ("14", "no endpoint"),
            Cause::Unreachable { error, .. } => ("14", **error),
            Cause::Full { .. } => ("8", "full"),
            Cause::TimedOut { .. } => ("14", "no room in time"),
            Cause::PeerVoid { .. } => ("14", "peer void"),
            Cause::NotTaken { .. } => ("14", "not taken"),
            Cause::Lost { .. } => ("14", "lost"),
            Cause::MalformedResponse { .. } => ("13", "malformed"),
            Cause::MessageTooLong => ("8", "message too long"),
            Cause::Stalled => ("8", "stalled"),
            Cause::Draining => ("14", "draining"),
        };
        refuse(call, reply, status, why);
    }

    fn close(&mut self, call: TestCall, ending: Ending<'_>, flows: Flows, _: Instant) {
        assert!(self.open.remove(&call.number), "call {} is closed twice", call.number);
        let ended = match ending {
            Ending::Answered { http_status, grpc_status, refused } => Ended::Answered {
                http: http_status,
                grpc: grpc_status,
                refused: refused.map(|told| String::from_utf8_lossy(told).into_owned()),
            },
            Ending::Reset { code } => Ended::Reset(code.0),
            Ending::Told => Ended::Told(call.told),
            Ending::Abandoned => Ended::Abandoned,
        };
        self.closed.push((ended, flows));
    }
}
