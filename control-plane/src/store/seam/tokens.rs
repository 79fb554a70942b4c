//! Enrolment tokens.

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::store::error::StoreError;

/// A token as it is kept: of its secret only the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its public name.
    pub id: String,
    /// Whose sidecar it lets in.
    pub agency: String,
    /// `None`: any sidecar of the agency.
    pub sidecar: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// As in the audit.
    pub created_by: String,
    /// When it was used. `None`: it was not used.
    pub used_at: Option<Timestamp>,
    /// When it was revoked. `None`: it was not revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Reading tokens.
#[async_trait]
pub trait ReadTokens {
    /// The one with this name.
    async fn token(&mut self, id: &str) -> Result<Option<TokenRow>, StoreError>;

    /// The SHA-256 of the secret of the one with this name.
    async fn token_secret_sha256(&mut self, id: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Tokens, the newest first; `agency` empty: of all; those after the one that was made then and is named so.
    async fn tokens(&mut self, agency: &str, after: (i64, &str), limit: i64) -> Result<Vec<TokenRow>, StoreError>;
}

/// Writing tokens.
#[async_trait]
pub trait WriteTokens {
    /// Keeps a new one.
    async fn insert_token(&mut self, token: &TokenRow, secret_sha256: &[u8]) -> Result<(), StoreError>;

    /// Voids one.
    async fn revoke_token(&mut self, id: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Marks one used for the certificate with this serial number, if it was not used before.
    async fn use_token(&mut self, id: &str, serial: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Removes some that expired before then, at most `limit`; answers how many.
    async fn purge_tokens(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError>;
}
