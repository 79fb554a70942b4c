//! The generations of roots and issuing CAs.

use data_encoding::HEXLOWER;
use x509_parser::parse_x509_certificate;

use super::{digest::sha256, error::AuthorityError};
pub use crate::store::{Generation, GenerationKind as Kind, GenerationState as State};
use crate::store::{StoreError, Transaction};

impl Generation {
    /// Hex SHA-256 of the certificate.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&sha256(&self.certificate))
    }

    /// Hex SHA-256 of the key, by which sidecars tell which issuing CA a certificate came from.
    ///
    /// # Errors
    /// When the stored certificate cannot be read.
    pub fn key_sha256(&self) -> Result<String, AuthorityError> {
        let (_, certificate) =
            parse_x509_certificate(&self.certificate).map_err(|error| AuthorityError::StoredCertificate(error.to_string()))?;
        Ok(HEXLOWER.encode(&sha256(certificate.public_key().raw)))
    }

    /// The trust domain that it was made for.
    ///
    /// # Errors
    /// When the stored certificate cannot be read.
    pub fn trust_domain(&self) -> Result<String, AuthorityError> {
        let (_, certificate) =
            parse_x509_certificate(&self.certificate).map_err(|error| AuthorityError::StoredCertificate(error.to_string()))?;
        let organization = certificate.subject().iter_organization().next();
        Ok(organization.and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned())
    }

    /// Whether certificates that hang on it are accepted.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.state != State::Retired
    }
}

/// The name that the next generation of this kind gets.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn next_name(tx: &mut Transaction, kind: Kind) -> Result<String, StoreError> {
    let number = tx.next_generation_number(kind).await?;
    Ok(format!("{}-{number}", kind.as_str()))
}

/// Keeps a new generation.
///
/// # Errors
/// When the store cannot be written.
pub(super) async fn insert(tx: &mut Transaction, generation: &Generation) -> Result<(), StoreError> {
    let number: i64 = generation.name.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
    let now = tx.now();
    tx.insert_generation(generation, number, now).await
}
