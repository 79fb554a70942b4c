//! What a keyring that is no folder of files does to the authority: nothing, while it signs; an error, when it does not.

use std::sync::atomic::{AtomicBool, Ordering};

use chapar_core::time::Timestamp;

use super::super::{
    founding::Maker,
    signer::{KeyFiles, Keyring, Signer},
};
use super::*;

/// Keys that can be out of reach, as a hardware security module can.
#[derive(Debug)]
struct Remote {
    keys: KeyFiles,
    away: Arc<AtomicBool>,
}

#[derive(Debug)]
struct RemoteKey {
    key: Arc<dyn Signer>,
    away: Arc<AtomicBool>,
}

impl Signer for RemoteKey {
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        self.key.public_key()
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SigningError> {
        if self.away.load(Ordering::SeqCst) { Err(SigningError::new("the module does not answer")) } else { self.key.sign(bytes) }
    }
}

impl Keyring for Remote {
    fn make(&self, generation: &str) -> Result<Arc<dyn Signer>, AuthorityError> {
        Ok(Arc::new(RemoteKey { key: self.keys.make(generation)?, away: self.away.clone() }))
    }

    fn open(&self, generation: &Generation) -> Result<Arc<dyn Signer>, AuthorityError> {
        Ok(Arc::new(RemoteKey { key: self.keys.open(generation)?, away: self.away.clone() }))
    }

    fn expect_empty(&self) -> Result<(), AuthorityError> {
        self.keys.expect_empty()
    }

    fn keep_certificate(&self, generation: &str, pem: &str) -> Result<(), AuthorityError> {
        self.keys.keep_certificate(generation, pem)
    }
}

#[test]
fn a_key_elsewhere_certifies_and_one_out_of_reach_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let away = Arc::new(AtomicBool::new(false));
    let keys = Remote { keys: KeyFiles::open(folder.path()).unwrap(), away: away.clone() };
    let (trust_domain, clock) = ("exchange.example".parse().unwrap(), Clock::wound(Timestamp::from_unix_ms(START_MS)));
    let lifetimes = Certificates::default();
    let maker = Maker { keys: &keys, trust_domain: &trust_domain, lifetimes: &lifetimes, clock: &clock };
    let (root, key) = maker.root("root-1", State::Active, None).unwrap();
    let issuing = maker.issuing("issuing-1", State::Active, &root, &key).unwrap();
    assert_eq!(issuing.parent.as_deref(), Some("root-1"));
    assert_eq!(keys.open(&root).unwrap().public_key(), key.public_key());
    assert!(matches!(keys.open(&Generation { name: "root-1".into(), ..issuing }), Err(AuthorityError::KeyForeign { .. })));
    away.store(true, Ordering::SeqCst);
    let refused = maker.issuing("issuing-2", State::Active, &root, &key).unwrap_err();
    assert!(matches!(refused, AuthorityError::Crypto { .. }), "{refused}");
    assert!(key.sign(b"bytes").is_err());
}
