//! Calls that nobody made, and the exports in which sidecars would report them. The same number is the same call in every run.

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status},
};
use prost::Message as _;

/// Who asks and answers: as many agencies as session 38 names, and about as many inquiries.
pub(crate) const AGENCIES: u64 = 22;
pub(crate) const INQUIRIES: u64 = 60;
/// Calls a millisecond, in the made-up time.
pub(crate) const CALLS_A_MS: u64 = 5;
/// Persons that calls are about.
const PERSONS: u64 = 2_000_000;

/// What a sidecar sends at once.
pub(crate) struct Export {
    /// Number of its agency.
    pub(crate) agency: u64,
    /// Accounts of calls in it.
    pub(crate) accounts: usize,
    /// An `ExportTraceServiceRequest`: the accounts, and a checkpoint under them.
    pub(crate) bytes: Bytes,
}

/// Exports of all accounts of these calls, the first of which began at `epoch_ms` or later: each agency's sidecar sends what its
/// agency saw, `batch` accounts an export.
pub(crate) fn exports(from: u64, calls: u64, batch: usize, epoch_ms: u64) -> Vec<Export> {
    let mut waiting: Vec<Vec<(u64, Span)>> = (0..AGENCIES).map(|_| Vec::new()).collect();
    let mut exports = Vec::new();
    for number in from..from + calls {
        let call = Call::made_up(number, epoch_ms);
        for (agency, provider_side) in [(call.consumer, false), (call.provider, true)] {
            let spans = &mut waiting[agency as usize];
            spans.push(call.span(provider_side));
            if spans.len() == batch {
                exports.push(packed(agency, std::mem::take(spans)));
            }
        }
    }
    let rest = waiting.into_iter().enumerate().filter(|(_, spans)| !spans.is_empty());
    exports.extend(rest.map(|(agency, spans)| packed(agency as u64, spans)));
    exports
}

/// The name of an agency.
pub(crate) fn agency(number: u64) -> String {
    format!("agency-{number}")
}

/// The SPIFFE ID of its sidecar.
pub(crate) fn sidecar(number: u64) -> String {
    format!("spiffe://exchange.example/agency/{}/sidecar/main", agency(number))
}

/// The tracking ID of the call with this number.
pub(crate) fn call_id(number: u64) -> String {
    hex(&id(number, 0xa5a5, 0x5a5a))
}

/// The ID of its trace.
pub(crate) fn trace_id(number: u64) -> String {
    hex(&id(number, 0x1111, 0x2222))
}

/// The hash of one of the persons.
pub(crate) fn subject(random: u64) -> [u8; 16] {
    let mut hash = [7; 16];
    hash[..8].copy_from_slice(&scrambled(random % PERSONS).to_be_bytes());
    hash
}

