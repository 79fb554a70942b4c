//! A gate and ends that allocate nothing themselves, for what is measured of the relay: rounds of unary calls, gathered as under load.

use std::time::{Duration, Instant};

use chapar_relay::{
    Assignment, Back, CallKey, Cause, ConnectionKey, Ending, EndpointConfig, EndpointKey, Event, FirstMessage, Flows, Gate,
    HeadWriter, Limits, Opening, Probe, Relay, Reply, RequestHead, Transformed, Verdict,
    frame::{self, Settings},
    hpack::{self, KnownName, statics},
};

/// Lets everything through to one endpoint.
pub(crate) struct Through {
    endpoint: Option<EndpointKey>,
    /// Calls that were answered with status 0.
    pub(crate) served: u64,
}

impl Gate for Through {
    type Origin = ();
    type Peer = ();
    type Endpoint = ();
    type DialError = ();
    type Call = [u64; 16];
    type Answer = ();

    fn open(&mut self, (): &(), head: &RequestHead<'_>, _: CallKey, now: Instant, _: &mut Reply) -> Opening<[u64; 16]> {
        let timeout = head.first(KnownName::GrpcTimeout).map(|_| now + Duration::from_secs(30));
        assert_eq!(head.path(), b"/identity.v1.Persons/ConfirmPerson");
        Opening::pass([0; 16], timeout)
    }

    fn candidates(&mut self, _: &mut [u64; 16], endpoints: &mut Vec<EndpointKey>) {
        endpoints.extend(self.endpoint);
    }

    fn assigned(&mut self, _: &mut [u64; 16], (): &(), (): &(), _: Instant) -> Assignment {
        Assignment::Go
    }

    fn write_onward(&mut self, _: &[u64; 16], (): &(), (): &(), left: Option<Duration>, out: &mut HeadWriter<'_>) {
        out.field(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        out.field(b"chapar-call-id", b"0123456789abcdef0123456789abcdef");
        if left.is_some() {
            out.field(b"grpc-timeout", b"29999m");
        }
    }

    fn write_back(&mut self, _: &[u64; 16], part: Back, out: &mut HeadWriter<'_>) {
        if part == (Back::Head { end: false }) {
            out.field(b"chapar-call-id", b"0123456789abcdef0123456789abcdef");
        }
    }

    fn first_message(&mut self, _: &mut [u64; 16], _: FirstMessage<'_>, _: &mut Reply) -> Verdict {
        Verdict::Go
    }

    fn answered(&mut self, _: &mut [u64; 16], (): (), _: &mut Reply) -> Verdict {
        Verdict::Go
    }

    fn transform(&mut self, _: &mut [u64; 16], compressed: bool, _: &[u8], _: &mut Vec<u8>, _: &mut Reply) -> Transformed {
        Transformed::Send { compressed }
    }

    fn recheck(&mut self, _: &mut [u64; 16], _: Instant, _: &mut Reply) -> bool {
        true
    }

    fn refusal(&mut self, _: &mut [u64; 16], _: &Cause<'_, Self>, _: &mut Reply) {
        panic!("a call was not carried");
    }

    fn close(&mut self, _: [u64; 16], ending: Ending<'_>, _: Flows, _: Instant) {
        self.served += u64::from(matches!(ending, Ending::Answered { http_status: 200, grpc_status: Some(0), refused: None }));
    }
}

/// What is read at once.
const READ_BYTES: usize = 64 * 1024;

/// Clients, one server, and the bytes of a round, written beforehand but for the numbers of streams.
pub(crate) struct Steady {
    pub(crate) relay: Relay<Through>,
    clients: Vec<ConnectionKey>,
    server: ConnectionKey,
    streams: usize,
    client_stream: u32,
    pub(crate) server_stream: u32,
    request: Vec<u8>,
    response: Vec<u8>,
    bytes: Vec<u8>,
    now: Instant,
    /// Time spent in the relay.
    pub(crate) spent: Duration,
}

impl Steady {
    pub(crate) fn new(clients: usize, streams: usize, message_bytes: usize) -> Self {
        let now = Instant::now();
        let mut relay = Relay::new(Through { endpoint: None, served: 0 }, Limits::default(), 7, now);
        let endpoint =
            relay.endpoints(now).add((), &EndpointConfig { https: true, authority: "10.0.0.1:8443", probe: Probe::Ping });
        relay.gate_mut().endpoint = Some(endpoint);
        relay.endpoints(now).keep_open(endpoint, true);
        assert_eq!(relay.next_event(), Some(Event::Dial { endpoint }));
        let server = relay.dialled(endpoint, (), now).expect("the endpoint is there");
        let big = Settings { window_bytes: Some(1 << 30), streams_max: Some(1 << 20), ..Settings::default() };
        let mut hello = Vec::new();
        frame::put_settings(&mut hello, &big);
        frame::put_settings_ack(&mut hello);
        frame::put_window_update(&mut hello, 0, 1 << 30);
        relay.received(server, &hello, now);
        let hello = [frame::PREFACE.as_slice(), &hello].concat();
        let connect = || {
            let client = relay.accept((), Probe::Never, now);
            relay.received(client, &hello, now);
            client
        };
        let clients = std::iter::repeat_with(connect).take(clients).collect();
        Self {
            clients,
            server,
            streams,
            client_stream: 1,
            server_stream: 1,
            request: request(message_bytes),
            response: response(message_bytes),
            bytes: Vec::new(),
            now,
            spent: Duration::ZERO,
            relay,
        }
    }

