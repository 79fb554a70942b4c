//! What a failed request to the control plane means to this sidecar.

use std::{error::Error, io};

use chapar_proto::rpc;
use prost::Message as _;
use thiserror::Error;
use tonic::{Code, Status};

use crate::trust::HandshakeProblem;

/// Type of the detail that carries a stable reason (google/rpc/error_details.proto).
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// Why the control plane did not do what was asked.
#[derive(Debug, Error)]
pub enum ControlChannelError {
    /// It did not answer; it may another time.
    #[error("the control plane cannot be reached: {0}")]
    Away(String),
    /// What answers is not the control plane of this exchange, or it does not take us for who we are.
    #[error("no trusted connection to the control plane")]
    Untrusted(#[source] HandshakeProblem),
    /// It refused; the same request will be refused again until somebody acts.
    #[error("{reason}: {message}")]
    Refused {
        /// Stable reason, such as TOKEN_USED; the name of the gRPC status where there is none.
        reason: String,
        /// In the control plane's words.
        message: String,
    },
}

impl From<Status> for ControlChannelError {
    fn from(status: Status) -> Self {
        if let Some(problem) = handshake_problem(&status) {
            return Self::Untrusted(problem);
        }
        match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Cancelled
            | Code::Aborted
            | Code::Internal
            | Code::Unknown => Self::Away(sentence(&status)),
            code => {
                let reason = reason(&status).unwrap_or_else(|| format!("{code:?}"));
                Self::Refused { reason, message: status.message().to_owned() }
            }
        }
    }
}

/// An error with the errors that caused it, in one line for the log.
#[must_use]
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.downcast_ref::<Status>().map_or_else(|| error.to_string(), |status| status.message().to_owned());
        // Libraries often repeat their cause in their own words.
        if !text.is_empty() && !told.iter().any(|earlier| earlier.contains(&text)) {
            told.push(text);
        }
        next = error.source();
    }
    told.join(": ")
}

/// The handshake that failed, when that is why; a broken connection is not, it may work the next time.
fn handshake_problem(error: &(dyn Error + 'static)) -> Option<HandshakeProblem> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            let problem = HandshakeProblem::from_io(io);
            return (!matches!(problem, HandshakeProblem::Broken(_))).then_some(problem);
        }
        next = error.source();
    }
    None
}

fn reason(status: &Status) -> Option<String> {
    let details = rpc::Status::decode(status.details()).ok()?;
    let info = details.details.iter().find(|detail| detail.type_url == ERROR_INFO)?;
    Some(rpc::ErrorInfo::decode(info.value.as_slice()).ok()?.reason)
}
