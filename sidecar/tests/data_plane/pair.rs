//! A consumer's and a provider's sidecar in one process, on snapshots made by hand.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use chapar_core::{
    identity::SpiffeId,
    passport::{InquiryKind, SubjectKind},
    policy::{
        AgencyStanding, CertificateRevocation, Endpoint, Grant, GrantRevocation, Inquiry, InquiryKey, NotAfter, PolicySnapshot,
        PurposeStated, SnapshotParts,
    },
    record::{CallRecord, Outcome},
    subject::{SubjectField, SubjectKey, SubjectKeys},
    time::Timestamp,
};
use chapar_daemon::vital::Vital;
use chapar_sidecar::{
    clock::Clock,
    config::Config,
    data_plane::{DataPlane, DataPlaneInputs},
    report::Reporter,
    snapshot::Current,
    trust::Trust,
};

use crate::{NOW, authority::Authority, client::Client, server};

pub const CONSUMER: &str = "asker";
pub const PROVIDER: &str = "answerer";
pub const SERVICE: &str = "test.v1.Echo";
/// Granted methods. `Secret` is approved and not granted.
const METHODS: [&str; 6] = ["Echo", "Size", "Hang", "Linger", "Only", "Forge"];

/// Longest wait for something that must happen; a test that passes never waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn id(agency: &str) -> SpiffeId {
    format!("spiffe://exchange.test/agency/{agency}/sidecar/main").parse().unwrap()
}

/// One sidecar.
pub struct Node {
    pub data_plane: DataPlane,
    pub trust: Trust,
    pub current: Current,
    pub reporter: Reporter,
    _folder: tempfile::TempDir,
}

pub struct Pair {
    pub authority: Authority,
    pub clock: Clock,
    pub consumer: Node,
    pub provider: Node,
    pub seen: Arc<server::Seen>,
    pub upstream: String,
}

/// What a snapshot says beyond the usual.
#[derive(Clone, Default)]
pub struct Changes {
    pub revoked_grant: Option<&'static str>,
    pub revoked_serial: Option<String>,
    pub endpoint: Option<String>,
    pub grant_ends: Option<Timestamp>,
    pub purpose_required: bool,
    /// Field 1 of every request names the data subject.
    pub names_subject: bool,
    pub revision: u64,
}

impl Pair {
    pub async fn start() -> Self {
        let (upstream, seen) = server::start().await;
        Self::with_upstreams(&[&upstream.to_string()], seen).await
    }

    /// With these upstreams, one of which is the server that `seen` belongs to.
    pub async fn with_upstreams(upstreams: &[&str], seen: Arc<server::Seen>) -> Self {
        let authority = Authority::new("exchange.test");
        let clock = Clock::wound(NOW);
        let upstream = upstreams.join("\", \"");
        let provider = node(&authority, &clock, PROVIDER, Some(&upstream)).await;
        let consumer = node(&authority, &clock, CONSUMER, None).await;
        let pair = Self { authority, clock, consumer, provider, seen, upstream };
        pair.both(&Changes::default());
        pair
    }

