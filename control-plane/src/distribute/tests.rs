//! Streams, by an ordinary gRPC client over loopback.
#![allow(clippy::unwrap_used)]

mod store;
mod streams;

use std::net::SocketAddr;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey},
};
use chapar_core::snapshot::{Body, Difference, ResourceKey, ResourceSet, signed_bytes};
use chapar_core::time::Timestamp;
use chapar_proto::v1::{Ack, GrantResource, SnapshotManifest, Update, snapshot_service_client::SnapshotServiceClient};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, transport::Server};

use super::*;
use crate::{
    api::snapshot,
    caller::Caller,
    limit::{Budget, RateMetrics},
};

const POST: &str = "spiffe://exchange.example/agency/post/sidecar/main";
const NOW_MS: i64 = 1_700_000_000_000;

/// A control plane's distribution with states made by hand.
struct Exchange {
    states: watch::Sender<Arc<DistributionState>>,
    distribution: Distribution,
    acknowledgements: Acknowledgements,
    door: Door,
    _folder: tempfile::TempDir,
}

/// Where sidecars come in, and what they know to verify by.
struct Door {
    address: SocketAddr,
    public_key: Vec<u8>,
}

const VALIDITY: config::Snapshot = config::Snapshot { valid_for_s: 100, refresh_s: 50 };

/// Serves the distribution to the post's sidecar on loopback.
async fn serve(distribution: &Distribution) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = Server::builder()
        .layer(tonic::service::InterceptorLayer::new(caller_of_test))
        .add_service(snapshot::service(distribution.clone()));
    tokio::spawn(served.serve_with_incoming(TcpListenerStream::new(listener)));
    address
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
        let clock = Clock::wound(Timestamp::from_unix_ms(NOW_MS));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        let acknowledgements = Acknowledgements::default();
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public_key = key.public_key().as_ref().to_vec();
        let seal: Seal = Arc::new(move |bytes| {
            let signature = key.sign(&SystemRandom::new(), bytes)?;
            Ok((signature.as_ref().to_vec(), vec![b"chain".to_vec()]))
        });
        let (states, newest) = watch::channel(Arc::new(DistributionState::new(facts, None)));
        let metrics = Metrics::registered(&prometheus::Registry::new()).unwrap();
        let recipients = Recipients::new(Vec::new(), acknowledgements.clone(), clock.clone());
        let (repeats, opened) = (Repeats::new(store.clone(), 1_000), often(&clock));
        let context = Context { store, clock, validity: VALIDITY, seal, metrics, heads: None, repeats };
        let distribution = Distribution { context, states: newest, recipients, streams: TaskTracker::new(), opened };
        let door = Door { address: serve(&distribution).await, public_key };
        Self { states, distribution, acknowledgements, door, _folder: folder }
    }

    fn turn(&self, facts: Facts) {
        let previous = Arc::clone(&self.states.borrow());
        self.states.send_replace(Arc::new(DistributionState::new(facts, Some(&previous))));
    }

    async fn sidecar(&self, hello: Hello) -> Result<Sidecar, Status> {
        self.door.enter(hello, "0a").await
    }

    async fn audited(&self) -> Vec<(String, String)> {
        let rows = self.distribution.context.store.sql("SELECT action, reason FROM audit ORDER BY id").await.unwrap();
        rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
    }
}

impl Door {
    async fn enter(&self, hello: Hello, serial: &str) -> Result<Sidecar, Status> {
        let mut client = SnapshotServiceClient::connect(format!("http://{}", self.address)).await.unwrap();
        let (requests, queue) = mpsc::channel(4);
        requests.send(FollowRequest { message: Some(Message::Hello(hello)) }).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(queue));
        request.metadata_mut().insert("test-serial", serial.parse().unwrap());
        let updates = client.follow(request).await?.into_inner();
        Ok(Sidecar { requests, updates, set: ResourceSet::default(), public_key: self.public_key.clone() })
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
            not_after: Timestamp::MAX,
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
    Hello {
        spiffe_id: POST.into(),
        revision,
        digest: digest.to_vec(),
        software_version: "0.1.0".into(),
        reads_keys_of_pairs: true,
        ..Hello::default()
    }
}

impl Sidecar {
    /// Takes the next update and checks signature and digest.
    async fn receive(&mut self) -> (Update, SnapshotManifest) {
        let update = self.updates.message().await.unwrap().unwrap().update.unwrap();
        let signed = update.signed_manifest.clone().unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key)
            .verify(&signed_bytes(&signed.manifest), &signed.signature)
            .unwrap();
        assert!(!signed.signer_chain_der.is_empty());
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

/// So often that nobody notices.
fn often(clock: &Clock) -> Arc<Rate> {
    let metrics = RateMetrics::registered(&prometheus::Registry::new()).unwrap();
    Arc::new(Rate::new(clock, "shares.streamsPerMinute", "streams", Budget::new(1_000, 60), metrics))
}
