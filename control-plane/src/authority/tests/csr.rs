use chapar_core::identity::SpiffeId;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _, SanType};

use super::{super::*, MAIN};

fn asking(key: &KeyPair, names: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = names.iter().map(|name| SanType::URI((*name).try_into().unwrap())).collect();
    params.serialize_request(key).unwrap().der().to_vec()
}

#[test]
fn strong_keys_are_certified() {
    let keys = [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_3072).unwrap(),
    ];
    for key in keys {
        let csr = Csr::parse(&asking(&key, &[MAIN])).unwrap();
        assert_eq!(csr.expect_identity(&MAIN.parse().unwrap()), Ok(()));
        assert_eq!(csr.public_key().subject_public_key_info(), key.subject_public_key_info());
    }
}

#[test]
fn weak_keys_are_refused_by_their_strength() {
    for (file, why) in [
        ("rsa-1024", "1024 bits"),
        ("rsa-2048", "2048 bits"),
        ("rsa-3072-e3", "exponent 3"),
        ("p-192", "elliptic curve"),
        ("p-521", "elliptic curve"),
        ("dsa-2048", "not accepted"),
    ] {
        match Csr::parse(&weak_request(file)).unwrap_err() {
            CsrRefusal::WeakKey(said) => assert!(said.contains(why), "{file}: {said}"),
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn a_damaged_request_is_refused() {
    let key = KeyPair::generate().unwrap();
    let good = asking(&key, &[MAIN]);
    let mut forged = good.clone();
    let at = forged.windows(4).position(|window| window == b"post").unwrap();
    forged[at..at + 4].copy_from_slice(b"cra0");
    assert_eq!(Csr::parse(&forged).unwrap_err(), CsrRefusal::Malformed("its own signature is wrong"));
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(Csr::parse(&longer).unwrap_err(), CsrRefusal::Malformed("bytes follow its end"));
    assert!(matches!(Csr::parse(b"").unwrap_err(), CsrRefusal::Malformed(_)));
    assert!(matches!(Csr::parse(&good[..good.len() / 2]).unwrap_err(), CsrRefusal::Malformed(_)));
    assert_eq!(Csr::parse(&vec![0x30; 20_000]).unwrap_err(), CsrRefusal::Malformed("it is over 16 KiB"));
}

#[test]
fn a_request_for_another_identity_is_refused() {
    let key = KeyPair::generate().unwrap();
    let mine: SpiffeId = MAIN.parse().unwrap();
    let other = "spiffe://exchange.example/agency/cra/sidecar/main";
    assert_eq!(Csr::parse(&asking(&key, &[])).unwrap().expect_identity(&mine), Ok(()));
    for names in [vec![other], vec![MAIN, other], vec![MAIN, MAIN]] {
        let refusal = Csr::parse(&asking(&key, &names)).unwrap().expect_identity(&mine).unwrap_err();
        assert!(matches!(refusal, CsrRefusal::OtherIdentity { .. }), "{names:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_judgement_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512)) {
        let _ = Csr::parse(&bytes);
    }
}