    /// Puts a snapshot in force on both sides.
    pub fn both(&self, changes: &Changes) {
        self.provider.current.replace(self.snapshot(PROVIDER, changes));
        self.consumer.current.replace(self.snapshot(CONSUMER, changes));
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.consumer.data_plane.addresses()["outbound"]).await
    }

    pub fn snapshot(&self, recipient: &str, changes: &Changes) -> PolicySnapshot {
        let inbound = self.provider.data_plane.addresses()["inbound"].clone();
        let inquiry = |method: &&str| Inquiry {
            key: key(method),
            grpc_service: SERVICE.into(),
            path: format!("/{SERVICE}/{method}").into(),
            kind: InquiryKind::Data,
            in_force: true,
            passport_version: "00".into(),
            subjects: changes.names_subject.then(subject).into_iter().collect(),
        };
        let grant = |method: &&str| Grant {
            name: format!("1/1/{CONSUMER}/{}", key(method).inquiry).into(),
            resolution: "1".into(),
            clause: "1".into(),
            consumer: CONSUMER.parse().unwrap(),
            inquiry: key(method),
            conditions: [
                changes.grant_ends.map(|end| NotAfter(end).into()),
                (changes.revoked_grant == Some(*method)).then(|| GrantRevocation { at: NOW, reason: "test".into() }.into()),
                changes.purpose_required.then(|| PurposeStated.into()),
            ]
            .into_iter()
            .flatten()
            .collect(),
            subject_keys: SubjectKeys::default(),
        };
        let revocation = |serial: &String| (serial.clone(), CertificateRevocation { at: NOW, reason: "stolen".into() });
        PolicySnapshot::new(SnapshotParts {
            trust_domain: "exchange.test".parse().unwrap(),
            recipient: id(recipient),
            revision: changes.revision,
            policy_version: 7,
            issued_at: NOW,
            valid_until: NOW.plus_ms(3_600_000),
            inquiries: METHODS.iter().chain(&["Secret"]).map(inquiry).collect(),
            grants: METHODS.iter().map(grant).collect(),
            endpoints: vec![Endpoint {
                spiffe_id: id(PROVIDER),
                address: changes.endpoint.clone().unwrap_or(inbound).into(),
                grpc_services: [SERVICE.into()].into(),
                reserved_for: vec![],
            }],
            revocations: changes.revoked_serial.iter().map(revocation).collect(),
            agencies: HashMap::from([CONSUMER, PROVIDER].map(|agency| (agency.parse().unwrap(), AgencyStanding::Good))),
        })
        .with_subject_key(Some(SubjectKey::new(7, [0x42; 32])))
    }
}

fn subject() -> SubjectField {
    SubjectField { path: vec![1], kind: SubjectKind::Person }
}

fn key(method: &str) -> InquiryKey {
    InquiryKey { provider: PROVIDER.parse().unwrap(), inquiry: method.to_lowercase().into() }
}

async fn node(authority: &Authority, clock: &Clock, agency: &str, upstream: Option<&str>) -> Node {
    let services = upstream.map_or_else(String::new, |upstream| {
        format!(
            "services: [{{name: {SERVICE}, descriptorSet: x, upstreams: [\"{upstream}\"], healthCheck: {{enabled: false}}}}]\n\
             advertisedAddress: \"127.0.0.1:1\"\n"
        )
    });
    let yaml = format!(
        "agency: {agency}\nstateDir: state\ncontrolPlane: {{address: \"127.0.0.1:1\"}}\n\
         listen: {{outbound: \"127.0.0.1:0\", inbound: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}}\n{services}"
    );
    let config = Config::parse(Path::new("test.yaml"), &yaml).unwrap();
    let uri = id(agency).to_string();
    let trust = Trust::new(&authority.issue(&[&uri]).credentials(), authority.bundle(), clock.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let vital = Vital::default();
    let (current, reporter) =
        (Current::default(), Reporter::open(folder.path(), config.spool, config.workers(), clock.clone(), &vital).unwrap());
    let inputs = DataPlaneInputs {
        clock: clock.clone(),
        trust: trust.clone(),
        current: current.clone(),
        reporter: reporter.clone(),
        vital,
    };
    let data_plane = DataPlane::start(&config, inputs).await.unwrap();
    Node { data_plane, trust, current, reporter, _folder: folder }
}

impl Node {
    /// The next record of a call.
    pub async fn record(&self) -> CallRecord<'static> {
        let taken = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(kept) = self.reporter.take(1).pop() {
                    // Lent for as long as the test's process lives.
                    return Box::leak(Box::new(kept)).record();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        taken.await.expect("a record comes")
    }

    /// The next record of a call that was refused, whatever others come before.
    pub async fn next_refused(&self) -> CallRecord<'static> {
        loop {
            let record = self.record().await;
            if record.outcome == Outcome::Refused {
                return record;
            }
        }
    }
}