    /// Every client makes as many calls as it has streams, all are answered.
    pub(crate) fn round(&mut self) {
        let calls = self.clients.len() * self.streams;
        for client in 0..self.clients.len() {
            self.bytes.clear();
            for number in 0..self.streams as u32 {
                put_message(&mut self.bytes, &self.request, self.client_stream + 2 * number);
            }
            let key = self.clients[client];
            self.receive(key);
        }
        self.drain();
        self.bytes.clear();
        for number in 0..calls as u32 {
            put_message(&mut self.bytes, &self.response, self.server_stream + 2 * number);
        }
        let server = self.server;
        self.receive(server);
        self.drain();
        self.client_stream += 2 * self.streams as u32;
        self.server_stream = self.server_stream.wrapping_add(2 * calls as u32);
    }

    fn receive(&mut self, key: ConnectionKey) {
        for from in (0..self.bytes.len()).step_by(READ_BYTES) {
            let part = &self.bytes[from..self.bytes.len().min(from + READ_BYTES)];
            let began = Instant::now();
            self.relay.received(key, part, self.now);
            self.spent += began.elapsed();
            if self.bytes.len() > READ_BYTES {
                self.drain();
            }
        }
    }

    fn drain(&mut self) {
        let began = Instant::now();
        while let Some(key) = self.relay.next_dirty() {
            while !self.relay.output(key).is_empty() {
                let bytes = self.relay.output(key).len();
                self.relay.written(key, bytes, self.now);
            }
        }
        self.spent += began.elapsed();
    }
}

/// Appends the frames of `message`, with `stream` in each head.
fn put_message(out: &mut Vec<u8>, message: &[u8], stream: u32) {
    let mut rest = message;
    while let Some(head) = frame::FrameHead::read(rest) {
        let (whole, after) = rest.split_at(head.frame_bytes());
        frame::FrameHead { stream, ..head }.put(out);
        out.extend_from_slice(&whole[frame::HEAD_BYTES..]);
        rest = after;
    }
}

fn put_body(out: &mut Vec<u8>, message_bytes: usize, end: bool) {
    let mut body = vec![0];
    body.extend_from_slice(&(message_bytes as u32).to_be_bytes());
    body.resize(message_bytes + 5, 7);
    let count = body.chunks(16_384).count();
    for (number, part) in body.chunks(16_384).enumerate() {
        frame::put_data_head(out, 1, part.len() as u32, end && number + 1 == count);
        out.extend_from_slice(part);
    }
}

/// As a gRPC library sends it.
fn request(message_bytes: usize) -> Vec<u8> {
    let mut block = Vec::new();
    hpack::put_indexed(&mut block, statics::METHOD_POST);
    hpack::put_indexed(&mut block, statics::SCHEME_HTTP);
    hpack::put_static_name(&mut block, statics::PATH, b"/identity.v1.Persons/ConfirmPerson");
    hpack::put_static_name(&mut block, statics::AUTHORITY, b"127.0.0.1:15001");
    hpack::put_static_name(&mut block, statics::CONTENT_TYPE, b"application/grpc");
    hpack::put_static_name(&mut block, statics::USER_AGENT, b"grpc-go/1.70.0");
    hpack::put_literal(&mut block, b"te", b"trailers");
    hpack::put_literal(&mut block, b"grpc-timeout", b"30S");
    let mut out = Vec::new();
    frame::put_headers(&mut out, 1, &block, false, 16_384);
    put_body(&mut out, message_bytes, true);
    out
}

fn response(message_bytes: usize) -> Vec<u8> {
    let mut block = Vec::new();
    hpack::put_indexed(&mut block, statics::STATUS_200);
    hpack::put_static_name(&mut block, statics::CONTENT_TYPE, b"application/grpc");
    let mut out = Vec::new();
    frame::put_headers(&mut out, 1, &block, false, 16_384);
    put_body(&mut out, message_bytes, false);
    block.clear();
    hpack::put_literal(&mut block, b"grpc-status", b"0");
    hpack::put_literal(&mut block, b"grpc-message", b"");
    frame::put_headers(&mut out, 1, &block, true, 16_384);
    out
}
