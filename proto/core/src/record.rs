//! The account of a call: what one side puts on record, its canonical bytes, and its form as attributes of a standard span.
//!
//! A record never holds any part of a response, nor a raw identifier of a data subject (regulation, article 3, note 2).
//! It borrows everything, so that making one allocates nothing; whoever keeps it keeps its canonical bytes ([`encode`]).

pub mod address;
mod attributes;
mod canonical;
pub mod chain;
pub mod frame;
mod further;
mod id;
mod loss;
mod number;

pub use self::{
    attributes::Value,
    canonical::{ChainEntry, ENTRY_BYTES_MAX, Malformed, TEXT_BYTES_MAX, decode, decode_entry, encode, encode_loss},
    further::{FURTHER_BYTES_MAX, FurtherFields, MalformedFurther},
    id::{CallId, NotACallId},
    loss::{Loss, LossCause},
};
use crate::{
    policy::{GrpcCode, Permit, Reason, Refusal, Side},
    subject::SubjectHash,
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
    /// All of them, in the order of their numbers in the canonical form.
    pub const ALL: [Self; 4] = [Self::Served, Self::Refused, Self::Failed, Self::Abandoned];

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

/// Version of a record's canonical form; see [`encode`]. A record is hashed into its chain in one version, and never in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordVersion {
    /// What sidecars wrote first.
    One,
    /// The same, with room for further fields.
    Two,
}

impl RecordVersion {
    /// All of them, the newest last.
    pub const ALL: [Self; 2] = [Self::One, Self::Two];

    /// What new records are written in.
    pub const NEWEST: Self = Self::Two;

    /// Its number: the first byte of the form.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The version with this number; `None`: a later one, or none at all.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|version| u64::from(version.number()) == number)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRecord<'r> {
    /// Tracking ID, the same on both sides.
    pub call_id: CallId,
    /// Its place in the trace.
    pub trace: TraceContext,
    /// Which side this is.
    pub side: Side,
    /// Consumer agency; empty when the peer was not identified.
    pub consumer: &'r str,
    /// Provider agency; empty when the call named no known inquiry.
    pub provider: &'r str,
    /// Inquiry; empty when the call named no known one.
    pub inquiry: &'r str,
    /// Kind of the inquiry; empty likewise.
    pub kind: &'r str,
    /// HTTP/2 path, at most [`PATH_BYTES_MAX`] bytes of it.
    pub path: &'r str,
    /// Grant, resolution and clause that decided; empty when there was none.
    pub grant: &'r str,
    /// See `grant`.
    pub resolution: &'r str,
    /// See `grant`.
    pub clause: &'r str,
    /// What the consumer said that it asks for; empty when it said nothing.
    pub purpose: &'r str,
    /// Whom it asks about, where the passport marks the field that says so.
    pub subject: Option<SubjectHash>,
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
    pub peer_address: &'r str,
    /// Address that it was forwarded to; empty when it was not.
    pub server_address: &'r str,
    /// Which version its canonical form is of.
    pub version: RecordVersion,
    /// What a later release of this software added; none in the first version.
    pub further: FurtherFields<'r>,
}

/// Longest path kept in a record, in bytes: longer ones are no inquiry's.
pub const PATH_BYTES_MAX: usize = 256;

impl<'r> CallRecord<'r> {
    /// A call of which nothing is known yet but its head: what it is if nothing else is put down, the caller went away.
    #[must_use]
    pub const fn begun(
        call_id: CallId,
        trace: TraceContext,
        side: Side,
        path: &'r str,
        started_at: Timestamp,
        peer_address: &'r str,
    ) -> Self {
        Self {
            call_id,
            trace,
            side,
            consumer: "",
            provider: "",
            inquiry: "",
            kind: "",
            path,
            grant: "",
            resolution: "",
            clause: "",
            purpose: "",
            subject: None,
            policy_version: 0,
            outcome: Outcome::Abandoned,
            reason: None,
            status: GrpcCode::Cancelled,
            started_at,
            duration_us: 0,
            request: Flow { messages: 0, bytes: 0 },
            response: Flow { messages: 0, bytes: 0 },
            peer_address,
            server_address: "",
            version: RecordVersion::NEWEST,
            further: FurtherFields::NONE,
        }
    }

    /// Puts down who decided what from a permit.
    pub fn permitted_by(&mut self, permit: &'r Permit) {
        let grant = permit.grant();
        self.grant = &grant.name;
        self.resolution = &grant.resolution;
        self.clause = &grant.clause;
        self.policy_version = permit.policy_version();
    }

    /// Puts down that a sidecar refused, and why.
    pub fn refused_by(&mut self, refusal: &'r Refusal) {
        self.outcome = Outcome::Refused;
        self.reason = Some(refusal.reason);
        self.status = refusal.reason.code();
        if let Some(grant) = &refusal.grant {
            self.grant = grant;
        }
    }

    /// The path without its leading slashes: the full name of the gRPC method.
    #[must_use]
    pub fn method(&self) -> &'r str {
        self.path.trim_start_matches('/')
    }
}
