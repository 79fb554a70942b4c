//! The seam behind which the authority's private keys lie. Today they are files; a hardware security module implements the same two
//! traits, and nothing else of the authority knows the difference. No other module holds a private key.

mod key_files;
mod local;

use std::{fmt, sync::Arc};

use rcgen::{PublicKeyData, SignatureAlgorithm};
use rustls::sign::SigningKey as TlsSigningKey;

pub(super) use self::key_files::KeyFiles;
use super::{
    error::{AuthorityError, SigningError},
    generations::Generation,
};

/// Signs with one private key, wherever that is.
pub trait Signer: fmt::Debug + Send + Sync {
    /// What kind of key it is, and how it signs.
    fn algorithm(&self) -> &'static SignatureAlgorithm;

    /// The public key as its algorithm writes it: what a SubjectPublicKeyInfo holds as its bit string.
    fn public_key(&self) -> &[u8];

    /// Signs these bytes. ECDSA signatures are in ASN.1 DER.
    ///
    /// # Errors
    /// When the key cannot be used now.
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// Keeps the keys of the generations of roots and issuing CAs.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// Makes a key and keeps it durably under the generation's name. One that is there belongs to an attempt that never reached the
    /// database, so nothing was ever signed for use with it, and it is replaced.
    ///
    /// # Errors
    /// When the key cannot be made or kept.
    fn make(&self, generation: &str) -> Result<Arc<dyn Signer>, AuthorityError>;

    /// The key of this generation.
    ///
    /// # Errors
    /// `KeyAway` when there is none, `KeyForeign` when it is not the key of the generation's certificate.
    fn open(&self, generation: &Generation) -> Result<Arc<dyn Signer>, AuthorityError>;

    /// Refuses to be used when it holds keys although the database knows no generation: a lost database must not make the daemon
    /// overwrite the root of a running exchange.
    ///
    /// # Errors
    /// `DatabaseLost`, or when it cannot be looked at.
    fn expect_empty(&self) -> Result<(), AuthorityError>;

    /// Keeps a generation's certificate beside its key, for people and for openssl; the database is what the daemon reads.
    ///
    /// # Errors
    /// When it cannot be written.
    fn keep_certificate(&self, generation: &str, pem: &str) -> Result<(), AuthorityError>;
}

/// The key of the control plane's own certificate: made anew for each, it never leaves the process.
#[derive(Clone, Debug)]
pub struct OwnKey {
    /// Signs snapshots.
    pub signer: Arc<dyn Signer>,
    /// The same key, as TLS uses it.
    pub tls: Arc<dyn TlsSigningKey>,
}

impl OwnKey {
    /// A fresh key.
    ///
    /// # Errors
    /// When the cryptographic library cannot make one.
    pub(super) fn fresh() -> Result<Self, AuthorityError> {
        let key = local::LocalKey::fresh()?;
        let tls = key.for_tls()?;
        Ok(Self { signer: Arc::new(key), tls })
    }
}

/// A signer as the library that writes certificates wants it.
#[derive(Clone, Debug)]
pub(super) struct CertificateKey(pub(super) Arc<dyn Signer>);

impl PublicKeyData for CertificateKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl rcgen::SigningKey for CertificateKey {
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(bytes).map_err(|error| {
            // The library's error has no room for the cause.
            tracing::error!(error = %crate::problem::WithSources(&error), "a key of the authority cannot be used");
            rcgen::Error::RemoteKeyError
        })
    }
}
