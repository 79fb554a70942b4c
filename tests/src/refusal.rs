//! What a refused caller reads.

use std::collections::HashMap;

use chapar_proto::rpc;
use prost::Message as _;
use tonic::{Code, Status};

/// A refusal of the exchange, as in the status details that every gRPC library decodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// gRPC status.
    pub code: Code,
    /// Stable reason.
    pub reason: String,
    /// The sentence for a person.
    pub message: String,
    /// `ErrorInfo.metadata`.
    pub metadata: HashMap<String, String>,
    /// `chapar-call-id`.
    pub call_id: String,
}

/// Reads the refusal in `status`. `None` when the exchange did not refuse: the status is somebody else's.
#[must_use]
pub fn of(status: &Status) -> Option<Refused> {
    let full = rpc::Status::decode(status.details()).ok()?;
    let info = full.details.iter().find_map(|detail| detail.to_msg::<rpc::ErrorInfo>().ok())?;
    (info.domain == "chapar").then(|| Refused {
        code: status.code(),
        reason: info.reason,
        message: status.message().to_owned(),
        metadata: info.metadata,
        call_id: status.metadata().get("chapar-call-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned(),
    })
}

/// The reason in `status`, or the status itself for the message of an assertion.
#[must_use]
pub fn reason(status: &Status) -> String {
    of(status).map_or_else(|| format!("not refused by the exchange: {status:?}"), |refused| refused.reason)
}
