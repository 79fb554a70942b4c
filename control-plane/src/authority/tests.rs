#![allow(clippy::unwrap_used)]

mod constraints;
mod csr;
mod issuing;
mod rotation;
mod shutting_out;
mod signer;

use std::{sync::Arc, time::Duration};

use chapar_core::time::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use rustls::{RootCertStore, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::*;
use crate::caller::SidecarCaller;

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

struct Bench {
    folder: tempfile::TempDir,
    clock: Clock,
    store: Store,
    acknowledgements: Acknowledgements,
    authority: Authority,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(START_MS));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        let acknowledgements = Acknowledgements::default();
        let authority = open(&folder, &store, &acknowledgements).await.unwrap();
        Self { folder, clock, store, acknowledgements, authority }
    }

    async fn reopened(&self) -> Result<Authority, AuthorityError> {
        open(&self.folder, &self.store, &self.acknowledgements).await
    }

    async fn issue(&self, id: &str) -> Issued {
        let mut tx = self.store.write().await.unwrap();
        let issued = self.authority.issue_sidecar(&mut tx, &id.parse().unwrap(), &csr()).await.unwrap();
        tx.commit().await.unwrap();
        issued
    }

    /// Whether a peer that trusts exactly these roots accepts the chain now.
    fn accepts(&self, roots: &[Vec<u8>], chain: &[Vec<u8>]) -> bool {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(CertificateDer::from(root.clone())).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
        let chain: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let now = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(self.clock.now().unix_ms()).unwrap()));
        verifier.verify_client_cert(&chain[0], &chain[1..], now).is_ok()
    }

    async fn audited(&self, action: &str) -> i64 {
        let counted = format!("SELECT COUNT(*) FROM audit WHERE action = '{action}'");
        self.store.sql(&counted).await.unwrap()[0][0].parse().unwrap()
    }
}

async fn open(
    folder: &tempfile::TempDir,
    store: &Store,
    acknowledgements: &Acknowledgements,
) -> Result<Authority, AuthorityError> {
    let trust_domain = "exchange.example".parse().unwrap();
    let keys = folder.path().join("authority");
    Authority::open(store.clone(), &keys, trust_domain, Certificates::default(), acknowledgements.clone()).await
}

const MAIN: &str = "spiffe://exchange.example/agency/post/sidecar/main";

fn csr() -> Csr {
    let params = CertificateParams::default();
    Csr::parse(params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
}

fn caller(issued: &Issued) -> SidecarCaller {
    SidecarCaller {
        id: issued.id.clone(),
        agency: issued.id.agency().unwrap().clone(),
        serial: issued.serial.clone(),
        not_after: issued.not_after,
    }
}
