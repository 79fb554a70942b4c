//! What became of a call: answered, refused by the exchange, or failed.

use std::{fmt, time::Duration};

use chapar_proto::rpc;
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    agencies::{self, Answer},
    catalogue::Grant,
};

/// The domain of the exchange's own refusals.
const DOMAIN: &str = "chapar";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// The outcome of one call, as the consumer's application sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answered, and as the registers hold.
    Answered,
    /// Refused by a sidecar, for this stable reason.
    Refused(String),
    /// Neither: a wrong answer, or an error that is no refusal of the exchange.
    Failed(String),
}

impl Decision {
    /// What the catalogue says the decision must be.
    #[must_use]
    pub fn expected(grant: Option<&Grant>) -> Self {
        match grant {
            Some(grant) if grant.in_force => Self::Answered,
            Some(_) => Self::Refused("GRANT_NOT_YET_IN_FORCE".to_owned()),
            None => Self::Refused("NO_GRANT".to_owned()),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::Refused(reason) => write!(f, "refused, {reason}"),
            Self::Failed(what) => write!(f, "failed, {what}"),
        }
    }
}

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Who may ask, or asked.
    pub consumer: String,
    /// What was asked for.
    pub inquiry: &'static str,
    /// What came of it.
    pub decision: Decision,
    /// As returned to the caller; `None` is a deviation of its own.
    pub call_id: Option<String>,
    /// The sentence of a refusal; empty for an answer.
    pub detail: String,
    /// As the caller measured it.
    pub took: Duration,
}

impl Made {
    /// Reads the outcome of a call.
    #[must_use]
    pub fn new(consumer: &str, inquiry: &'static str, outcome: Result<Answer, Status>, took: Duration) -> Self {
        let (decision, call_id, detail) = match outcome {
            Ok(answer) if answer.is_right() => (Decision::Answered, answer.call_id, String::new()),
            Ok(answer) => {
                let wrong = format!("wrong answer: got {}, the register holds {}", answer.got, answer.wanted);
                (Decision::Failed(wrong), answer.call_id, String::new())
            }
            Err(status) => (refusal(&status), agencies::call_id(status.metadata()), status.message().to_owned()),
        };
        Self { consumer: consumer.to_owned(), inquiry, decision, call_id, detail, took }
    }
}

/// A refusal is a status that carries the exchange's own `ErrorInfo`; any other status is a failure.
fn refusal(status: &Status) -> Decision {
    let details = rpc::Status::decode(status.details()).map(|full| full.details).unwrap_or_default();
    let infos = details.iter().filter(|d| d.type_url == ERROR_INFO);
    let mut infos = infos.filter_map(|d| rpc::ErrorInfo::decode(d.value.as_slice()).ok());
    match infos.find(|info| info.domain == DOMAIN) {
        Some(info) if status.code() != Code::Ok => Decision::Refused(info.reason),
        _ => Decision::Failed(format!("{:?}: {}", status.code(), status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(domain: &str) -> Status {
        let info = rpc::ErrorInfo { reason: "NO_GRANT".to_owned(), domain: domain.to_owned(), ..Default::default() };
        let detail = prost_types::Any { type_url: ERROR_INFO.to_owned(), value: info.encode_to_vec() };
        let full = rpc::Status { code: 7, message: "no".to_owned(), details: vec![detail] };
        Status::with_details(Code::PermissionDenied, "no", full.encode_to_vec().into())
    }

    #[test]
    fn reads_the_reason_of_a_refusal() {
        let made = Made::new("ipm", "shahkar", Err(status("chapar")), Duration::ZERO);
        assert_eq!(made.decision, Decision::Refused("NO_GRANT".to_owned()));
    }

    #[test]
    fn takes_no_one_elses_error_for_a_refusal() {
        for status in [status("elsewhere"), Status::permission_denied("NO_GRANT"), Status::unavailable("down")] {
            assert!(matches!(Made::new("ipm", "shahkar", Err(status), Duration::ZERO).decision, Decision::Failed(_)));
        }
    }

    #[test]
    fn a_wrong_answer_is_a_failure() {
        let answer = Answer { call_id: None, got: "no".to_owned(), wanted: "yes".to_owned() };
        assert!(matches!(Made::new("ipm", "shahkar", Ok(answer), Duration::ZERO).decision, Decision::Failed(_)));
    }
}
