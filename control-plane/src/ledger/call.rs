//! A call as the ledger tells of it, and what can be asked for.

use super::{
    key::CallKey,
    pairing::{BOTH, Marks},
};

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
    /// Who reported: 1 the consumer's side, 2 the provider's, 3 both.
    pub sides: i64,
    /// What is to be said of it besides.
    pub marks: Marks,
    /// How the consumer's side says that it ended; empty: it has not said, or an older release did not keep it.
    pub consumer_outcome: String,
    /// The same of the provider's side.
    pub provider_outcome: String,
}

/// How the two accounts of a call stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Both sides tell the same.
    Agree,
    /// They tell what cannot both be true.
    Disagree,
    /// Only one has told in time, though the other should have.
    OneSided,
    /// The other's may still come.
    Awaited,
    /// There is but one side: the call never reached the other, or that is nobody known.
    Sole,
}

impl Accounts {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Agree, Self::Disagree, Self::OneSided, Self::Awaited, Self::Sole];

    /// Stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agree => "AGREES",
            Self::Disagree => "DISAGREES",
            Self::OneSided => "ONE-SIDED",
            Self::Awaited => "AWAITED",
            Self::Sole => "SOLE",
        }
    }
}

impl Call {
    /// How its accounts stand to each other. `due`: calls below it should have both.
    #[must_use]
    pub fn accounts(&self, due: CallKey) -> Accounts {
        if self.marks.has(Marks::DISAGREES) {
            Accounts::Disagree
        } else if self.awaited != 0 {
            if self.key < due { Accounts::OneSided } else { Accounts::Awaited }
        } else if self.sides == BOTH {
            Accounts::Agree
        } else {
            Accounts::Sole
        }
    }
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
    /// Only calls that bear this mark.
    pub marked: Option<Marks>,
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
