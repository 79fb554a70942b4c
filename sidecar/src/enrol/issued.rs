//! What the control plane answered to a request for a certificate.

use chapar_core::identity::SpiffeId;
use chapar_proto::v1;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::EnrolError;
use crate::trust::{Bundle, Credentials, peer_certificate};

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
