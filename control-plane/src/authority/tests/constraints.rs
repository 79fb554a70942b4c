//! What a thief of the issuing key can make of it, by the verifier that sidecars and the control plane use.

use rcgen::{BasicConstraints, CustomExtension, IsCa, Issuer, SanType};

use super::*;

/// The OID of name constraints, and one that permits URIs of `exchange.example` alone.
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
const URIS_OF_THE_EXCHANGE: &[u8] = b"\x30\x16\xa0\x14\x30\x12\x86\x10exchange.example";

struct Thief {
    bench: Bench,
    root: Vec<u8>,
    issuing: Vec<u8>,
    key: String,
}

impl Thief {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let root = trust_view(&bench.store).await.unwrap().roots_der.remove(0);
        let issuing = bench.issue(MAIN).await.chain.remove(1);
        let key = std::fs::read_to_string(bench.folder.path().join("authority/issuing-1.key")).unwrap();
        Self { bench, root, issuing, key }
    }

    fn with_the_key(&self) -> Issuer<'static, KeyPair> {
        Issuer::from_ca_cert_der(&CertificateDer::from(self.issuing.as_slice()), KeyPair::from_pem(&self.key).unwrap()).unwrap()
    }

    /// A leaf that the stolen key signs.
    fn accepted(&self, name: SanType) -> bool {
        let leaf = self.dated(name).signed_by(&KeyPair::generate().unwrap(), &self.with_the_key()).unwrap();
        self.bench.accepts(std::slice::from_ref(&self.root), &[leaf.der().to_vec(), self.issuing.clone()])
    }

    /// A leaf below a CA of the thief's own, which the stolen key signs.
    fn accepted_below(&self) -> bool {
        let mut below = self.dated(uri("spiffe://exchange.example"));
        below.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = below.signed_by(&key, &self.with_the_key()).unwrap();
        let leaf = self.dated(uri(MAIN)).signed_by(&KeyPair::generate().unwrap(), &Issuer::new(below, key)).unwrap();
        let chain = [leaf.der().to_vec(), certificate.der().to_vec(), self.issuing.clone()];
        self.bench.accepts(std::slice::from_ref(&self.root), &chain)
    }

    fn dated(&self, name: SanType) -> CertificateParams {
        let mut params = CertificateParams::default();
        let now = crate::clock::date_of(self.bench.clock.now());
        (params.not_before, params.not_after) = (now - Duration::from_secs(60), now + Duration::from_secs(600));
        params.subject_alt_names = vec![name];
        params
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[tokio::test]
async fn a_stolen_issuing_key_makes_neither_hosts_nor_cas() {
    let thief = Thief::new().await;
    assert!(thief.accepted(uri(MAIN)), "the thief's tools work");
    assert!(!thief.accepted(SanType::DnsName("www.agency.example".try_into().unwrap())));
    assert!(!thief.accepted(SanType::IpAddress("192.0.2.7".parse().unwrap())));
    assert!(!thief.accepted(SanType::IpAddress("2001:db8::7".parse().unwrap())));
    assert!(!thief.accepted_below());
}

/// Why CA certificates bear no constraint of URIs: when this fails, the library has learnt to compare them.
#[tokio::test]
async fn the_library_refuses_a_fitting_uri_below_a_constraint_of_uris() {
    let thief = Thief::new().await;
    for (constraint, accepted) in [(None, true), (Some(URIS_OF_THE_EXCHANGE), false)] {
        let mut root = thief.dated(uri("spiffe://exchange.example"));
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.custom_extensions.extend(constraint.map(|der| {
            let mut extension = CustomExtension::from_oid_content(NAME_CONSTRAINTS, der.to_vec());
            extension.set_criticality(true);
            extension
        }));
        let key = KeyPair::generate().unwrap();
        let root_der = root.self_signed(&key).unwrap().der().to_vec();
        let issuer = Issuer::new(root, key);
        for name in [MAIN, "spiffe://other.example/agency/post/sidecar/main"] {
            let leaf = thief.dated(uri(name)).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
            assert_eq!(thief.bench.accepts(std::slice::from_ref(&root_der), &[leaf.der().to_vec()]), accepted, "{name}");
        }
    }
}
