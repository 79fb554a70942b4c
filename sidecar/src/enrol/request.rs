//! A fresh key and the request for a certificate over it.

use chapar_core::identity::SpiffeId;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::PrivatePkcs8KeyDer;

/// A key that never left this process, and its certificate signing request.
pub(super) struct Request {
    /// PKCS #8.
    pub(super) key: PrivatePkcs8KeyDer<'static>,
    /// PKCS #10, DER.
    pub(super) csr_der: Vec<u8>,
}

/// Makes a new ECDSA P-256 key for `identity`. Every certificate gets a key of its own, so that a stolen one is worth no
/// more than the certificate's life.
pub(super) fn request(identity: &SpiffeId) -> Result<Request, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    let csr_der = params.serialize_request(&key)?.der().to_vec();
    Ok(Request { key: PrivatePkcs8KeyDer::from(key.serialize_der()), csr_der })
}
