//! A relay, its clock, and the ends that are scripted.

use std::time::{Duration, Instant};

use chapar_relay::{
    CloseReason, ConnectionKey, EndpointConfig, EndpointKey, Event, Limits, Probe, Relay,
    frame::{self, ErrorCode, FrameHead, Kind, Settings, flags},
    hpack::{self, BlockLimits, Decoder, statics},
};

use crate::gate::TestGate;

/// One frame that the relay sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn ends(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & flags::END_STREAM != 0
    }

    pub(crate) fn code(&self) -> Option<ErrorCode> {
        let word = |bytes: &[u8]| bytes.first_chunk::<4>().map(|bytes| ErrorCode(u32::from_be_bytes(*bytes)));
        match self.kind {
            Kind::Reset => word(&self.payload),
            Kind::GoAway => word(self.payload.get(4..)?),
            _ => None,
        }
    }

    pub(crate) fn word(&self) -> u32 {
        self.payload.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

/// One end of a connection to the relay.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) key: ConnectionKey,
    decoder: Decoder,
    preface: usize,
}

pub(crate) type Fields = Vec<(String, String)>;

impl End {
    /// Reads a header block of the relay's.
    pub(crate) fn fields(&mut self, block: &[u8]) -> Fields {
        let limits = BlockLimits { header_list_bytes_max: 1 << 20, fields_max: 1_000 };
        let mut scratch = Vec::new();
        let fields = self.decoder.fields(block, &mut scratch, &limits).expect("the relay writes sound blocks");
        let text = |text: hpack::Text<'_>| {
            let mut bytes = Vec::new();
            text.append_to(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        fields.map(|field| field.expect("a sound field")).map(|field| (text(field.name), text(field.value))).collect()
    }
}

pub(crate) struct World {
    pub(crate) relay: Relay<TestGate>,
    pub(crate) now: Instant,
}

pub(crate) fn fast() -> Limits {
    Limits { output_bytes_soft_max: 8 << 20, ..Limits::default() }
}

impl World {
    pub(crate) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self { relay: Relay::new(TestGate::default(), limits, 7, now), now }
    }

    /// A world with one endpoint, a client, and a link to that endpoint.
    pub(crate) fn pair(limits: Limits) -> (Self, End, End) {
        let mut world = Self::new(limits);
        let endpoint = world.endpoint("here");
        world.relay.endpoints(world.now).keep_open(endpoint, true);
        let server = world.dialled(endpoint, 1);
        let client = world.client();
        (world, client, server)
    }

    /// The same, where the client has made a call, and the server has it.
    pub(crate) fn asked(limits: Limits) -> (Self, End, End) {
        let (mut world, client, mut server) = Self::pair(limits);
        world.send(&client, &unary(1, b"ask"));
        world.messages(&mut server);
        (world, client, server)
    }

    pub(crate) fn gate(&mut self) -> &mut TestGate {
        self.relay.gate_mut()
    }

    pub(crate) fn endpoint(&mut self, name: &'static str) -> EndpointKey {
        let config = EndpointConfig { https: true, authority: "authority:1", probe: Probe::Never };
        let endpoint = self.relay.endpoints(self.now).add(name, &config);
        self.gate().endpoints.push(endpoint);
        endpoint
    }

    /// A client that has said its preface and SETTINGS, and has read the relay's.
    pub(crate) fn client(&mut self) -> End {
        self.client_with(Probe::Never, &Settings::default())
    }

    pub(crate) fn client_with(&mut self, probe: Probe, settings: &Settings) -> End {
        let key = self.relay.accept("origin", probe, self.now);
        let mut end = End { key, decoder: Decoder::new(4096), preface: 0 };
        let mut bytes = frame::PREFACE.to_vec();
        frame::put_settings(&mut bytes, settings);
        frame::put_settings_ack(&mut bytes);
        self.send(&end, &bytes);
        let kinds: Vec<_> = self.frames(&mut end).into_iter().map(|frame| frame.kind).collect();
        assert_eq!((kinds.first(), kinds.last()), (Some(&Kind::Settings), Some(&Kind::Settings)));
        end
    }

    /// Serves the dial that the relay asks for, with a server that has said its SETTINGS and has read the relay's.
    pub(crate) fn dialled(&mut self, endpoint: EndpointKey, peer: u32) -> End {
        self.dialled_with(endpoint, peer, &Settings::default())
    }

    pub(crate) fn dialled_with(&mut self, endpoint: EndpointKey, peer: u32, settings: &Settings) -> End {
        assert_eq!(self.next_dial(), Some(endpoint));
        let key = self.relay.dialled(endpoint, peer, self.now).expect("the endpoint is there");
        let end = End { key, decoder: Decoder::new(4096), preface: 24 };
        let mut bytes = Vec::new();
        frame::put_settings(&mut bytes, settings);
        frame::put_settings_ack(&mut bytes);
        self.send(&end, &bytes);
        end
    }

    pub(crate) fn next_dial(&mut self) -> Option<EndpointKey> {
        while let Some(event) = self.relay.next_event() {
            if let Event::Dial { endpoint } = event {
                return Some(endpoint);
            }
        }
        None
    }

