//! Issued certificates.

use std::collections::HashMap;

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::store::error::StoreError;

/// One issued leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Lowercase hex, two digits a byte.
    pub serial: String,
    /// The identity in it.
    pub spiffe_id: String,
    /// Whose it is. `None`: an admin's or the control plane's.
    pub agency: Option<String>,
    /// Name of the issuing generation.
    pub issuer: String,
    /// Hex SHA-256 of the certificate.
    pub fingerprint: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// When it was revoked. `None`: it is not revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked.
    pub revocation_reason: Option<String>,
}

/// What decides whether a certificate may still be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateState {
    /// The identity that it was issued for.
    pub spiffe_id: String,
    /// Hex SHA-256 of the certificate.
    pub fingerprint: String,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Why it was revoked. `None`: it is not.
    pub revocation: Option<String>,
    /// True: its issuing CA is no longer trusted.
    pub issuer_retired: bool,
    /// Why its agency is suspended. `None`: it is not.
    pub suspension: Option<String>,
}

/// A certificate that is not to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Lowercase hex, two digits a byte.
    pub serial: String,
    /// The identity in it; the trust domain alone ("spiffe://exchange.example") for a retired issuing CA.
    pub spiffe_id: String,
    /// Whose it is. `None`: an admin's, the control plane's or a retired issuing CA's.
    pub agency: Option<String>,
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// Who holds live certificates of an issuing generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The identity in them.
    pub spiffe_id: String,
    /// How many.
    pub live: u32,
    /// Whether it holds a live one of an issuing generation that goes on being trusted as well.
    pub has_renewed: bool,
}

/// Which certificates are wanted.
#[derive(Clone, Debug, Default)]
pub struct CertificateFilter {
    /// Empty: of all.
    pub agency: String,
    /// True: those that are revoked or expired as well.
    pub include_void: bool,
    /// Those that follow the one that was issued then, and has this serial number. `None`: from the newest.
    pub after: Option<(i64, String)>,
}

/// Reading certificates. `now`: what ended before is expired.
#[async_trait]
pub trait ReadCertificates {
    /// The one with this serial number.
    async fn certificate(&mut self, serial: &str) -> Result<Option<CertificateRow>, StoreError>;

    /// Whether anybody holds a certificate with this identity that is neither expired nor revoked.
    async fn has_live_certificate(&mut self, spiffe_id: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// What decides whether the one with this serial number may be used.
    async fn certificate_state(&mut self, serial: &str) -> Result<Option<CertificateState>, StoreError>;

    /// Certificates, the newest first.
    async fn certificates(
        &mut self,
        filter: &CertificateFilter,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<CertificateRow>, StoreError>;

    /// How many live ones each issuing generation carries, those of one identity left out.
    async fn live_certificates_by_issuer(&mut self, now: Timestamp, left_out: &str) -> Result<Vec<(String, u32)>, StoreError>;

    /// Who holds live ones of these issuing generations (names), those of one identity left out; at most `limit`, those who hold no
    /// other first.
    async fn holders(
        &mut self,
        issuers: &[String],
        left_out: &str,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<Holder>, StoreError>;

    /// Whether a certificate was ever issued, and is still known, for this identity.
    async fn is_known_identity(&mut self, spiffe_id: &str) -> Result<bool, StoreError>;

    /// When, and why, all certificates of this sidecar were revoked last. `None`: never.
    async fn sidecar_revocation(&mut self, spiffe_id: &str) -> Result<Option<(Timestamp, String)>, StoreError>;

    /// How many live ones an agency's sidecars hold.
    async fn live_certificates_of(&mut self, agency: &str, now: Timestamp) -> Result<u32, StoreError>;

    /// Those that were revoked and have not expired.
    async fn revoked_certificates(&mut self, now: Timestamp) -> Result<Vec<RevokedCertificate>, StoreError>;

    /// When the newest one of each identity that is not revoked expires.
    async fn certificate_ends(&mut self) -> Result<HashMap<String, Timestamp>, StoreError>;
}

/// Writing certificates.
#[async_trait]
pub trait WriteCertificates {
    /// Keeps what was issued.
    async fn insert_certificate(&mut self, issued: &CertificateRow) -> Result<(), StoreError>;

    /// Revokes one.
    async fn revoke_certificate(&mut self, serial: &str, reason: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Revokes every live one of an issuing generation; answers how many.
    async fn revoke_certificates_of(&mut self, issuer: &str, reason: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// Revokes every live one of an identity, and keeps that it was done; answers how many.
    async fn revoke_certificates_for(&mut self, spiffe_id: &str, reason: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// Removes some that expired before then, at most `limit`; answers how many.
    async fn purge_certificates(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError>;
}
