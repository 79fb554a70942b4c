//! Streams, by an ordinary gRPC client over loopback.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use chapar_core::snapshot::{Body, Difference, ResourceKey, signed_bytes};
use chapar_proto::v1::{
    Ack, GrantResource, RevocationResource, SnapshotManifest, Update, snapshot_service_client::SnapshotServiceClient,
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, transport::Server};

use super::*;
use crate::{
    api::{Caller, snapshot},
    clock::date_of_ms,
};

const POST: &str = "spiffe://exchange.example/agency/post/sidecar/main";
const NOW_MS: i64 = 1_700_000_000_000;
const NEVER_MS: i64 = i64::MAX;

/// A control plane's distribution with worlds made by hand.
struct Exchange {
    worlds: watch::Sender<Arc<World>>,
    distribution: Distribution,
    acknowledgements: Acknowledgements,
    public_key: Vec<u8>,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

fn facts(revision: u64) -> Facts {
    Facts {
        revision,
        policy_version: revision * 10,
        trust_domain: "exchange.example".into(),
        agencies: [("post".to_owned(), None), ("ipm".to_owned(), None)].into(),
        ..Facts::default()
    }
}

fn with_grant(facts: Facts, name: &str) -> Facts {
    let grant = GrantResource {
        name: name.into(),
        consumer: "post".into(),
        provider: "ipm".into(),
        in_force: true,
        ..GrantResource::default()
    };
    let grants = facts.grants.into_iter().chain([grant]).collect();
    Facts { grants, ..facts }
}

impl Exchange {
    async fn at(facts: Facts) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(date_of_ms(NOW_MS));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        let acknowledgements = Acknowledgements::default();
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public_key = key.public_key().as_ref().to_vec();
        let seal: Seal = Arc::new(move |bytes| {
            let signature = key.sign(&SystemRandom::new(), bytes)?;
            Ok((signature.as_ref().to_vec(), vec![b"chain".to_vec()]))
        });
        let (worlds, newest) = watch::channel(Arc::new(World::new(facts, None)));
        let metrics = Metrics::registered(&prometheus::Registry::new()).unwrap();
        let validity = config::Snapshot { valid_for_s: 100, refresh_s: 50 };
        let recipients = Recipients::new(Vec::new(), acknowledgements.clone(), clock.clone());
        let context = Context { store, clock, validity, seal, metrics };
        let distribution = Distribution { context, worlds: newest, recipients, streams: TaskTracker::new() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Server::builder()
            .layer(tonic::service::InterceptorLayer::new(caller_of_test))
            .add_service(snapshot::service(distribution.clone()));
        tokio::spawn(served.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { worlds, distribution, acknowledgements, public_key, address, _folder: folder }
    }

    fn turn(&self, facts: Facts) {
        let previous = Arc::clone(&self.worlds.borrow());
        self.worlds.send_replace(Arc::new(World::new(facts, Some(&previous))));
    }

    async fn sidecar(&self, hello: Hello) -> Result<Sidecar, Status> {
        self.sidecar_with(hello, "0a").await
    }

    async fn sidecar_with(&self, hello: Hello, serial: &str) -> Result<Sidecar, Status> {
        let mut client = SnapshotServiceClient::connect(format!("http://{}", self.address)).await.unwrap();
        let (requests, queue) = mpsc::channel(4);
        requests.send(FollowRequest { message: Some(Message::Hello(hello)) }).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(queue));
        request.metadata_mut().insert("test-serial", serial.parse().unwrap());
        let updates = client.follow(request).await?.into_inner();
        Ok(Sidecar { requests, updates, set: ResourceSet::default(), public_key: self.public_key.clone() })
    }

    async fn audited(&self) -> Vec<(String, String)> {
        let rows = sqlx::query_as("SELECT action, reason FROM audit ORDER BY id");
        rows.fetch_all(self.distribution.context.store.read()).await.unwrap()
    }
}

/// Stands for the listener: the caller is the post's sidecar.
fn caller_of_test(mut request: Request<()>) -> Result<Request<()>, Status> {
    let serial = request.metadata().get("test-serial").unwrap().to_str().unwrap().to_owned();
    let caller = if serial.is_empty() {
        Caller::Anonymous { address: "192.0.2.1:1".parse().unwrap() }
    } else {
        Caller::Sidecar(SidecarCaller {
            id: POST.parse().unwrap(),
            agency: "post".parse().unwrap(),
            serial,
            not_after_ms: NEVER_MS,
        })
    };
    request.extensions_mut().insert(caller);
    Ok(request)
}

/// What a sidecar does with updates, by the rules of the contract.
struct Sidecar {
    requests: mpsc::Sender<FollowRequest>,
    updates: Streaming<FollowResponse>,
    set: ResourceSet,
    public_key: Vec<u8>,
}

fn hello(revision: u64, digest: &[u8]) -> Hello {
    Hello { spiffe_id: POST.into(), revision, digest: digest.to_vec(), software_version: "0.1.0".into() }
}

impl Sidecar {
    /// Takes the next update and checks signature and digest.
    async fn receive(&mut self) -> (Update, SnapshotManifest) {
        let update = self.updates.message().await.unwrap().unwrap().update.unwrap();
        let signed = update.signed_manifest.clone().unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key)
            .verify(&signed_bytes(&signed.manifest), &signed.signature)
            .unwrap();
        assert_eq!(signed.signer_chain_der, [b"chain"]);
        let manifest = SnapshotManifest::decode(signed.manifest.as_slice()).unwrap();
        assert_eq!((manifest.trust_domain.as_str(), manifest.recipient.as_str()), ("exchange.example", POST));
        let key = |key: &chapar_proto::v1::ResourceKey| ResourceKey::new(u32::try_from(key.kind).unwrap(), &key.name);
        let changed = update.changed.iter();
        let difference = Difference {
            changed: changed.map(|changed| (key(changed.key.as_ref().unwrap()), Body::new(changed.body.clone()))).collect(),
            removed: update.removed.iter().map(key).collect(),
        };
        self.set = self.set.patched(update.full, difference).unwrap();
        assert_eq!(self.set.digest().to_vec(), manifest.digest);
        (update, manifest)
    }

