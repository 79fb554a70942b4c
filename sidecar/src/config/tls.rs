//! What TLS to other sidecars is made of.

use std::fmt::Debug;

use serde::Deserialize;

/// Cipher suites and key exchanges of TLS 1.3 that are offered and taken, the most wanted first. Between two sidecars the one that
/// connects decides by its order. The first meeting with the control plane, which brings the certificate, offers everything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tls {
    /// Cipher suites. Default: all, in the order of [`Suite`].
    pub suites: Vec<Suite>,
    /// Key exchanges. Default: all, in the order of [`KeyExchange`].
    pub key_exchanges: Vec<KeyExchange>,
}

/// A cipher suite of TLS 1.3, by its registered name (RFC 8446, appendix B.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Suite {
    /// AES-256 in Galois/counter mode.
    #[serde(rename = "TLS_AES_256_GCM_SHA384")]
    Aes256GcmSha384,
    /// AES-128 in Galois/counter mode.
    #[serde(rename = "TLS_AES_128_GCM_SHA256")]
    Aes128GcmSha256,
    /// For processors that have no instructions for AES.
    #[serde(rename = "TLS_CHACHA20_POLY1305_SHA256")]
    Chacha20Poly1305Sha256,
}

/// A key exchange, by its registered name (the TLS registry of supported groups).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum KeyExchange {
    /// X25519 and ML-KEM-768 together: what is recorded today cannot be read by a quantum computer of tomorrow.
    #[serde(rename = "X25519MLKEM768")]
    X25519MlKem768,
    /// X25519 (RFC 7748).
    #[serde(rename = "x25519")]
    X25519,
    /// NIST's curve P-256.
    #[serde(rename = "secp256r1")]
    Secp256r1,
    /// NIST's curve P-384.
    #[serde(rename = "secp384r1")]
    Secp384r1,
}

impl Default for Tls {
    fn default() -> Self {
        use KeyExchange::{Secp256r1, Secp384r1, X25519, X25519MlKem768};
        use Suite::{Aes128GcmSha256, Aes256GcmSha384, Chacha20Poly1305Sha256};
        Self {
            suites: vec![Aes256GcmSha384, Aes128GcmSha256, Chacha20Poly1305Sha256],
            key_exchanges: vec![X25519MlKem768, X25519, Secp256r1, Secp384r1],
        }
    }
}

impl Tls {
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        each_once(&self.suites).map_err(|problem| ("tls.suites".to_owned(), problem))?;
        each_once(&self.key_exchanges).map_err(|problem| ("tls.keyExchanges".to_owned(), problem))
    }
}

fn each_once<T: PartialEq + Debug>(list: &[T]) -> Result<(), String> {
    if list.is_empty() {
        return Err("must name one at least".to_owned());
    }
    let mut earlier = list.iter().enumerate().map(|(at, item)| list[..at].contains(item));
    if earlier.any(|twice| twice) { Err("names one twice".to_owned()) } else { Ok(()) }
}
