//! Why the registry was not changed, or could not be told.

use chapar_core::passport::{Change, PassportError};

use crate::store::StoreError;

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
    /// The operator of the control plane must act.
    #[error("the registry could not be read or written")]
    Store(#[from] StoreError),
    /// The operator of the control plane must act.
    #[error("a passport could not be read")]
    Failed(#[from] tokio::task::JoinError),
}

impl From<sqlx::Error> for RegistryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
