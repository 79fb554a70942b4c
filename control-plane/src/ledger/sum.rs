//! What passed between whom in an hour: kept when the calls themselves are gone.

use chapar_core::time::Timestamp;

/// The calls of one consumer, provider and inquiry that ended alike, within an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourSum {
    /// When the hour began.
    pub hour: Timestamp,
    /// Agency that asked.
    pub consumer: String,
    /// Agency that was asked.
    pub provider: String,
    /// Name of the inquiry.
    pub inquiry: String,
    /// "served", "refused", "failed" or "abandoned".
    pub outcome: String,
    /// How many.
    pub calls: i64,
    /// Bytes of all requests.
    pub request_bytes: i64,
    /// Bytes of all responses.
    pub response_bytes: i64,
    /// Of all calls together.
    pub duration_us: i64,
    /// Of the longest.
    pub duration_us_max: i64,
    /// Where it stands in the list.
    pub key: SumKey,
}

/// Where a sum stands in the list of all: the hour, then numbers that the store gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumKey(pub(super) [i64; 5]);

/// Which sums are wanted. What is unset does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SumQuery {
    /// Agency that asked.
    pub consumer: Option<String>,
    /// Agency that was asked.
    pub provider: Option<String>,
    /// Name of the inquiry.
    pub inquiry: Option<String>,
    /// Hours that begin then or later.
    pub from: Option<Timestamp>,
    /// Hours that begin before then.
    pub until: Option<Timestamp>,
}

impl SumKey {
    /// As a page token holds it.
    pub(super) fn to_text(self) -> String {
        self.0.map(|number| number.to_string()).join("/")
    }

    /// As [`Self::to_text`] writes it. `None`: it is no such text.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let numbers: Vec<i64> = text.split('/').map_while(|part| part.parse().ok()).collect();
        numbers.try_into().ok().map(Self)
    }
}
