//! Judging a certificate signing request. It proves that its maker holds the key; all else in the certificate is ours.

use chapar_core::identity::SpiffeId;
use rcgen::SubjectPublicKeyInfo;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519},
    prelude::FromDer as _,
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo as Spki,
};

use crate::problem::Problem;

/// Largest request that is looked at, in bytes: one with an RSA key of 8,192 bits is below 4 KiB.
const CSR_BYTES_MAX: usize = 16 * 1024;

/// Shortest RSA modulus, in bits: 128 bits of strength until 2030 and beyond (NIST SP 800-57, table 2).
const RSA_BITS_MIN: usize = 3_072;

/// Longest RSA modulus, in bits: what the cryptographic library verifies, and no more work than that for a stranger.
const RSA_BITS_MAX: usize = 8_192;

/// Least public exponent of an RSA key (FIPS 186-5, A.1.1).
const RSA_EXPONENT_MIN: u64 = 65_537;

/// A request whose key is strong and whose own signature is right.
#[derive(Debug)]
pub struct Csr {
    public_key: SubjectPublicKeyInfo,
    /// Every subject alternative name that it asks for, as text.
    names: Vec<String>,
}

/// Why a request is refused; its maker must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrRefusal {
    /// Its structure or its own signature is wrong.
    #[error("the certificate signing request is not a PKCS #10 request in DER: {0}")]
    Malformed(&'static str),
    /// Its key is too weak, or of a kind that is not taken.
    #[error("{0}; use ECDSA P-256 or P-384, Ed25519, or RSA of 3072 bits and more")]
    WeakKey(String),
    /// It asks for somebody else.
    #[error("the certificate signing request asks for {asked}, it may only ask for {allowed}")]
    OtherIdentity {
        /// Names that it asks for.
        asked: String,
        /// The one that it may ask for.
        allowed: String,
    },
}

impl Csr {
    /// Reads and judges a request.
    ///
    /// # Errors
    /// `Malformed` or `WeakKey`.
    pub fn parse(der: &[u8]) -> Result<Self, CsrRefusal> {
        if der.len() > CSR_BYTES_MAX {
            return Err(CsrRefusal::Malformed("it is over 16 KiB"));
        }
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| CsrRefusal::Malformed("its structure cannot be read"))?;
        if !rest.is_empty() {
            return Err(CsrRefusal::Malformed("bytes follow its end"));
        }
        // Strength first: the library does not verify signatures of weak keys, and would blame the signature.
        let spki = &request.certification_request_info.subject_pki;
        judge_strength(spki)?;
        request.verify_signature().map_err(|_| CsrRefusal::Malformed("its own signature is wrong"))?;
        let public_key =
            SubjectPublicKeyInfo::from_der(spki.raw).map_err(|_| CsrRefusal::Malformed("its public key cannot be read"))?;
        Ok(Self { public_key, names: names_of(&request) })
    }

    /// Refuses a request that asks for any identity but this one. One that asks for none is right: the token or the
    /// certificate in use says who asks.
    ///
    /// # Errors
    /// `OtherIdentity`.
    pub fn expect_identity(&self, id: &SpiffeId) -> Result<(), CsrRefusal> {
        let allowed = id.to_string();
        match self.names.as_slice() {
            [] => Ok(()),
            [only] if *only == allowed => Ok(()),
            names => Err(CsrRefusal::OtherIdentity { asked: names.join(", "), allowed }),
        }
    }

    /// The key to be certified.
    #[must_use]
    pub fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.public_key
    }
}

impl From<CsrRefusal> for Problem {
    fn from(refusal: CsrRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            CsrRefusal::Malformed(_) => Self::invalid("CSR_MALFORMED", message),
            CsrRefusal::WeakKey(_) => Self::invalid("CSR_WEAK_KEY", message),
            CsrRefusal::OtherIdentity { .. } => Self::denied("CSR_IDENTITY_MISMATCH", message),
        }
    }
}

fn judge_strength(spki: &Spki<'_>) -> Result<(), CsrRefusal> {
    let kind = &spki.algorithm.algorithm;
    if *kind == OID_SIG_ED25519 {
        return Ok(());
    }
    if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = spki.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        return match curve {
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => Ok(()),
            Some(curve) => Err(CsrRefusal::WeakKey(format!("the key is on the elliptic curve {curve}"))),
            None => Err(CsrRefusal::WeakKey("the key names no elliptic curve".to_owned())),
        };
    }
    if *kind != OID_PKCS1_RSAENCRYPTION {
        return Err(CsrRefusal::WeakKey(format!("keys of the kind {kind} are not accepted")));
    }
    let Ok(PublicKey::RSA(key)) = spki.parsed() else {
        return Err(CsrRefusal::Malformed("its RSA key cannot be read"));
    };
    let bits = bits_of(key.modulus);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(CsrRefusal::WeakKey(format!("the RSA key has {bits} bits")));
    }
    match key.try_exponent() {
        Ok(exponent) if exponent >= RSA_EXPONENT_MIN && exponent % 2 == 1 => Ok(()),
        Ok(exponent) => Err(CsrRefusal::WeakKey(format!("the RSA key has the public exponent {exponent}"))),
        Err(_) => Err(CsrRefusal::WeakKey("the RSA key has an oversized public exponent".to_owned())),
    }
}

/// Bits of a big-endian number, leading zeros aside.
fn bits_of(number: &[u8]) -> usize {
    match number.iter().position(|byte| *byte != 0) {
        Some(start) => (number.len() - start) * 8 - number[start].leading_zeros() as usize,
        None => 0,
    }
}

fn names_of(request: &X509CertificationRequest<'_>) -> Vec<String> {
    let extensions = request.requested_extensions().into_iter().flatten();
    extensions
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(names),
            _ => None,
        })
        .flat_map(|names| names.general_names.iter())
        .map(|name| match name {
            GeneralName::URI(uri) => (*uri).to_owned(),
            other => other.to_string(),
        })
        .collect()
}

/// A request of this name, with a key that is not accepted, from `tests/data`.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn weak_request(name: &str) -> Vec<u8> {
    use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
    let (_, from) = include_str!("../../tests/data/weak-requests.pem").split_once(&format!("\n{name}\n")).unwrap();
    CertificateSigningRequestDer::from_pem_slice(from.as_bytes()).unwrap().to_vec()
}
