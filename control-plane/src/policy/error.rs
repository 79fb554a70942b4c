//! Why the policy was not changed, or could not be told.

use crate::{problem::Problem, resources, store::StoreError};

/// Why a call on the policy was refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The admin must mend the files.
    #[error("{} in the resources; nothing was changed", count(.0.len(), "problem", "problems"))]
    Invalid(Vec<resources::Problem>),
    /// The admin must delete what needs these first, or keep them.
    #[error("{} needed by others; nothing was changed", count(.0.len(), "resource is", "resources are"))]
    Referenced(Vec<Need>),
    /// The admin must name something that exists.
    #[error("unknown {what} {name:?}{hint}")]
    Unknown {
        /// `resource`, `version` or `grant`.
        what: &'static str,
        /// As it was given.
        name: String,
        /// `; did you mean …?` or empty.
        hint: String,
    },
    /// The admin must give what is missing or malformed.
    #[error("{0}")]
    Argument(String),
    /// The grant is not in the state that the call is for.
    #[error("{0}")]
    GrantState(String),
    /// The operator of the control plane must act.
    #[error("the policy could not be read or written")]
    Store(#[from] StoreError),
    /// The operator must act: a part of the program failed.
    #[error("the files could not be read")]
    Failed(#[from] tokio::task::JoinError),
}

/// A resource that cannot go, and what needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// `Kind/name` of what was to be deleted.
    pub needed: String,
    /// What needs it, such as `Resolution/38-1` or `passport ir.post.v1.AddressService`.
    pub by: String,
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let text = error.to_string();
        match error {
            PolicyError::Invalid(problems) => {
                let first = problems.first().map(|problem| format!("; the first is at {problem}")).unwrap_or_default();
                let start = Self::invalid("RESOURCE_INVALID", format!("{text}{first}"));
                problems.into_iter().fold(start, |all, problem| all.field(problem.field, problem.description))
            }
            PolicyError::Referenced(needs) => {
                let first = needs.first().map(|need| format!("; {} is needed by {}", need.needed, need.by)).unwrap_or_default();
                let start = Self::precondition("RESOURCE_REFERENCED", format!("{text}{first}"));
                needs.into_iter().fold(start, |all, need| {
                    let description = format!("{} needs it; delete or change that first", need.by);
                    all.violation("RESOURCE_REFERENCED", need.needed, description)
                })
            }
            PolicyError::Unknown { what, .. } => {
                let reason = match what {
                    "version" => "VERSION_UNKNOWN",
                    "grant" => "GRANT_UNKNOWN",
                    _ => "RESOURCE_UNKNOWN",
                };
                Self::not_found(reason, text)
            }
            PolicyError::Argument(text) => Self::invalid("REQUEST_MALFORMED", text),
            PolicyError::GrantState(text) => Self::precondition("GRANT_STATE", text),
            PolicyError::Store(error) => Self::from(error),
            PolicyError::Failed(error) => Self::internal(&error),
        }
    }
}
