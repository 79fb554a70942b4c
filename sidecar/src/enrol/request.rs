//! A fresh key and the request for a certificate over it.

use chapar_core::identity::SpiffeId;
use chapar_proto::v1;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::EnrolError;
use crate::trust::{Bundle, Credentials, peer_certificate};

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

/// Reads the answer; `identity` is the only one that it may carry.
pub(super) fn issued(
    answer: Option<v1::Credentials>,
    key: PrivatePkcs8KeyDer<'static>,
    identity: &SpiffeId,
) -> Result<(Credentials, Bundle), EnrolError> {
    let unusable = |problem: &str| EnrolError::Answer(problem.to_owned());
    let answer = answer.ok_or_else(|| unusable("it holds no credentials"))?;
    let bundle = answer.bundle.ok_or_else(|| unusable("it holds no trust bundle"))?;
    if bundle.trust_domain != identity.trust_domain().as_str() {
        return Err(EnrolError::Answer(format!("its trust bundle is that of {:?}", bundle.trust_domain)));
    }
    let chain: Vec<_> = answer.chain_der.into_iter().map(CertificateDer::from).collect();
    let leaf = peer_certificate(&chain).map_err(|problem| EnrolError::Answer(problem.to_string()))?;
    if leaf.spiffe_id != *identity {
        return Err(EnrolError::Answer(format!("its certificate is that of {}", leaf.spiffe_id)));
    }
    let roots = bundle.roots_der.into_iter().map(CertificateDer::from).collect();
    Ok((Credentials { key, chain }, Bundle { trust_domain: identity.trust_domain().clone(), roots }))
}
