//! A key in this process's memory.

use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SignatureAlgorithm, SigningKey as _};
use rustls::sign::SigningKey as TlsSigningKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{AuthorityError, Signer, SigningError};

/// An ECDSA key that this process holds.
pub(super) struct LocalKey(KeyPair);

impl LocalKey {
    /// A fresh ECDSA P-256 key.
    ///
    /// # Errors
    /// When the cryptographic library cannot make one.
    pub(super) fn fresh() -> Result<Self, AuthorityError> {
        let made = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        made.map(Self).map_err(|source| AuthorityError::Crypto { doing: "make a key", source })
    }

    /// Reads a private key, PKCS #8 in PEM.
    ///
    /// # Errors
    /// When it is none, or of a kind that the cryptographic library does not know.
    pub(super) fn from_pem(pem: &str) -> Result<Self, AuthorityError> {
        KeyPair::from_pem(pem).map(Self).map_err(|source| AuthorityError::Crypto { doing: "read a key file", source })
    }

    /// As [`Self::from_pem`] reads it.
    pub(super) fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// DER of the public key with its algorithm, as a certificate holds it.
    pub(super) fn public_key_info(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// The same key, as TLS uses it.
    ///
    /// # Errors
    /// When rustls cannot use it.
    pub(super) fn for_tls(&self) -> Result<Arc<dyn TlsSigningKey>, AuthorityError> {
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.0.serialize_der()));
        rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&der)
            .map_err(|error| AuthorityError::StoredCertificate(format!("the control plane's own key: {error}")))
    }
}

impl Signer for LocalKey {
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.0.sign(bytes).map_err(SigningError::new)
    }
}

impl std::fmt::Debug for LocalKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Nothing of the key itself.
        out.write_str("LocalKey")
    }
}