    async fn answer(&self, revision: u64, accepted: bool) {
        let problem = if accepted { String::new() } else { "disk full".into() };
        let ack = Ack { revision, accepted, problem };
        self.requests.send(FollowRequest { message: Some(Message::Ack(ack)) }).await.unwrap();
    }

    async fn take(&mut self) -> (Update, SnapshotManifest) {
        let (update, manifest) = self.receive().await;
        self.answer(manifest.revision, true).await;
        (update, manifest)
    }

    async fn ending(&mut self) -> Status {
        loop {
            match self.updates.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended without a status"),
                Err(status) => return status,
            }
        }
    }
}

/// The stable reason in a status.
fn reason(status: &Status) -> String {
    let details = chapar_proto::rpc::Status::decode(status.details()).unwrap();
    chapar_proto::rpc::ErrorInfo::decode(details.details[0].value.as_slice()).unwrap().reason
}

#[tokio::test]
async fn a_new_sidecar_gets_the_whole_set_and_then_only_what_changed() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    let (update, manifest) = sidecar.take().await;
    assert!(update.full);
    assert_eq!((manifest.revision, manifest.policy_version), (1, 10));
    let (issued, until) = (manifest.issued_at.unwrap(), manifest.valid_until.unwrap());
    assert_eq!((issued.seconds, until.seconds - issued.seconds), (NOW_MS / 1_000, 100));

    exchange.turn(with_grant(facts(2), "g"));
    let (update, manifest) = sidecar.take().await;
    assert!(!update.full);
    let names: Vec<_> = update.changed.iter().map(|changed| changed.key.clone().unwrap().name).collect();
    assert_eq!(names, ["ipm", "g"]);
    assert_eq!(manifest.revision, 2);

    exchange.turn(facts(3));
    let (update, _) = sidecar.take().await;
    assert_eq!((update.changed.len(), update.removed.len()), (0, 2));
}

#[tokio::test]
async fn a_change_that_concerns_others_still_tells_the_new_policy_version() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    exchange.turn(facts(2));
    let (update, manifest) = sidecar.take().await;
    assert!(!update.full && update.changed.is_empty() && update.removed.is_empty());
    assert_eq!((manifest.revision, manifest.policy_version), (2, 20));
    exchange.acknowledgements.wait_for(2, Duration::from_secs(5)).await.unwrap();
    let status = &exchange.distribution.recipients().list()[0];
    assert_eq!((status.acknowledged_revision, status.policy_version, status.connected), (2, 20, true));
}

#[tokio::test]
async fn who_comes_back_with_a_known_set_gets_a_delta_and_with_an_unknown_one_the_whole() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    let (_, first) = sidecar.take().await;
    let held = sidecar.set.clone();
    exchange.turn(with_grant(facts(2), "g"));
    sidecar.take().await;

    let mut again = exchange.sidecar(hello(1, &first.digest)).await.unwrap();
    again.set = held;
    let (update, _) = again.take().await;
    assert!(!update.full);

    let mut unknown = exchange.sidecar(hello(1, &[7; 32])).await.unwrap();
    let (update, _) = unknown.take().await;
    assert!(update.full);
}

#[tokio::test]
async fn a_restarted_control_plane_need_not_send_what_is_held_already() {
    let exchange = Exchange::at(facts(1)).await;
    let present = exchange.distribution.world().set_of("post");
    let mut sidecar = exchange.sidecar(hello(9, &present.digest)).await.unwrap();
    sidecar.set = present.set.clone();
    let (update, manifest) = sidecar.take().await;
    assert!(!update.full && update.changed.is_empty());
    assert_eq!(manifest.revision, 9, "never below what is held");
}

#[tokio::test]
async fn a_slow_sidecar_gets_the_newest_state_and_no_backlog() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    let (_, first) = sidecar.receive().await;
    for revision in 2..=50 {
        exchange.turn(with_grant(facts(revision), &format!("g{revision}")));
    }
    sidecar.answer(first.revision, true).await;
    let (_, manifest) = sidecar.take().await;
    assert_eq!(manifest.revision, 50);
}

