//! A call as the ledger tells of it, and what can be asked for.

use super::key::CallKey;

/// A call, made of what both sides reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The order of lists.
    pub key: CallKey,
    /// Lowercase hex.
    pub call_id: String,
    /// Lowercase hex.
    pub trace_id: String,
    /// Agency that asked.
    pub consumer: String,
    /// Agency that was asked.
    pub provider: String,
    /// Name of the inquiry.
    pub inquiry: String,
    /// Kind of the inquiry.
    pub kind: String,
    /// Resolution that granted it.
    pub resolution: String,
    /// "served", "refused", "failed" or "abandoned".
    pub outcome: String,
    /// Name of the gRPC status.
    pub status: String,
    /// Stable reason of a refusal or failure.
    pub reason: String,
    /// Unix microseconds.
    pub started_at_us: i64,
    /// Microseconds from the first byte to the end.
    pub duration_us: i64,
    /// Accounts of it, attempts included.
    pub spans: i64,
    /// Whose account has still to come: 1 the consumer's, 2 the provider's, 0 nobody's.
    pub awaited: i64,
}

/// A call about somebody, and what it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAbout {
    /// The call.
    pub call: Call,
    /// As stated; empty: it was not.
    pub purpose: String,
}

/// Which calls are wanted. What is unset does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallQuery {
    /// Either party.
    pub agency: Option<String>,
    /// Agency that asked.
    pub consumer: Option<String>,
    /// Agency that was asked.
    pub provider: Option<String>,
    /// Name of the inquiry.
    pub inquiry: Option<String>,
    /// Resolution that granted it.
    pub resolution: Option<String>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Whether both sidecars let it pass.
    pub permitted: Option<bool>,
    /// Stable reason of a refusal or failure.
    pub reason: Option<String>,
    /// In hex.
    pub call_id: Option<String>,
    /// In hex.
    pub trace_id: Option<String>,
    /// At least so long.
    pub duration_us_min: Option<i64>,
    /// At most so long.
    pub duration_us_max: Option<i64>,
    /// Began then or later; Unix microseconds.
    pub from_us: Option<i64>,
    /// Began before then; Unix microseconds.
    pub until_us: Option<i64>,
    /// Only calls of which a side's account is missing.
    pub missing: Option<Missing>,
}

/// How a wanted call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// "served", "refused", "failed" or "abandoned".
    Outcome(String),
    /// Name of a gRPC status.
    Status(String),
}

/// Whose account is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// That of the side that asked.
    Consumers,
    /// That of the side that was asked.
    Providers,
    /// One of the two.
    Either,
}
