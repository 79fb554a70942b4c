//! Every error that leaves by gRPC: a status whose details say what is wrong, where, and who must act.

use std::{collections::HashMap, error::Error, fmt};

use chapar_proto::rpc;
use prost::Message as _;
use tonic::{Code, Status};

/// The domain of every `google.rpc.ErrorInfo` of the exchange.
pub const DOMAIN: &str = "chapar";

/// Violations that one answer lists at most: gRPC metadata is bounded, and nobody reads more at once.
const VIOLATIONS_MAX: usize = 100;

/// Bytes of details at most; gRPC peers bound their header block to 16 KiB as a rule, and base64 adds a third.
const DETAILS_BYTES_MAX: usize = 10 * 1024;

/// A refusal or failure, on its way to becoming a gRPC status.
#[derive(Clone, Debug)]
pub struct Problem(Box<Told>);

/// Boxed, since every result carries its place.
#[derive(Clone, Debug)]
struct Told {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    fields: Vec<rpc::bad_request::FieldViolation>,
    preconditions: Vec<rpc::precondition_failure::Violation>,
    retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem with a stable reason in upper case, and a sentence for a person.
    #[must_use]
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Told {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            fields: Vec::new(),
            preconditions: Vec::new(),
            retry_after_s: None,
        }))
    }

    /// The caller sent something that can never be right.
    #[must_use]
    pub fn invalid(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, reason, message)
    }

    /// What the caller names does not exist.
    #[must_use]
    pub fn not_found(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, reason, message)
    }

    /// Right in itself, but not in the present state.
    #[must_use]
    pub fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// The caller is known, and may not.
    #[must_use]
    pub fn denied(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, reason, message)
    }

    /// The caller did not prove who it is.
    #[must_use]
    pub fn unauthenticated(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// The control plane itself failed. The cause is logged here and told to nobody else.
    #[must_use]
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %WithSources(cause), "a call failed inside the control plane");
        Self::new(Code::Internal, "CONTROL_PLANE_FAILED", "the control plane failed; its operator finds the cause in its log")
    }

    /// Adds a pair to the metadata of the `ErrorInfo`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Says when the same may be tried again, to people's programs (metadata `retry_after_s`) and to libraries (`RetryInfo`).
    #[must_use]
    pub fn retry_after(mut self, wait_s: u32) -> Self {
        self.0.retry_after_s = Some(wait_s);
        self.with("retry_after_s", wait_s.to_string())
    }

    /// Adds a violation of one field of the request.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.fields.push(rpc::bad_request::FieldViolation { field: field.into(), description: description.into() });
        self
    }

    /// Adds a violated precondition.
    #[must_use]
    pub fn violation(mut self, kind: impl Into<String>, subject: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.preconditions.push(rpc::precondition_failure::Violation {
            r#type: kind.into(),
            subject: subject.into(),
            description: description.into(),
        });
        self
    }

    /// The stable reason, as it is audited.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// The sentence for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }
}

impl Told {
    fn details(mut self) -> rpc::Status {
        let fields_left_out = bounded(&mut self.fields);
        let preconditions_left_out = bounded(&mut self.preconditions);
        let left_out = fields_left_out + preconditions_left_out;
        if left_out > 0 {
            self.metadata.insert("left_out".to_owned(), left_out.to_string());
        }
        let info = rpc::ErrorInfo { reason: self.reason.to_owned(), domain: DOMAIN.to_owned(), metadata: self.metadata };
        let mut details = vec![any("google.rpc.ErrorInfo", &info)];
        if !self.fields.is_empty() {
            details.push(any("google.rpc.BadRequest", &rpc::BadRequest { field_violations: self.fields }));
        }
        if !self.preconditions.is_empty() {
            let failure = rpc::PreconditionFailure { violations: self.preconditions };
            details.push(any("google.rpc.PreconditionFailure", &failure));
        }
        if let Some(wait_s) = self.retry_after_s {
            let retry_delay = Some(prost_types::Duration { seconds: i64::from(wait_s), nanos: 0 });
            details.push(any("google.rpc.RetryInfo", &rpc::RetryInfo { retry_delay }));
        }
        rpc::Status { code: self.code as i32, message: self.message, details }
    }
}

/// Cuts the list to what one answer may carry, and says how many were left out.
fn bounded<M: prost::Message>(violations: &mut Vec<M>) -> usize {
    let before = violations.len();
    violations.truncate(VIOLATIONS_MAX);
    let mut bytes = 0;
    let fitting = violations
        .iter()
        .take_while(|violation| {
            bytes += violation.encoded_len();
            bytes <= DETAILS_BYTES_MAX
        })
        .count();
    violations.truncate(fitting);
    before - violations.len()
}

fn any(name: &str, message: &impl prost::Message) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.reason, self.0.message)
    }
}

impl Error for Problem {}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let details = problem.0.details();
        Status::with_details(Code::from(details.code), details.message.clone(), details.encode_to_vec().into())
    }
}

/// An error with its causes, on one line, for the log.
pub struct WithSources<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for WithSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_reason_domain_and_violations() {
        let status =
            Status::from(Problem::invalid("RESOURCE_INVALID", "two problems").with("file", "a.yaml").field("a.yaml:1:1", "bad"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = rpc::Status::decode(status.details()).unwrap();
        assert_eq!(details.message, "two problems");
        let info = rpc::ErrorInfo::decode(details.details[0].value.as_slice()).unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("RESOURCE_INVALID", "chapar"));
        let bad = rpc::BadRequest::decode(details.details[1].value.as_slice()).unwrap();
        assert_eq!(bad.field_violations[0].field, "a.yaml:1:1");
    }

    #[test]
    fn an_answer_is_bounded_and_says_what_it_left_out() {
        let many = (0..1_000)
            .fold(Problem::invalid("RESOURCE_INVALID", "many"), |problem, n| problem.field(format!("f{n}"), "x".repeat(500)));
        let status = Status::from(many);
        assert!(status.details().len() < 12 * 1024, "{} bytes", status.details().len());
        let details = rpc::Status::decode(status.details()).unwrap();
        let info = rpc::ErrorInfo::decode(details.details[0].value.as_slice()).unwrap();
        assert!(info.metadata["left_out"].parse::<usize>().unwrap() > 900);
    }

    #[test]
    fn a_failure_inside_tells_no_cause() {
        let status = Status::from(Problem::internal(&std::io::Error::other("the pool timed out")));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("pool"), "{}", status.message());
    }
}
