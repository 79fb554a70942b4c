//! The account of a call: what one side puts on record, and its form as attributes of a standard span.
//!
//! A record never holds any part of a response, nor a raw identifier of a data subject (regulation, article 3, note 2).

use std::sync::Arc;

use crate::{
    policy::{GrpcCode, Permit, Reason, Refusal, Side},
    time::Timestamp,
};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The provider's server answered; its gRPC status may still be an error of its own.
    Served,
    /// A sidecar refused it.
    Refused,
    /// It was permitted and broke on the way.
    Failed,
    /// The caller went away before its end.
    Abandoned,
}

impl Outcome {
    /// Stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The place of a call in a distributed trace (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Never all zeros.
    pub trace_id: [u8; 16],
    /// The span of this side; never all zeros.
    pub span_id: [u8; 8],
    /// The span that this one is a part of. `None`: the trace began here.
    pub parent_span_id: Option<[u8; 8]>,
    /// Whether whoever began the trace asked for it to be sampled. Every call is recorded regardless.
    pub sampled: bool,
}

/// What flowed one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// gRPC messages.
    pub messages: u64,
    /// Bytes of gRPC frames: five bytes of prefix and the message as sent, compressed or not.
    pub bytes: u64,
}

/// One call, as one side saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// Tracking ID, the same on both sides: 32 lowercase hex digits.
    pub call_id: Arc<str>,
    /// Its place in the trace.
    pub trace: TraceContext,
    /// Which side this is.
    pub side: Side,
    /// Consumer agency; empty when the peer was not identified.
    pub consumer: Arc<str>,
    /// Provider agency; empty when the call named no known inquiry.
    pub provider: Arc<str>,
    /// Inquiry; empty when the call named no known one.
    pub inquiry: Arc<str>,
    /// Kind of the inquiry; empty likewise.
    pub kind: &'static str,
    /// HTTP/2 path, at most [`PATH_BYTES_MAX`] bytes of it.
    pub path: Arc<str>,
    /// Grant, resolution and clause that decided; empty when there was none.
    pub grant: Arc<str>,
    /// See `grant`.
    pub resolution: Arc<str>,
    /// See `grant`.
    pub clause: Arc<str>,
    /// Policy version that was decided on; 0 without a snapshot.
    pub policy_version: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// gRPC status that the caller saw.
    pub status: GrpcCode,
    /// When its head had arrived.
    pub started_at: Timestamp,
    /// Until its last byte left, in microseconds.
    pub duration_us: u64,
    /// Towards the provider.
    pub request: Flow,
    /// Towards the consumer. Counts only, never content.
    pub response: Flow,
    /// Address of the other end of the connection it came in on.
    pub peer_address: Arc<str>,
    /// Address that it was forwarded to; empty when it was not.
    pub server_address: Arc<str>,
}

/// Longest path kept in a record, in bytes: longer ones are no inquiry's.
pub const PATH_BYTES_MAX: usize = 256;

/// A value of a span attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Arc<str>),
    /// A stable name.
    Name(&'static str),
    /// A count.
    Count(u64),
}

impl CallRecord {
    /// Puts down who decided what from a permit.
    pub fn permitted_by(&mut self, permit: &Permit) {
        let grant = permit.grant();
        self.grant = Arc::clone(&grant.name);
        self.resolution = Arc::clone(&grant.resolution);
        self.clause = Arc::clone(&grant.clause);
        self.policy_version = permit.policy_version();
    }

    /// Puts down that a sidecar refused, and why.
    pub fn refused_by(&mut self, refusal: &Refusal) {
        self.outcome = Outcome::Refused;
        self.reason = Some(refusal.reason);
        self.status = refusal.reason.code();
        if let Some(grant) = &refusal.grant {
            self.grant = Arc::from(grant.as_str());
        }
    }

    /// The span attributes that carry this record: `rpc.*`, `server.*` and `network.*` as in OpenTelemetry's semantic
    /// conventions, our own as `chapar.*`. Empty texts are left out.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, Value)> {
        let text = |key, value: &Arc<str>| (key, Value::Text(Arc::clone(value)));
        let mut all = vec![
            ("rpc.system.name", Value::Name("grpc")),
            ("rpc.method", Value::Text(Arc::from(self.path.trim_start_matches('/')))),
            ("rpc.response.status_code", Value::Name(self.status.as_str())),
            text("server.address", &self.server_address),
            text("network.peer.address", &self.peer_address),
            text("chapar.call_id", &self.call_id),
            ("chapar.side", Value::Name(self.side.as_str())),
            text("chapar.consumer", &self.consumer),
            text("chapar.provider", &self.provider),
            text("chapar.inquiry", &self.inquiry),
            ("chapar.kind", Value::Name(self.kind)),
            text("chapar.grant", &self.grant),
            text("chapar.resolution", &self.resolution),
            text("chapar.clause", &self.clause),
            ("chapar.policy_version", Value::Count(self.policy_version)),
            ("chapar.decision", Value::Name(if self.outcome == Outcome::Refused { "refused" } else { "permitted" })),
            ("chapar.reason", Value::Name(self.reason.map_or("", Reason::as_str))),
            ("chapar.outcome", Value::Name(self.outcome.as_str())),
            ("chapar.request.messages", Value::Count(self.request.messages)),
            ("chapar.request.bytes", Value::Count(self.request.bytes)),
            ("chapar.response.messages", Value::Count(self.response.messages)),
            ("chapar.response.bytes", Value::Count(self.response.bytes)),
        ];
        all.retain(|(_, value)| match value {
            Value::Text(text) => !text.is_empty(),
            Value::Name(name) => !name.is_empty(),
            Value::Count(_) => true,
        });
        all
    }
}
