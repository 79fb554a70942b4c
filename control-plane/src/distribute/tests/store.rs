//! From a command of an admin to the sidecar that it concerns, through the store.

use chapar_core::time::Timestamp;
use chapar_daemon::vital::Vital;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;
use crate::{
    authority::Authority,
    policy::{self, ApplyOrder},
    resources::ResourceFile,
};

const RESOURCES: &str = "
apiVersion: chapar/v1
kind: Agency
metadata: {name: post}
spec: {title: {fa: پست, en: Post}, roles: [provider, consumer]}
---
apiVersion: chapar/v1
kind: Agency
metadata: {name: ipm}
spec: {title: {fa: پژوهشگاه, en: IPM}, roles: [provider]}
---
apiVersion: chapar/v1
kind: Resolution
metadata: {name: 38-1}
spec:
  title: {fa: مصوبه, en: Resolution}
  session: 38
  date: 1401-10-20
  grants:
    - {clause: '1', consumers: [post], inquiries: [study-status], provider: ipm}
";

/// A store with an authority and a policy, and distribution that keeps up with it.
struct Country {
    store: Store,
    authority: Authority,
    distribution: Distribution,
    door: Door,
    stopping: CancellationToken,
    folder: tempfile::TempDir,
}

impl Country {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(NOW_MS));
        let store = Store::open(&folder.path().join("chapar.db"), clock).await.unwrap();
        let acknowledgements = Acknowledgements::default();
        let keys = folder.path().join("authority");
        let (domain, lifetimes) = ("exchange.example".parse().unwrap(), config::Certificates::default());
        let authority = Authority::open(store.clone(), &keys, domain, lifetimes, acknowledgements.clone()).await.unwrap();
        let signer = authority.signer();
        let seal: Seal = Arc::new(move |bytes| {
            let signature = signer.sign(bytes)?;
            Ok((signature.der, signature.chain))
        });
        let (_, chain) = seal(b"whose are you?").unwrap();
        let public_key = X509Certificate::from_der(&chain[0]).unwrap().1.public_key().subject_public_key.data.to_vec();
        let stopping = CancellationToken::new();
        let parts = Parts {
            store: store.clone(),
            trust_domain: "exchange.example".into(),
            validity: VALIDITY,
            seal,
            metrics: Metrics::registered(&prometheus::Registry::new()).unwrap(),
            acknowledgements,
            heads: None,
            repeats: Repeats::new(store.clone(), 1_000),
            opened: often(store.clock()),
            stopping: stopping.clone(),
            vital: Vital::default(),
        };
        let distribution = Distribution::start(parts).await.unwrap();
        let door = Door { address: serve(&distribution).await, public_key };
        Self { store, authority, distribution, door, stopping, folder }
    }

    /// Applies the resources; returns the policy version and the distribution revision that carry them.
    async fn apply(&self, text: &str) -> (u64, u64) {
        let files = vec![ResourceFile { name: "test.yaml".into(), content: text.into() }];
        let order = ApplyOrder { files, delete: Vec::new(), dry_run: false, reason: String::new(), actor: "test".into() };
        let applied = policy::apply(&self.store, order).await.unwrap();
        (applied.version, applied.revision)
    }
}

impl Sidecar {
    /// Takes updates until it holds what this revision carries.
    async fn catch_up(&mut self, revision: u64) -> SnapshotManifest {
        loop {
            let (_, manifest) = self.take().await;
            if manifest.revision >= revision {
                return manifest;
            }
        }
    }
}

fn grant_in(update: &Update) -> GrantResource {
    let key = |changed: &&chapar_proto::v1::Resource| changed.key.as_ref().unwrap().name == "38-1/1/post/study-status";
    GrantResource::decode(update.changed.iter().find(key).unwrap().body.as_slice()).unwrap()
}

