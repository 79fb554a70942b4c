//! A client, the relays of a consumer's and a provider's sidecar with their gates, and a server, joined in memory.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use chapar_core::{policy::Side, record::Outcome};
use chapar_relay::{
    ConnectionKey, EndpointConfig, Event, Limits, Probe, Relay,
    frame::{self, Kind, Settings, flags},
    hpack::{BlockLimits, Decoder, put_indexed, put_literal, put_static_name, statics},
};

use super::{
    super::Gate,
    world::{Authority, CONSUMER, EXCHANGE, PATH, PROVIDER, World, block, certificate, inquiry},
};
use crate::{
    call::Caller,
    endpoints::{Endpoint, EndpointKind, EndpointSet},
    report::Reporter,
    transport::FarEnd,
};

/// Frames of our own ends are no longer.
const FRAME_BYTES_MAX: u32 = 16_384;
const WINDOW_BYTES: u32 = 1 << 30;

/// One end that we play ourselves.
#[derive(Default)]
pub(super) struct End {
    /// What came, and is not read yet.
    inbox: Vec<u8>,
    /// What goes back.
    outbox: Vec<u8>,
    preface_seen: bool,
    /// The last block that came: its stream, and whether it ended it.
    pub(super) block: Vec<u8>,
    pub(super) ended: u32,
    pub(super) data_bytes: usize,
}

/// What a frame that came asks for.
enum Came {
    Head,
    End { stream: u32 },
    Nothing,
}

impl End {
    fn client() -> Self {
        let mut end = Self { preface_seen: true, ..Self::default() };
        end.outbox.extend_from_slice(frame::PREFACE);
        end.begin();
        end
    }

    fn begin(&mut self) {
        let settings = Settings { window_bytes: Some(WINDOW_BYTES), ..Settings::default() };
        frame::put_settings(&mut self.outbox, &settings);
        frame::put_window_update(&mut self.outbox, 0, WINDOW_BYTES);
    }

    /// Reads all frames that are whole; `answer` is told of streams that ended.
    fn read(&mut self, mut answer: impl FnMut(&mut Vec<u8>, u32)) {
        let mut at = 0;
        if !self.preface_seen && self.inbox.len() >= frame::PREFACE.len() {
            at = frame::PREFACE.len();
            self.preface_seen = true;
            self.begin();
        }
        while let Some(head) = frame::FrameHead::read(&self.inbox[at..]) {
            let end = at + head.frame_bytes();
            if end > self.inbox.len() {
                break;
            }
            let payload = at + frame::HEAD_BYTES..end;
            at = end;
            let came = match head.kind {
                Kind::Settings if !head.has(flags::ACK) => {
                    frame::put_settings_ack(&mut self.outbox);
                    Came::Nothing
                }
                Kind::Headers => {
                    self.block.clear();
                    self.block.extend_from_slice(&self.inbox[payload]);
                    Came::Head
                }
                Kind::Data => {
                    self.data_bytes += payload.len();
                    Came::Head
                }
                Kind::Reset => Came::End { stream: head.stream },
                _ => Came::Nothing,
            };
            match came {
                Came::Head if head.has(flags::END_STREAM) => {
                    self.ended = head.stream;
                    answer(&mut self.outbox, head.stream);
                }
                Came::End { stream } => self.ended = stream,
                Came::Head | Came::Nothing => {}
            }
        }
        self.inbox.drain(..at);
    }

    /// The fields of the last block that came.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let limits = BlockLimits { header_list_bytes_max: u32::MAX, fields_max: u32::MAX };
        let mut scratch = Vec::new();
        let mut decoder = Decoder::new(0);
        let fields = decoder.fields(&self.block, &mut scratch, &limits).unwrap();
        let text = |text: chapar_relay::hpack::Text<'_>| String::from_utf8_lossy(text.read(&mut Vec::new())).into_owned();
        fields.map(|field| field.unwrap()).map(|field| (text(field.name), text(field.value))).collect()
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.fields().into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }
}

/// A sidecar: its relay, and where its records are found.
pub(super) struct Sidecar {
    pub(super) relay: Relay<Gate>,
    pub(super) reporter: Reporter,
    /// Holds the records for as long as the sidecar runs.
    _folder: tempfile::TempDir,
    endpoint: chapar_relay::EndpointKey,
}

