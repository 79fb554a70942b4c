//! What went wrong, for a person and for a program: what, where, and who must do what next.

use std::{io, path::Path};

use chapar_proto::rpc::{BadRequest, ErrorInfo, PreconditionFailure, Status as RpcStatus};
use prost::Message as _;
use serde_json::json;
use thiserror::Error;
use tonic::{Code, Status};

use crate::{hint, text::plain};

/// Domain of the error details that are the exchange's own.
const DOMAIN: &str = "chapar";

#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The person at the keyboard must act: an option, a file, a key.
    #[error("{0}")]
    Input(String),
    /// Whoever runs the control plane, or the network, must act.
    #[error("cannot reach the control plane at {endpoint}: {cause}")]
    Unreachable { endpoint: String, cause: String, hint: &'static str },
    /// The control plane answered, and refused.
    #[error("{}", .0.message)]
    Refused(Box<Refused>),
    /// The control plane answered what its contract excludes: versions differ.
    #[error("the control plane's answer lacks {0}; is this `chapar` of another version?")]
    Answer(&'static str),
    #[error("cannot write the output")]
    Output(#[from] io::Error),
}

/// A refusal with its details, decoded.
#[derive(Debug)]
pub(crate) struct Refused {
    code: Code,
    message: String,
    info: Option<ErrorInfo>,
    /// Where and what, one problem each.
    violations: Vec<(String, String)>,
}

impl Failure {
    pub(crate) fn file(path: &Path, cause: io::Error) -> Self {
        Self::Input(format!("{}: {cause}", path.display()))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) | Self::Output(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Refused(_) | Self::Answer(_) => 4,
        }
    }

    /// Several lines: the problems first, each on its own line with file, line and column where it has them, so that
    /// editors can jump there; then the error, then what to do.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        match self {
            Self::Refused(refused) => {
                lines.extend(refused.violations.iter().map(|(place, what)| format!("{}: {}", plain(place), plain(what))));
                if let Some(left_out) = refused.left_out() {
                    lines.push(format!("… and {} more problems", plain(left_out)));
                }
                let reason = refused.reason().map(|reason| format!(" [{reason}]")).unwrap_or_default();
                lines.push(format!("error: {}{}", plain(&refused.message), plain(&reason)));
            }
            Self::Output(cause) => lines.push(format!("error: {self}: {cause}")),
            _ => lines.push(format!("error: {}", plain(&self.to_string()))),
        }
        if let Some(next) = self.next_step() {
            lines.push(format!("next:  {}", plain(&next)));
        }
        lines.join("\n")
    }

    pub(crate) fn json(&self) -> String {
        let mut error = json!({ "message": self.to_string(), "exitCode": self.exit_code() });
        if let Self::Refused(refused) = self {
            error["code"] = json!(code_name(refused.code));
            error["reason"] = json!(refused.reason().unwrap_or_default());
            if let Some(info) = &refused.info {
                error["metadata"] = json!(info.metadata.iter().collect::<std::collections::BTreeMap<_, _>>());
            }
            let violations = refused.violations.iter();
            error["violations"] = violations.map(|(place, what)| json!({ "place": place, "description": what })).collect();
        }
        if let Some(next) = self.next_step() {
            error["next"] = json!(next);
        }
        json!({ "error": error }).to_string()
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Unreachable { hint, .. } => Some((*hint).to_owned()),
            Self::Refused(refused) => hint::for_refusal(refused.code, refused.info.as_ref()),
            _ => None,
        }
    }
}

impl Refused {
    fn reason(&self) -> Option<&str> {
        self.info.as_ref().map(|info| info.reason.as_str())
    }

    /// How many violations one answer had no room for.
    fn left_out(&self) -> Option<&str> {
        self.info.as_ref()?.metadata.get("left_out").map(String::as_str)
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let mut refused = Self { code: status.code(), message: status.message().to_owned(), info: None, violations: Vec::new() };
        if refused.message.is_empty() {
            refused.message = format!("the control plane answered {}", code_name(refused.code));
        }
        // Details that cannot be read take nothing away from the status itself.
        let details = RpcStatus::decode(status.details()).unwrap_or_default().details;
        for detail in details {
            let name = detail.type_url.rsplit('/').next().unwrap_or_default();
            match name {
                "google.rpc.ErrorInfo" => {
                    let info = ErrorInfo::decode(&*detail.value).ok();
                    refused.info = info.filter(|info| info.domain == DOMAIN);
                }
                "google.rpc.BadRequest" => {
                    let request = BadRequest::decode(&*detail.value).unwrap_or_default();
                    let violations = request.field_violations.into_iter();
                    refused.violations.extend(violations.map(|violation| (violation.field, violation.description)));
                }
                "google.rpc.PreconditionFailure" => {
                    let failure = PreconditionFailure::decode(&*detail.value).unwrap_or_default();
                    let violations = failure.violations.into_iter();
                    refused.violations.extend(violations.map(|violation| (violation.subject, violation.description)));
                }
                _ => {}
            }
        }
        refused
    }
}

