//! Why the registry was not changed, or could not be told.

use chapar_core::passport::{Change, PassportError};

use crate::{
    problem::{Problem, WithSources},
    store::StoreError,
};

/// Why a call on the registry was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The admin must register the agency first, or name another.
    #[error("unknown agency {0:?}; apply an Agency resource first")]
    AgencyUnknown(String),
    /// The admin must name a passport that exists.
    #[error("{0}")]
    PassportUnknown(String),
    /// The caller must correct the request.
    #[error("{0}")]
    Argument(String),
    /// The agency must make a descriptor set that can be read and is complete.
    #[error("{service}: {problem}")]
    Unreadable {
        /// The gRPC service that was named; empty: the set as a whole.
        service: String,
        /// What is wrong with the set.
        #[source]
        problem: PassportError,
    },
    /// The agency must complete the passport, or the admin apply what it refers to: element, and what is missing.
    #[error("the passport is incomplete: {0}: {1}")]
    Incomplete(String, String),
    /// The agency must make it compatible, or the admin approve the breaks.
    #[error("{service}: the passport breaks those who rely on the one in force")]
    Incompatible {
        /// The gRPC service.
        service: String,
        /// Breaking ones only.
        breaks: Vec<Change>,
    },
    /// The agency must offer its own service.
    #[error("{0}")]
    Foreign(String),
    /// The passport is not in the state that the call is for.
    #[error("{0}")]
    State(String),
    /// The sidecar's operator must correct its address.
    #[error("{0}")]
    Address(String),
    /// The agency must wait, or have what waits decided.
    #[error("{}", .0.message())]
    ShareSpent(Problem),
    /// The operator of the control plane must act.
    #[error("the registry could not be read or written")]
    Store(#[from] StoreError),
    /// The operator of the control plane must act.
    #[error("a passport could not be read")]
    Failed(#[from] tokio::task::JoinError),
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let text = WithSources(&error).to_string();
        match error {
            RegistryError::AgencyUnknown(_) => Self::not_found("AGENCY_UNKNOWN", text),
            RegistryError::PassportUnknown(_) => Self::not_found("PASSPORT_UNKNOWN", text),
            RegistryError::Argument(_) => Self::invalid("REQUEST_MALFORMED", text),
            RegistryError::Address(_) => Self::invalid("ADDRESS_MALFORMED", text),
            RegistryError::Unreadable { problem: PassportError::Incomplete { gaps, more }, .. } => {
                let start = Self::invalid("PASSPORT_INCOMPLETE", text).with("gaps", (gaps.len() + more).to_string());
                gaps.into_iter().fold(start, |all, gap| all.field(gap.element, gap.missing))
            }
            RegistryError::Unreadable { .. } => Self::invalid("DESCRIPTOR_MALFORMED", text),
            RegistryError::Incomplete(element, missing) => Self::invalid("PASSPORT_INCOMPLETE", text).field(element, missing),
            RegistryError::Incompatible { breaks, .. } => {
                let start = Self::precondition("PASSPORT_INCOMPATIBLE", format!("{text} in {} ways", breaks.len()));
                breaks
                    .into_iter()
                    .fold(start, |all, change| all.violation("PASSPORT_INCOMPATIBLE", change.element, change.description))
            }
            RegistryError::Foreign(_) => Self::denied("FOREIGN_SERVICE", text),
            RegistryError::State(_) => Self::precondition("PASSPORT_STATE", text),
            RegistryError::ShareSpent(problem) => problem,
            RegistryError::Store(error) => Self::from(error),
            RegistryError::Failed(error) => Self::internal(&error),
        }
    }
}