impl Sidecar {
    fn new(authority: &Authority, agency: &'static str, kind: EndpointKind, now: Instant) -> Self {
        let World { gate, reporter, folder, .. } = World::under(authority, agency, 16_384);
        let mut relay = Relay::new(gate, Limits::default(), 1, now);
        let config = EndpointConfig { https: kind == EndpointKind::Peer, authority: "there", probe: Probe::Never };
        let endpoint = relay.endpoints(now).add(Endpoint::of_tests(kind, "10.0.0.2:1"), &config);
        relay.gate_mut().endpoints = EndpointSet::of_tests(&inquiry("Echo", false), kind, endpoint);
        Self { relay, reporter, _folder: folder, endpoint }
    }

    fn dialled(&mut self, far_end: impl FnOnce() -> FarEnd, now: Instant) -> Option<ConnectionKey> {
        let wanted = std::iter::from_fn(|| self.relay.next_event()).any(|event| matches!(event, Event::Dial { .. }));
        wanted.then(|| self.relay.dialled(self.endpoint, Rc::new(far_end()), now)).flatten()
    }

    /// Hands `to` everything that is to be written to `connection`; true if there was anything.
    fn write(&mut self, connection: Option<ConnectionKey>, now: Instant, mut to: impl FnMut(&[u8])) -> bool {
        let mut wrote = false;
        while let Some(connection) = connection {
            let bytes = self.relay.output(connection);
            if bytes.is_empty() {
                break;
            }
            to(bytes);
            let count = bytes.len();
            self.relay.written(connection, count, now);
            wrote = true;
        }
        wrote
    }
}

pub(super) struct Wire {
    pub(super) client: End,
    pub(super) consumer: Sidecar,
    pub(super) provider: Sidecar,
    pub(super) server: End,
    outer: ConnectionKey,
    /// Both ends of the connection between the sidecars.
    link: Option<(ConnectionKey, ConnectionKey)>,
    inner: Option<ConnectionKey>,
    pub(super) now: Instant,
    last_stream: u32,
    request: Vec<u8>,
    onward: Vec<u8>,
}

impl Wire {
    pub(super) fn new() -> Self {
        let (authority, now) = (Authority::new(), Instant::now());
        let mut consumer = Sidecar::new(&authority, CONSUMER, EndpointKind::Peer, now);
        let provider = Sidecar::new(&authority, PROVIDER, EndpointKind::Upstream, now);
        let outer = consumer.relay.accept(Rc::new(Caller::application("127.0.0.1:5")), Probe::Never, now);
        Self {
            client: End::client(),
            consumer,
            provider,
            server: End::default(),
            outer,
            link: None,
            inner: None,
            now,
            last_stream: 0,
            request: block(PATH, &[("grpc-timeout", "10S"), ("user-agent", "grpc-test/1")]),
            onward: Vec::new(),
        }
    }

    /// A call with a message of `bytes`; returns once nothing moves any more.
    pub(super) fn call(&mut self, bytes: usize) {
        self.last_stream = if self.last_stream == 0 { 1 } else { self.last_stream + 2 };
        let out = &mut self.client.outbox;
        frame::put_headers(out, self.last_stream, &self.request, false, FRAME_BYTES_MAX);
        put_message(out, self.last_stream, bytes, true);
        self.now += Duration::from_micros(10);
        self.settle();
    }

    /// Moves bytes until nothing moves any more.
    pub(super) fn settle(&mut self) {
        while self.step() {}
        for sidecar in [&mut self.consumer, &mut self.provider] {
            while sidecar.relay.next_dirty().is_some() {}
            sidecar.relay.gate().commit();
        }
    }

