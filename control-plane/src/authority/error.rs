//! What can go wrong in the authority, by who must act.

use std::{io, path::PathBuf};

use crate::{problem::Problem, store::StoreError};

/// The authority could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("cannot use the file {}", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("the private key of {generation} is not at {}: put the file back, then try again", file.display())]
    KeyAway { generation: String, file: PathBuf },
    #[error("the key in {} is not the key of {generation}'s certificate", file.display())]
    KeyForeign { generation: String, file: PathBuf },
    #[error("{} holds keys, but the database knows no authority: restore chapar.db, or move the folder away to begin anew", folder.display())]
    DatabaseLost { folder: PathBuf },
    #[error("this authority belongs to the trust domain {held}; the configuration says {configured}")]
    OtherTrustDomain { held: String, configured: String },
    #[error("{generation} expires at {not_after}, too soon to issue from: rotate it with `chapar ca rotate-issuer`")]
    GenerationExpires { generation: String, not_after: time::OffsetDateTime },
    #[error("the cryptographic library refused to {doing}")]
    Crypto { doing: &'static str, source: rcgen::Error },
    #[error("cannot {doing}")]
    Signing { doing: &'static str, source: SigningError },
    #[error("a stored certificate cannot be read: {0}")]
    StoredCertificate(String),
    #[error("no random numbers: the operating system gave none")]
    NoRandomness,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a key did not sign.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be used")]
pub struct SigningError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl SigningError {
    /// What the key's keeper says of it.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl From<AuthorityError> for Problem {
    fn from(error: AuthorityError) -> Self {
        match &error {
            AuthorityError::KeyAway { generation, file } => Self::precondition("AUTHORITY_KEY_AWAY", error.to_string())
                .with("generation", generation.clone())
                .with("file", file.display().to_string()),
            AuthorityError::KeyForeign { generation, .. } => {
                Self::precondition("AUTHORITY_KEY_FOREIGN", error.to_string()).with("generation", generation.clone())
            }
            AuthorityError::GenerationExpires { generation, .. } => {
                Self::precondition("GENERATION_EXPIRES", error.to_string()).with("generation", generation.clone())
            }
            AuthorityError::File { .. }
            | AuthorityError::DatabaseLost { .. }
            | AuthorityError::OtherTrustDomain { .. }
            | AuthorityError::Crypto { .. }
            | AuthorityError::Signing { .. }
            | AuthorityError::StoredCertificate(_)
            | AuthorityError::NoRandomness
            | AuthorityError::Store(_) => Self::internal(&error),
        }
    }
}