#[tokio::test]
async fn an_applied_and_a_revoked_grant_reach_the_sidecar_signed_by_the_authority() {
    let country = Country::new().await;
    let mut sidecar = country.door.enter(hello(0, &[]), "0a").await.unwrap();
    sidecar.take().await;

    let (version, revision) = country.apply(RESOURCES).await;
    let (update, manifest) = sidecar.take().await;
    assert_eq!((manifest.revision, manifest.policy_version), (revision, version));
    assert!(grant_in(&update).in_force && grant_in(&update).revoked_at.is_none());

    let revoking = policy::revoke(&country.store, "38-1/1/post/study-status", "misused", "test");
    let (version, revision) = revoking.await.unwrap();
    let (update, manifest) = sidecar.take().await;
    assert_eq!((manifest.revision, manifest.policy_version), (revision, version));
    assert_eq!(grant_in(&update).revocation_reason, "misused");
}

#[tokio::test]
async fn a_burst_of_changes_is_told_as_the_newest_state() {
    let country = Country::new().await;
    let mut sidecar = country.door.enter(hello(0, &[]), "0a").await.unwrap();
    sidecar.take().await;
    country.apply(RESOURCES).await;
    for round in 0..5 {
        policy::revoke(&country.store, "38-1/1/post/study-status", "misused", "test").await.unwrap();
        if round < 4 {
            policy::restore(&country.store, "38-1/1/post/study-status", "in order", "test").await.unwrap();
        }
    }
    let newest = country.store.revision().await.unwrap();
    sidecar.catch_up(newest).await;
    let key = ResourceKey::new(chapar_proto::v1::ResourceKind::Grant as u32, "38-1/1/post/study-status");
    let grant = GrantResource::decode(sidecar.set.get(&key).unwrap()).unwrap();
    assert!(grant.revoked_at.is_some());
}

#[tokio::test]
async fn a_suspended_agency_is_turned_away_and_its_counterparty_told() {
    let country = Country::new().await;
    country.apply(RESOURCES).await;
    let suspended = country.authority.suspend("test", "ipm", "audit pending").await.unwrap();
    let mut sidecar = country.door.enter(hello(0, &[]), "0a").await.unwrap();
    sidecar.catch_up(suspended.revision).await;
    let key = ResourceKey::new(chapar_proto::v1::ResourceKind::Agency as u32, "ipm");
    let standing = chapar_proto::v1::AgencyResource::decode(sidecar.set.get(&key).unwrap()).unwrap();
    assert_eq!((standing.suspended, standing.reason.as_str()), (true, "audit pending"));

    country.authority.suspend("test", "post", "audit pending").await.unwrap();
    assert_eq!(reason(&sidecar.ending().await), "AGENCY_SUSPENDED");
}

#[tokio::test]
async fn streams_end_and_what_is_known_of_sidecars_is_kept_when_the_control_plane_stops() {
    let country = Country::new().await;
    let (_, revision) = country.apply(RESOURCES).await;
    let mut sidecar = country.door.enter(hello(0, &[]), "0a").await.unwrap();
    let manifest = sidecar.catch_up(revision).await;
    while country.distribution.recipients().list()[0].acknowledged_revision < manifest.revision {
        tokio::task::yield_now().await;
    }
    country.stopping.cancel();
    let status = sidecar.ending().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "CONTROL_PLANE_STOPPING"));
    country.distribution.stopped().await;

    let again = Store::open(&country.folder.path().join("chapar.db"), Clock::real()).await.unwrap();
    let known = again.reader().await.unwrap().sidecars().await.unwrap();
    assert_eq!((known[0].spiffe_id.as_str(), known[0].software_version.as_str()), (POST, "0.1.0"));
    assert_eq!((known[0].acknowledged_revision, known[0].policy_version), (manifest.revision, manifest.policy_version));
}

#[tokio::test]
async fn the_committed_state_is_the_one_that_streams_get() {
    let country = Country::new().await;
    country.apply(RESOURCES).await;
    let committed =
        DistributionState::new(load::facts(&country.store, "exchange.example", VALIDITY.valid_for()).await.unwrap(), None);
    let mut sidecar = country.door.enter(hello(0, &[]), "0a").await.unwrap();
    sidecar.catch_up(committed.revision()).await;
    assert_eq!(committed.resources_of("post"), sidecar.set);
}