/// The name of a gRPC status code, as the protocol's documents write it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any<M: prost::Message>(name: &str, message: &M) -> prost_types::Any {
        prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
    }

    fn refusal(code: Code, message: &str, details: Vec<prost_types::Any>) -> Failure {
        let rpc = RpcStatus { code: code as i32, message: message.to_owned(), details };
        let status = Status::with_details(code, message, rpc.encode_to_vec().into());
        Failure::Refused(Box::new(status.into()))
    }

    fn info(reason: &str, metadata: &[(&str, &str)]) -> prost_types::Any {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        any("google.rpc.ErrorInfo", &ErrorInfo { reason: reason.to_owned(), domain: DOMAIN.to_owned(), metadata })
    }

    #[test]
    fn puts_each_violation_on_a_line_that_names_its_place() {
        use chapar_proto::rpc::bad_request::FieldViolation;
        let violation =
            |field: &str, description: &str| FieldViolation { field: field.to_owned(), description: description.to_owned() };
        let request = BadRequest {
            field_violations: vec![
                violation("38.yaml:4:9: metadata.nam", "unknown field; expected `name`"),
                violation("38.yaml:9:20: spec.grants[0].consumers[1]", "no agency `mashad` exists"),
            ],
        };
        let details = vec![info("RESOURCE_INVALID", &[]), any("google.rpc.BadRequest", &request)];
        let failure = refusal(Code::InvalidArgument, "2 problems in 1 file; nothing was applied", details);
        insta::assert_snapshot!(failure.text(), @r"
        38.yaml:4:9: metadata.nam: unknown field; expected `name`
        38.yaml:9:20: spec.grants[0].consumers[1]: no agency `mashad` exists
        error: 2 problems in 1 file; nothing was applied [RESOURCE_INVALID]
        next:  correct the places above and apply again; nothing was applied
        ");
        assert_eq!(failure.exit_code(), 4);
    }

    #[test]
    fn fills_the_next_step_from_the_details() {
        let details = vec![info("AGENCY_SUSPENDED", &[("agency", "welfare")])];
        let failure = refusal(Code::FailedPrecondition, "agency welfare is suspended", details);
        insta::assert_snapshot!(failure.text(), @r"
        error: agency welfare is suspended [AGENCY_SUSPENDED]
        next:  `chapar agency reinstate welfare` lets it take part again
        ");
    }

    #[test]
    fn keeps_a_status_whose_details_are_foreign_or_broken() {
        let foreign = ErrorInfo { domain: "elsewhere".into(), reason: "AGENCY_SUSPENDED".into(), ..Default::default() };
        let failure = refusal(Code::NotFound, "gone", vec![any("google.rpc.ErrorInfo", &foreign)]);
        assert_eq!(failure.text(), "error: gone");
        let broken = Status::with_details(Code::Internal, "", vec![0xff; 3].into());
        let failure = Failure::Refused(Box::new(broken.into()));
        assert!(failure.text().starts_with("error: the control plane answered INTERNAL"));
    }

    #[test]
    fn shows_control_characters_instead_of_obeying_them() {
        let failure = refusal(Code::NotFound, "gone \u{1b}[2J\u{202e}", Vec::new());
        assert_eq!(failure.text(), "error: gone \\u{1b}[2J\\u{202e}");
    }

    #[test]
    fn is_one_object_for_programs() {
        let details = vec![info("TOKEN_UNKNOWN", &[("id", "tk-1")])];
        let failure = refusal(Code::NotFound, "no such token", details);
        insta::assert_snapshot!(failure.json(), @r#"{"error":{"code":"NOT_FOUND","exitCode":4,"message":"no such token","metadata":{"id":"tk-1"},"next":"`chapar token list` shows those that exist","reason":"TOKEN_UNKNOWN","violations":[]}}"#);
    }
}