/// SplitMix64: every number to another one that looks like chance.
pub(crate) fn scrambled(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn id(number: u64, one: u64, other: u64) -> Vec<u8> {
    [scrambled(number ^ one).to_be_bytes(), scrambled(number ^ other).to_be_bytes()].concat()
}

fn packed(agency: u64, placed: Vec<(u64, Span)>) -> Export {
    let accounts = placed.len();
    let first = placed.first().map_or(1, |(sequence, _)| *sequence);
    let last = placed.last().map_or(first, |(sequence, _)| *sequence);
    let mut spans: Vec<Span> = placed.into_iter().map(|(_, span)| span).collect();
    spans.push(checkpoint(agency, first, last, spans[0].start_time_unix_nano));
    let attributes = vec![
        text("service.name", "chapar-sidecar"),
        text("service.namespace", &self::agency(agency)),
        text("service.instance.id", "7c1e5b0a-0d8f-4c67-9a5c-1f6e1b0d9c11"),
        text("service.version", "0.1.0"),
        text("chapar.sidecar", &sidecar(agency)),
    ];
    let scope = InstrumentationScope { name: "chapar-sidecar".into(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    Export { agency, accounts, bytes: ExportTraceServiceRequest { resource_spans }.encode_to_vec().into() }
}

/// A checkpoint as large as a real one. Nobody verifies signatures on the way in; these are made up as well.
fn checkpoint(agency: u64, first: u64, last: u64, at_ns: u64) -> Span {
    let noise = |bytes: u64, of: u64| (0..bytes).map(|at| scrambled(at ^ of) as u8).collect::<Vec<u8>>();
    Span {
        trace_id: noise(16, last),
        span_id: noise(8, last ^ 1),
        name: "chapar.checkpoint".into(),
        kind: 1,
        start_time_unix_nano: at_ns,
        end_time_unix_nano: at_ns,
        attributes: vec![
            text("chapar.chain.id", &hex(&chain(agency))),
            number("chapar.checkpoint.first", first),
            number("chapar.checkpoint.last", last),
            bytes("chapar.checkpoint.before", noise(32, first)),
            bytes("chapar.checkpoint.after", noise(32, last)),
            bytes("chapar.checkpoint.signature", noise(71, last)),
            text("chapar.checkpoint.scheme", "ECDSA_NISTP256_SHA256"),
            text("chapar.checkpoint.serial", "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"),
            bytes("chapar.checkpoint.certificate", noise(640, agency)),
        ],
        ..Span::default()
    }
}

fn chain(agency: u64) -> Vec<u8> {
    [[7; 8], agency.to_be_bytes()].concat()
}

struct Call {
    number: u64,
    consumer: u64,
    provider: u64,
    inquiry: u64,
    random: u64,
    start_ms: u64,
}

impl Call {
    fn made_up(number: u64, epoch_ms: u64) -> Self {
        let random = scrambled(number);
        let consumer = random % AGENCIES;
        let provider = (consumer + 1 + (random >> 8) % (AGENCIES - 1)) % AGENCIES;
        let inquiry = (random >> 16) % INQUIRIES;
        Self { number, consumer, provider, inquiry, random, start_ms: epoch_ms + number / CALLS_A_MS }
    }

    /// One side's account, and its place in the chain.
    fn span(&self, provider_side: bool) -> (u64, Span) {
        let own = if provider_side { self.provider } else { self.consumer };
        let sequence = self.number * 2 + u64::from(provider_side) + 1;
        let refused = self.random.is_multiple_of(50);
        let failed = !refused && self.random.is_multiple_of(97);
        // From a tenth of a millisecond to some seconds, few of them long.
        let us = 100_u64 << (scrambled(self.random) % 16).min(scrambled(self.random ^ 7) % 16);
        let duration_us = if provider_side { us } else { us + us / 4 };
        let start_ns = self.start_ms * 1_000_000;
        let mut attributes = self.attributes(provider_side, refused, failed);
        attributes.push(text("chapar.chain.id", &hex(&chain(own))));
        attributes.push(number("chapar.chain.sequence", sequence));
        let span = Span {
            trace_id: id(self.number, 0x1111, 0x2222),
            span_id: scrambled(sequence).to_be_bytes().to_vec(),
            parent_span_id: if provider_side { scrambled(sequence - 1).to_be_bytes().to_vec() } else { Vec::new() },
            flags: if provider_side { 0x301 } else { 0x101 },
            name: "ir.example.v1.Service/Method".into(),
            kind: if provider_side { 2 } else { 3 },
            start_time_unix_nano: start_ns,
            end_time_unix_nano: start_ns + duration_us * 1_000,
            attributes,
            status: Some(Status { message: String::new(), code: if refused || failed { 2 } else { 0 } }),
            ..Span::default()
        };
        (sequence, span)
    }

    fn attributes(&self, provider_side: bool, refused: bool, failed: bool) -> Vec<KeyValue> {
        let (outcome, status) = match (refused, failed) {
            (true, _) => ("refused", "PERMISSION_DENIED"),
            (_, true) => ("failed", "UNAVAILABLE"),
            _ => ("served", "OK"),
        };
        let mut attributes = vec![
            text("rpc.system.name", "grpc"),
            text("rpc.method", "ir.example.v1.Service/Method"),
            text("rpc.response.status_code", status),
            text("server.address", "10.1.2.3"),
            number("server.port", 15_002),
            text("network.peer.address", "10.3.2.1"),
            number("network.peer.port", 41_234),
            text("chapar.call_id", &call_id(self.number)),
            text("chapar.side", if provider_side { "provider" } else { "consumer" }),
            text("chapar.consumer", &agency(self.consumer)),
            text("chapar.provider", &agency(self.provider)),
            text("chapar.inquiry", &format!("inquiry-{}", self.inquiry)),
            text("chapar.kind", "verification"),
            text("chapar.grant", &format!("38-1/1/{}/inquiry-{}", agency(self.consumer), self.inquiry)),
            text("chapar.resolution", &format!("38-{}", self.inquiry % 7)),
            text("chapar.clause", "1"),
            number("chapar.policy_version", 12),
            text("chapar.decision", if refused { "refused" } else { "permitted" }),
            text("chapar.outcome", outcome),
            number("chapar.request.messages", 1),
            number("chapar.request.bytes", 100 + self.random % 100),
            number("chapar.response.messages", 1),
            number("chapar.response.bytes", 200 + self.random % 1_000),
            number("chapar.subject.key", 1),
            text("chapar.subject.hash", &hex(&subject(self.random))),
        ];
        if refused {
            attributes.push(text("chapar.reason", "GRANT_EXPIRED"));
        }
        attributes
    }
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(crate) fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn bytes(key: &str, value: Vec<u8>) -> KeyValue {
    attribute(key, Value::BytesValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