#[tokio::test]
async fn a_refused_delta_is_followed_by_the_whole_set_and_recorded() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    exchange.turn(with_grant(facts(2), "g"));
    let (update, manifest) = sidecar.receive().await;
    assert!(!update.full);
    sidecar.answer(manifest.revision, false).await;
    let (update, manifest) = sidecar.receive().await;
    assert!(update.full);
    assert_eq!(exchange.distribution.recipients().list()[0].problem, "disk full");
    assert_eq!(exchange.audited().await, [("snapshot.refuse".to_owned(), "SNAPSHOT_REFUSED".to_owned())]);
    assert_eq!(exchange.acknowledgements.behind(2), [POST]);

    // A refused whole set is not sent over and over: only the next change brings another.
    sidecar.answer(manifest.revision, false).await;
    exchange.turn(facts(3));
    let (update, manifest) = sidecar.take().await;
    assert!(update.full);
    assert_eq!(manifest.revision, 3);
}

#[tokio::test]
async fn a_second_stream_of_the_same_identity_ends_the_first() {
    let exchange = Exchange::at(facts(1)).await;
    let mut first = exchange.sidecar(hello(0, &[])).await.unwrap();
    first.take().await;
    let mut second = exchange.sidecar(hello(0, &[])).await.unwrap();
    second.take().await;
    let status = first.ending().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "STREAM_TAKEN_OVER"));
    exchange.turn(facts(2));
    assert_eq!(second.take().await.1.revision, 2);
}

#[tokio::test]
async fn anothers_snapshot_is_refused_and_audited() {
    let exchange = Exchange::at(facts(1)).await;
    let spiffe_id = "spiffe://exchange.example/agency/ipm/sidecar/main".to_owned();
    let status = exchange.sidecar(Hello { spiffe_id, ..hello(0, &[]) }).await.err().unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "FOREIGN_SNAPSHOT"));
    assert_eq!(exchange.audited().await, [("snapshot.follow".to_owned(), "FOREIGN_SNAPSHOT".to_owned())]);
}

#[tokio::test]
async fn nobody_without_a_certificate_follows() {
    let exchange = Exchange::at(facts(1)).await;
    let status = exchange.sidecar_with(hello(0, &[]), "").await.err().unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CERTIFICATE_MISSING"));
}

#[tokio::test]
async fn a_malformed_beginning_is_refused() {
    let exchange = Exchange::at(facts(1)).await;
    for (malformed, why) in [(hello(1, &[1; 31]), "digest"), (hello(u64::MAX, &[1; 32]), "revision")] {
        let status = exchange.sidecar(malformed).await.err().unwrap();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "HELLO_MALFORMED"), "{why}");
    }
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.receive().await;
    sidecar.answer(77, true).await;
    assert_eq!(reason(&sidecar.ending().await), "ACK_UNEXPECTED");
}

fn revoked(facts: Facts) -> Facts {
    let revocation = RevocationResource {
        serial: "0a".into(),
        spiffe_id: POST.into(),
        reason: "key lost".into(),
        ..RevocationResource::default()
    };
    Facts { revocations: vec![revocation], ..facts }
}

#[tokio::test]
async fn a_revoked_sidecar_is_told_by_its_snapshot_and_its_stream_ends() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    exchange.acknowledgements.wait_for(1, Duration::from_secs(5)).await.unwrap();
    exchange.turn(revoked(facts(2)));
    let (update, _) = sidecar.receive().await;
    assert_eq!(update.changed[0].key.clone().unwrap().name, "0a");
    let status = sidecar.ending().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "CERTIFICATE_REVOKED"));
    assert!(status.message().contains("key lost"), "{}", status.message());

    // Nor does it get in again; the same sidecar with another certificate does.
    let status = exchange.sidecar(hello(0, &[])).await.err().unwrap();
    assert_eq!(reason(&status), "CERTIFICATE_REVOKED");
    assert!(exchange.sidecar_with(hello(0, &[]), "0b").await.is_ok());
}

#[tokio::test]
async fn a_revoked_sidecar_that_owes_an_answer_is_ended_all_the_same() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.receive().await;
    exchange.turn(revoked(facts(2)));
    assert_eq!(reason(&sidecar.ending().await), "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn a_suspended_agencys_streams_end() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    let mut suspended = facts(2);
    suspended.agencies.insert("post".into(), Some("audit pending".into()));
    exchange.turn(suspended);
    let status = sidecar.ending().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "AGENCY_SUSPENDED"));
}

#[tokio::test]
async fn who_leaves_is_no_longer_connected() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    exchange.acknowledgements.wait_for(1, Duration::from_secs(5)).await.unwrap();
    assert_eq!(exchange.distribution.recipients().connected(), 1);
    drop(sidecar);
    // It counts as behind this revision for as long as it is connected.
    exchange.acknowledgements.wait_for(u64::MAX, Duration::from_secs(5)).await.unwrap();
    assert_eq!(exchange.distribution.recipients().connected(), 0);
}
