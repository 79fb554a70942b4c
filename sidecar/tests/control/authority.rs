//! A certificate authority for tests, which also issues what a good one never would.

use chapar_core::{identity::TrustDomain, time::Timestamp};
use chapar_proto::v1;
use chapar_sidecar::trust::{Bundle, Credentials};
use prost::Message as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SigningKey as _,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use crate::NOW;

pub(crate) const HOUR_MS: i64 = 3_600_000;

type Issuer = CertifiedIssuer<'static, KeyPair>;

pub(crate) struct Authority {
    pub(crate) trust_domain: TrustDomain,
    pub(crate) root: Issuer,
    pub(crate) issuing: Issuer,
    /// Signs manifests, under the control plane's certificate.
    pub(crate) signer: Leaf,
}

/// A leaf with its key, as rcgen has them.
pub(crate) struct Leaf {
    pub(crate) key: KeyPair,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

impl Leaf {
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials { key: PrivatePkcs8KeyDer::from(self.key.serialize_der()), chain: self.chain.clone() }
    }
}

impl Authority {
    pub(crate) fn new(trust_domain: &str) -> Self {
        let root = CertifiedIssuer::self_signed(ca("root", trust_domain), KeyPair::generate().unwrap()).unwrap();
        Self::under(trust_domain, root)
    }

    /// Another issuing CA under the same root.
    pub(crate) fn with_next_issuing(self) -> Self {
        let domain = self.trust_domain.to_string();
        Self::under(&domain, self.root)
    }

    fn under(trust_domain: &str, root: Issuer) -> Self {
        let issuing = CertifiedIssuer::signed_by(ca("issuing", trust_domain), KeyPair::generate().unwrap(), &root).unwrap();
        let control_plane = format!("spiffe://{trust_domain}/control-plane");
        let signer = leaf(&issuing, &[&control_plane], NOW, 24 * HOUR_MS);
        Self { trust_domain: trust_domain.parse().unwrap(), root, issuing, signer }
    }

    /// The key and name of another root as this one's root certifies them, DER.
    pub(crate) fn cross(&self, other: &Issuer) -> Vec<u8> {
        let params = ca("root", self.trust_domain.as_str());
        params.signed_by(other.key(), &self.root).unwrap().der().to_vec()
    }

    pub(crate) fn bundle(&self) -> Bundle {
        Bundle { trust_domain: self.trust_domain.clone(), roots: vec![self.root.der().clone()] }
    }

    /// A certificate for these URIs, valid for a day around [`NOW`].
    pub(crate) fn issue(&self, uris: &[&str]) -> Leaf {
        leaf(&self.issuing, uris, NOW, 24 * HOUR_MS)
    }

    pub(crate) fn issue_valid(&self, uris: &[&str], from: Timestamp, life_ms: i64) -> Leaf {
        leaf(&self.issuing, uris, from, life_ms)
    }

    /// Signs a request as it is, valid from `from`.
    pub(crate) fn sign_request(&self, csr_der: &[u8], from: Timestamp, life_ms: i64) -> Vec<CertificateDer<'static>> {
        let csr = CertificateSigningRequestDer::from(csr_der);
        let mut request = CertificateSigningRequestParams::from_der(&csr).unwrap();
        valid(&mut request.params, from, life_ms);
        request.params.use_authority_key_identifier_extension = true;
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = request.signed_by(&self.issuing).unwrap();
        vec![certificate.der().clone(), self.issuing.der().clone()]
    }

    pub(crate) fn sign(&self, manifest: &v1::SnapshotManifest) -> v1::SignedManifest {
        sign_with(&self.signer, manifest)
    }
}

pub(crate) fn sign_with(signer: &Leaf, manifest: &v1::SnapshotManifest) -> v1::SignedManifest {
    let manifest = manifest.encode_to_vec();
    let signature = signer.key.sign(&chapar_core::snapshot::signed_bytes(&manifest)).unwrap();
    let signer_chain_der = signer.chain.iter().map(|der| der.to_vec()).collect();
    v1::SignedManifest { manifest, signature, signer_chain_der }
}

/// A certificate that vouches for itself.
pub(crate) fn self_signed(uri: &str) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf_params(&[uri], NOW, 24 * HOUR_MS).self_signed(&key).unwrap();
    Leaf { key, chain: vec![certificate.der().clone()] }
}

fn leaf(issuing: &Issuer, uris: &[&str], from: Timestamp, life_ms: i64) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf_params(uris, from, life_ms).signed_by(&key, issuing).unwrap();
    Leaf { key, chain: vec![certificate.der().clone(), issuing.der().clone()] }
}

fn leaf_params(uris: &[&str], from: Timestamp, life_ms: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    valid(&mut params, from, life_ms);
    params
}

fn ca(name: &str, trust_domain: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("{name} of {trust_domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    valid(&mut params, NOW.plus_ms(-HOUR_MS), 10_000 * HOUR_MS);
    params
}

fn valid(params: &mut CertificateParams, from: Timestamp, life_ms: i64) {
    let date = |at: Timestamp| OffsetDateTime::from_unix_timestamp(at.unix_ms() / 1_000).unwrap();
    (params.not_before, params.not_after) = (date(from), date(from.plus_ms(life_ms)));
}
