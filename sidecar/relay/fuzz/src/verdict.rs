//! A client's frames, to a server of the reference and to the relay: what the one rejects, the other rejects.
//!
//! Neither answers, so that only what the client sends is judged: the reference's requests are held, the relay's calls are awaiting.

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use chapar_relay::{
    ConnectionKey, Limits, Probe, Relay,
    frame::{
        ErrorCode, FRAME_BYTES_MAX_DEFAULT, FrameHead, GoAway, HEAD_BYTES, Headers, Kind, PREFACE, Settings, flags, put_reset,
        put_settings,
    },
    hpack::{BlockLimits, Decoder, KnownName},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{gate::ScriptedGate, input::Input, script, trace};

const CALLS_MAX: u32 = 50;
/// The reference has limits of its own on how often a client may err; a script stays below them.
const FRAMES_MAX: usize = 15;

pub fn run(input: &mut Input<'_>) {
    let (mut relayed, mut reference) = (Relayed::new(), Reference::new());
    let mut greeting = PREFACE.to_vec();
    put_settings(&mut greeting, &Settings::default());
    relayed.send(&greeting);
    reference.send(&greeting);
    let mut streams = Vec::new();
    for _ in 0..FRAMES_MAX {
        if input.is_empty() {
            break;
        }
        let frame = ask(&mut streams, input);
        let Some(head) = FrameHead::read(&frame) else { break };
        trace!("{head:?} {}", frame.get(HEAD_BYTES..).unwrap_or_default()[..(frame.len() - HEAD_BYTES).min(60)].escape_ascii());
        relayed.send(&frame);
        reference.send(&frame);
        let (ours, theirs) = (&relayed.told, &reference.told);
        trace!("  the relay: {ours:?}\n  the reference: {theirs:?}");
        let stream = head.stream;
        if ours.rejects(stream) != theirs.rejects(stream) && !is_explained(&head, &frame[HEAD_BYTES..], ours, theirs) {
            panic!("the relay says {ours:?}, the reference {theirs:?} of {head:?}");
        }
        if ours.rejects_any() || theirs.rejects_any() {
            return;
        }
        // A client that said GOAWAY opens nothing any more; what it sends all the same is not said to be anything.
        if head.kind == Kind::GoAway {
            return;
        }
        assert_eq!(relayed.relay.gate().opened, reference.requests.len() as u64, "as many requests are delivered");
    }
}

/// Where the two may differ.
fn is_explained(head: &FrameHead, payload: &[u8], ours: &Told, theirs: &Told) -> bool {
    match head.kind {
        // The relay opens the connection's window for what came on a stream that was reset, the reference does not.
        Kind::Data if theirs.ended == Some(ErrorCode::FLOW_CONTROL_ERROR) => true,
        // The reference decodes a block as it comes, the relay when it is whole.
        Kind::Headers if !head.has(flags::END_HEADERS) => true,
        Kind::Headers => ours.rejects(head.stream) && is_malformed(head, payload),
        // A client never pushes (RFC 9113, section 8.4); the reference waits for the block's end to say so.
        Kind::PushPromise => ours.ended.is_some(),
        _ => false,
    }
}

/// What the reference lets pass although it must not.
fn is_malformed(head: &FrameHead, payload: &[u8]) -> bool {
    let Ok(headers) = Headers::read(head, payload) else { return false };
    let (mut decoder, mut scratch) = (Decoder::default(), Vec::new());
    let limits = BlockLimits { header_list_bytes_max: 1 << 20, fields_max: 1_000 };
    let Ok(fields) = decoder.fields(headers.fragment, &mut scratch, &limits) else { return false };
    let mut value = Vec::new();
    for field in fields {
        let Ok(field) = field else { return true };
        let value = field.value.read(&mut value);
        // A length is of digits (RFC 9110, section 8.6).
        if field.known == KnownName::ContentLength && !(matches!(value.len(), 1..=19) && value.iter().all(u8::is_ascii_digit)) {
            return true;
        }
    }
    false
}

fn ask(streams: &mut Vec<u32>, input: &mut Input<'_>) -> Vec<u8> {
    let operation = input.byte() % 24;
    let mut out = Vec::new();
    if operation < 6 || streams.is_empty() && operation < 14 {
        let stream = streams.last().map_or(1, |last| last + 2);
        streams.push(stream);
        chapar_relay::frame::put_headers(
            &mut out,
            stream,
            &script::awaiting_request(input),
            operation & 1 == 1,
            FRAME_BYTES_MAX_DEFAULT,
        );
        return out;
    }
    let stream = if streams.is_empty() { 1 } else { streams[usize::from(input.byte()) % streams.len()] };
    match operation {
        6..=10 => script::put_message(&mut out, stream, input, operation == 10),
        11..=12 => script::put_trailers(&mut out, stream, input),
        13 => put_reset(&mut out, stream, ErrorCode(u32::from(input.byte()))),
        _ => return script::either(operation, input),
    }
    out
}

/// What an end said in its frames.
#[derive(Debug, Default)]
struct Told {
    resets: BTreeSet<u32>,
    ended: Option<ErrorCode>,
    left: Vec<u8>,
}

impl Told {
    fn rejects(&self, stream: u32) -> bool {
        self.ended.is_some() || self.resets.contains(&stream)
    }

    fn rejects_any(&self) -> bool {
        self.ended.is_some() || !self.resets.is_empty()
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.left.extend_from_slice(bytes);
        while let Some(head) = FrameHead::read(&self.left).filter(|head| head.frame_bytes() <= self.left.len()) {
            let frame: Vec<u8> = self.left.drain(..head.frame_bytes()).collect();
            match head.kind {
                Kind::Reset => drop(self.resets.insert(head.stream)),
                Kind::GoAway => self.ended = GoAway::read(&frame[HEAD_BYTES..]).ok().map(|goaway| goaway.code),
                _ => {}
            }
        }
    }
}

struct Relayed {
    relay: Relay<ScriptedGate>,
    key: ConnectionKey,
    now: Instant,
    told: Told,
}

impl Relayed {
    fn new() -> Self {
        let limits = Limits {
            calls_per_connection_max: CALLS_MAX,
            call_window_bytes: 65_535,
            connection_window_bytes: 65_535,
            frame_bytes_max: FRAME_BYTES_MAX_DEFAULT,
            ..Limits::default()
        };
        let now = Instant::now();
        let mut relay = Relay::new(ScriptedGate::default(), limits, 1, now);
        let key = relay.accept((), Probe::Never, now);
        Self { relay, key, now, told: Told::default() }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.relay.received(self.key, bytes, self.now);
        while self.relay.next_dirty().is_some() {}
        let output = self.relay.output(self.key).to_vec();
        self.told.hear(&output);
        self.relay.written(self.key, output.len(), self.now);
        if self.relay.closing(self.key).is_some() && self.told.ended.is_none() {
            self.told.ended = Some(ErrorCode::NO_ERROR);
        }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.relay.closed(self.key, self.now);
    }
}

/// Two ends of a pipe that nobody waits at: who sends polls afterwards.
#[derive(Debug, Clone, Default)]
struct Pipe(Rc<RefCell<(VecDeque<u8>, Vec<u8>)>>);

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (inbox, _) = &mut *self.0.borrow_mut();
        if inbox.is_empty() {
            return Poll::Pending;
        }
        let bytes: Vec<u8> = inbox.drain(..out.remaining().min(inbox.len())).collect();
        out.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().1.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

type Held = (http::Request<h2::RecvStream>, h2::server::SendResponse<Bytes>);

type Connection = h2::server::Connection<Pipe, Bytes>;

enum Stage {
    Greeted(Pin<Box<dyn Future<Output = Result<Connection, h2::Error>>>>),
    Open(Box<Connection>),
}

struct Reference {
    pipe: Pipe,
    stage: Stage,
    requests: Vec<Held>,
    told: Told,
}

impl Reference {
    fn new() -> Self {
        let pipe = Pipe::default();
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(CALLS_MAX).max_header_list_size(1 << 16);
        let handshake = builder.handshake::<_, Bytes>(pipe.clone());
        Self { pipe, stage: Stage::Greeted(Box::pin(handshake)), requests: Vec::new(), told: Told::default() }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.pipe.0.borrow_mut().0.extend(bytes);
        let mut context = Context::from_waker(Waker::noop());
        // Some steps only prepare the next.
        for _ in 0..4 {
            self.poll(&mut context);
        }
        let said = std::mem::take(&mut self.pipe.0.borrow_mut().1);
        self.told.hear(&said);
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if let Stage::Greeted(handshake) = &mut self.stage
            && let Poll::Ready(connection) = handshake.as_mut().poll(context)
        {
            self.stage = Stage::Open(Box::new(connection.expect("the greeting is sound")));
        }
        let Stage::Open(connection) = &mut self.stage else { return };
        while self.told.ended.is_none() {
            match connection.poll_accept(context) {
                Poll::Ready(Some(Ok(held))) => self.requests.push(held),
                Poll::Ready(Some(Err(error))) => {
                    let code = error.reason().map_or(0, u32::from);
                    self.told.ended = Some(ErrorCode(code));
                }
                Poll::Ready(None) => self.told.ended = Some(ErrorCode::NO_ERROR),
                Poll::Pending => return,
            }
        }
    }
}