    fn step(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        if !self.client.outbox.is_empty() {
            self.consumer.relay.received(self.outer, &self.client.outbox, now);
            self.client.outbox.clear();
            moved = true;
        }
        if let Some(ours) = self.consumer.dialled(|| FarEnd::Sidecar(certificate(PROVIDER)), now) {
            let caller = Caller::sidecar(certificate(CONSUMER), &EXCHANGE.parse().unwrap(), "10.0.0.1:9");
            self.link = Some((ours, self.provider.relay.accept(Rc::new(caller), Probe::Never, now)));
        }
        if let Some(ours) = self.provider.dialled(|| FarEnd::OwnServer, now) {
            self.inner = Some(ours);
        }
        moved |= self.between_sidecars(now);
        moved |= self.provider.write(self.inner, now, |bytes| self.server.inbox.extend_from_slice(bytes));
        self.server.read(put_answer);
        if let Some(inner) = self.inner.filter(|_| !self.server.outbox.is_empty()) {
            self.provider.relay.received(inner, &self.server.outbox, now);
            self.server.outbox.clear();
            moved = true;
        }
        moved |= self.consumer.write(Some(self.outer), now, |bytes| self.client.inbox.extend_from_slice(bytes));
        self.client.read(|_, _| {});
        moved
    }

    fn between_sidecars(&mut self, now: Instant) -> bool {
        let Some((ours, theirs)) = self.link else { return false };
        let onward = &mut self.onward;
        onward.clear();
        let there = self.consumer.write(Some(ours), now, |bytes| onward.extend_from_slice(bytes));
        if there {
            self.provider.relay.received(theirs, onward, now);
        }
        onward.clear();
        let back = self.provider.write(Some(theirs), now, |bytes| onward.extend_from_slice(bytes));
        if back {
            self.consumer.relay.received(ours, onward, now);
        }
        there || back
    }
}

fn put_message(out: &mut Vec<u8>, stream: u32, bytes: usize, end_stream: bool) {
    let length = u32::try_from(bytes).unwrap();
    frame::put_data_head(out, stream, length + 5, end_stream);
    out.push(0);
    out.extend_from_slice(&length.to_be_bytes());
    out.resize(out.len() + bytes, 7);
}

fn put_answer(out: &mut Vec<u8>, stream: u32) {
    // Blocks are short: made where they stand, so that nothing is allocated for them.
    let put = |out: &mut Vec<u8>, end_stream: bool, fields: fn(&mut Vec<u8>)| {
        let block = frame::BlockWriter::begin(out, stream);
        fields(out);
        block.end(out, end_stream, FRAME_BYTES_MAX);
    };
    put(out, false, |out| {
        put_indexed(out, statics::STATUS_200);
        put_static_name(out, statics::CONTENT_TYPE, b"application/grpc");
    });
    put_message(out, stream, 100, false);
    put(out, true, |out| put_literal(out, b"grpc-status", b"0"));
}

#[test]
fn a_call_goes_through_both_gates_and_both_put_it_on_record() {
    let mut wire = Wire::new();
    wire.call(100);
    let server = &wire.server;
    for (name, value) in
        [("chapar-consumer", CONSUMER), ("chapar-inquiry", "echo"), ("chapar-resolution", "1"), ("user-agent", "grpc-test/1")]
    {
        assert_eq!(server.value(name).as_deref(), Some(value), "{name}");
    }
    let (call_id, timeout) = (server.value("chapar-call-id").unwrap(), server.value("grpc-timeout").unwrap());
    assert_eq!(timeout, "10000000u");
    assert_eq!((wire.client.ended, wire.client.data_bytes, server.data_bytes), (1, 105, 105));
    assert_eq!(wire.client.value("grpc-status").as_deref(), Some("0"));
    let [ours, theirs] = [&wire.consumer, &wire.provider].map(|sidecar| sidecar.reporter.take(2));
    let ([ours], [theirs]) = (ours.as_slice(), theirs.as_slice()) else { panic!("one record each") };
    let (ours, theirs) = (ours.record(), theirs.record());
    assert_eq!((ours.outcome, theirs.outcome), (Outcome::Served, Outcome::Served));
    assert_eq!((ours.side, theirs.side), (Side::Consumer, Side::Provider));
    assert_eq!([ours.call_id.to_string(), theirs.call_id.to_string()], [call_id.clone(), call_id]);
    assert_eq!(theirs.trace.parent_span_id, Some(ours.trace.span_id));
    assert_eq!((ours.request, ours.response), (theirs.request, theirs.response));
    assert_eq!((ours.request.messages, ours.request.bytes, ours.response.bytes), (1, 105, 105));
}
