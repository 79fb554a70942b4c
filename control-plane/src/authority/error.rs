//! What can go wrong in the authority, by who must act.

use std::{io, path::PathBuf};

use crate::{problem::Problem, store::StoreError};

/// The authority could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of the authority cannot be read or written.
    #[error("cannot use the file {}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A key was taken away.
    #[error("the private key of {generation} is not at {}: put the file back, then try again", file.display())]
    KeyAway {
        /// Whose key.
        generation: String,
        /// Where it should be.
        file: PathBuf,
    },
    /// A key is another one's.
    #[error("the key in {} is not the key of {generation}'s certificate", file.display())]
    KeyForeign {
        /// Whose key it should be.
        generation: String,
        /// Where it is.
        file: PathBuf,
    },
    /// There are keys, and nothing else of the authority.
    #[error("{} holds keys, but the database knows no authority: restore chapar.db, or move the folder away to begin anew", folder.display())]
    DatabaseLost {
        /// Where the keys are.
        folder: PathBuf,
    },
    /// The configuration names another exchange.
    #[error("this authority belongs to the trust domain {held}; the configuration says {configured}")]
    OtherTrustDomain {
        /// The one that the database is of.
        held: String,
        /// The one that is configured.
        configured: String,
    },
    /// What is issued now would end at once.
    #[error("{generation} expires at {not_after}, too soon to issue from: rotate it with `chapar ca rotate-issuer`")]
    GenerationExpires {
        /// Which.
        generation: String,
        /// When.
        not_after: time::OffsetDateTime,
    },
    /// A key or certificate cannot be made or read.
    #[error("the cryptographic library refused to {doing}")]
    Crypto {
        /// What was tried.
        doing: &'static str,
        /// What the library says.
        source: rcgen::Error,
    },
    /// A key does not sign.
    #[error("cannot {doing}")]
    Signing {
        /// What was tried.
        doing: &'static str,
        /// What the key's keeper says.
        source: SigningError,
    },
    /// What is stored is not what this program writes.
    #[error("a stored certificate cannot be read: {0}")]
    StoredCertificate(String),
    /// Nothing can be made without them.
    #[error("no random numbers: the operating system gave none")]
    NoRandomness,
    /// The database failed.
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
        let error = match error {
            AuthorityError::Store(error) => return Self::from(error),
            error => error,
        };
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