    pub(crate) fn send(&mut self, end: &End, bytes: &[u8]) {
        self.relay.received(end.key, bytes, self.now);
    }

    /// All that the relay has written to an end, also its preface and first SETTINGS.
    pub(crate) fn frames(&mut self, end: &mut End) -> Vec<Frame> {
        let mut bytes = Vec::new();
        while self.relay.next_dirty().is_some() {}
        loop {
            let output = self.relay.output(end.key);
            if output.is_empty() {
                break;
            }
            bytes.extend_from_slice(output);
            let count = output.len();
            self.relay.written(end.key, count, self.now);
        }
        self.parse(end, &bytes)
    }

    pub(crate) fn parse(&self, end: &mut End, bytes: &[u8]) -> Vec<Frame> {
        let (preface, mut rest) = bytes.split_at(end.preface.min(bytes.len()));
        assert!(frame::PREFACE.ends_with(preface) || preface.is_empty());
        end.preface -= preface.len();
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let head = FrameHead::read(rest).expect("whole frames");
            let (whole, after) = rest.split_at(head.frame_bytes());
            let payload = whole[frame::HEAD_BYTES..].to_vec();
            frames.push(Frame { kind: head.kind, flags: head.flags, stream: head.stream, payload });
            rest = after;
        }
        frames
    }

    /// As [`World::frames`], without SETTINGS and WINDOW_UPDATE.
    pub(crate) fn messages(&mut self, end: &mut End) -> Vec<Frame> {
        let mut frames = self.frames(end);
        frames.retain(|frame| !matches!(frame.kind, Kind::Settings | Kind::WindowUpdate));
        frames
    }

    pub(crate) fn wind(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.relay.tick(self.now);
    }

    pub(crate) fn closing(&self, end: &End) -> Option<CloseReason> {
        self.relay.closing(end.key)
    }

    pub(crate) fn close(&mut self, end: End) {
        self.relay.closed(end.key, self.now);
    }

    /// What has ended, when nothing is under way any more.
    pub(crate) fn end(&mut self) -> Vec<crate::gate::Ended> {
        assert_eq!(self.relay.calls(), 0);
        assert!(self.gate().is_all_closed(), "not every call was closed");
        self.gate().closed.iter().map(|(ended, _)| ended.clone()).collect()
    }
}

/// The block of an ordinary request.
pub(crate) fn request_block() -> Vec<u8> {
    let mut block = Vec::new();
    hpack::put_indexed(&mut block, statics::METHOD_POST);
    hpack::put_indexed(&mut block, statics::SCHEME_HTTP);
    hpack::put_static_name(&mut block, statics::PATH, b"/a.B/C");
    hpack::put_static_name(&mut block, statics::AUTHORITY, b"localhost");
    hpack::put_static_name(&mut block, statics::CONTENT_TYPE, b"application/grpc");
    hpack::put_literal(&mut block, b"te", b"trailers");
    hpack::put_literal(&mut block, b"x-mine", b"kept");
    block
}

pub(crate) fn with(mut block: Vec<u8>, name: &str, value: &str) -> Vec<u8> {
    hpack::put_literal(&mut block, name.as_bytes(), value.as_bytes());
    block
}

pub(crate) fn headers(stream: u32, block: &[u8], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put_headers(&mut out, stream, block, end, 1 << 20);
    out
}

pub(crate) fn data(stream: u32, bytes: &[u8], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put_data_head(&mut out, stream, bytes.len() as u32, end);
    out.extend_from_slice(bytes);
    out
}

pub(crate) fn reset(stream: u32, code: ErrorCode) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put_reset(&mut out, stream, code);
    out
}

pub(crate) fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put_window_update(&mut out, stream, bytes);
    out
}

pub(crate) fn settings(settings: &Settings) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put_settings(&mut out, settings);
    out
}

pub(crate) fn goaway(last_stream: u32, code: ErrorCode) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put_goaway(&mut out, last_stream, code, "");
    out
}

pub(crate) fn raw(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHead::new(kind, flags, stream, payload.len() as u32).put(&mut out);
    out.extend_from_slice(payload);
    out
}

/// A gRPC message with its prefix.
pub(crate) fn message(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
    out
}

/// A whole unary request.
pub(crate) fn unary(stream: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = headers(stream, &request_block(), false);
    out.extend(data(stream, &message(bytes), true));
    out
}

pub(crate) fn response_head() -> Vec<u8> {
    let mut block = Vec::new();
    hpack::put_indexed(&mut block, statics::STATUS_200);
    hpack::put_static_name(&mut block, statics::CONTENT_TYPE, b"application/grpc");
    block
}

pub(crate) fn trailers(status: &str) -> Vec<u8> {
    with(Vec::new(), "grpc-status", status)
}

/// A whole unary response.
pub(crate) fn answer(stream: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = headers(stream, &response_head(), false);
    out.extend(data(stream, &message(bytes), false));
    out.extend(headers(stream, &trailers("0"), true));
    out
}

pub(crate) fn value<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
}

/// The DATA of `frames`, in order.
pub(crate) fn body(frames: &[Frame]) -> Vec<u8> {
    frames.iter().filter(|frame| frame.kind == Kind::Data).flat_map(|frame| frame.payload.clone()).collect()
}
