//! An exchange of two agencies, seen from the gate of one of their sidecars.

use std::{collections::HashMap, rc::Rc, sync::Arc, time::Instant};

use chapar_core::{
    identity::SpiffeId,
    passport::{InquiryKind, SubjectKind},
    policy::{
        AgencyStanding, CertificateRevocation, Grant, GrantRevocation, Inquiry, InquiryKey, NotAfter, PeerCertificate,
        PolicySnapshot, PurposeStated, SnapshotParts,
    },
    record::CallRecord,
    subject::{SubjectField, SubjectKey, SubjectKeys},
    time::Timestamp,
};
use chapar_daemon::vital::Vital;
use chapar_relay::{
    Opening, Reply,
    head::with_head,
    hpack::{put_indexed, put_literal, put_static_name, statics},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::super::{Call, Gate};
use crate::{
    call::{Accounts, CallLimit, Caller, ContextInputs, StageContext},
    call_metrics::CallMetrics,
    clock::Clock,
    config,
    endpoints::EndpointSet,
    report::{Kept, Reporter},
    snapshot::Current,
    trust::{Bundle, Credentials, Trust},
};

/// The instant at which wound clocks begin: 2026-11-22T05:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix_ms(1_795_323_600_000);
pub(super) const HOUR_MS: i64 = 3_600_000;
/// The sidecar's own exchange.
pub(super) const EXCHANGE: &str = "exchange.test";
pub(super) const CONSUMER: &str = "asker";
pub(super) const PROVIDER: &str = "answerer";
pub(super) const SERVICE: &str = "test.v1.Echo";
pub(super) const PATH: &str = "/test.v1.Echo/Echo";

pub(super) fn id(agency: &str) -> SpiffeId {
    format!("spiffe://{EXCHANGE}/agency/{agency}/sidecar/main").parse().unwrap()
}

/// Issues certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = params();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn trust(&self, agency: &str, clock: &Clock) -> Trust {
        use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let mut params = params();
        params.subject_alt_names = vec![SanType::URI(id(agency).to_string().as_str().try_into().unwrap())];
        params.extended_key_usages = vec![ServerAuth, ClientAuth];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let credentials = Credentials { key: PrivatePkcs8KeyDer::from(key.serialize_der()), chain: vec![leaf.der().clone()] };
        let bundle = Bundle { trust_domain: "exchange.test".parse().unwrap(), roots: vec![self.0.der().clone()] };
        Trust::new(&credentials, bundle, clock.clone()).unwrap()
    }
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let date = |at: Timestamp| time::OffsetDateTime::from_unix_timestamp(at.unix_ms() / 1_000).unwrap();
    (params.not_before, params.not_after) = (date(NOW.plus_ms(-HOUR_MS)), date(NOW.plus_ms(24 * HOUR_MS)));
    params
}

/// One sidecar's gate and everything that it looks at.
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) current: Current,
    pub(super) reporter: Reporter,
    pub(super) folder: tempfile::TempDir,
    pub(super) call_metrics: CallMetrics,
    pub(super) call_limit: Arc<CallLimit>,
    pub(super) agency: &'static str,
    pub(super) began: Instant,
    pub(super) reply: Reply,
    pub(super) gate: Gate,
}

/// What a snapshot says beyond the usual.
#[derive(Clone, Default)]
pub(super) struct Changes {
    pub(super) revoked_grant: bool,
    pub(super) revoked_serial: Option<Arc<str>>,
    pub(super) grant_ends: Option<Timestamp>,
    pub(super) purpose_required: bool,
    pub(super) subject: bool,
    pub(super) withdrawn: bool,
    /// Keys of the pair: from when each is in force, and its number.
    pub(super) subject_keys: Vec<(Timestamp, u32)>,
    pub(super) no_shared_key: bool,
}

impl World {
    pub(super) fn new(agency: &'static str) -> Self {
        Self::with(agency, 16_384)
    }

    pub(super) fn with(agency: &'static str, calls_max: usize) -> Self {
        Self::under(&Authority::new(), agency, calls_max)
    }

    pub(super) fn under(authority: &Authority, agency: &'static str, calls_max: usize) -> Self {
        let world = Self::made(authority, agency, calls_max);
        world.in_force(&Changes::default());
        world
    }

    /// A sidecar that has heard nothing from the control plane yet.
    pub(super) fn without_snapshot(agency: &'static str) -> Self {
        Self::made(&Authority::new(), agency, 16_384)
    }

    fn made(authority: &Authority, agency: &'static str, calls_max: usize) -> Self {
        let (clock, current, folder) = (Clock::wound(NOW), Current::default(), tempfile::tempdir().unwrap());
        let reporter = Reporter::open(folder.path(), config::Spool::default(), 1, clock.clone(), &Vital::default()).unwrap();
        let trust = authority.trust(agency, &clock);
        let (call_metrics, call_limit, began) =
            (CallMetrics::new().unwrap(), Arc::new(CallLimit::new(calls_max)), Instant::now());
        let name = || agency.parse().unwrap();
        let accounts =
            Accounts::new(name(), reporter.writer().unwrap(), call_metrics.add_worker(), Arc::clone(&call_limit), began);
        let inputs = ContextInputs { agency: name(), clock: clock.clone(), trust, current: current.clone() };
        let gate = Gate::new(StageContext::new(inputs, Rc::new(accounts), began), EndpointSet::default());
        Self { clock, current, reporter, folder, call_metrics, call_limit, agency, began, reply: Reply::default(), gate }
    }

    /// Puts a snapshot in force.
    pub(super) fn in_force(&self, changes: &Changes) {
        self.current.replace(snapshot(self.agency, changes));
    }

    /// An application of the sidecar's own agency.
    pub(super) fn application(&self) -> Rc<Caller> {
        Rc::new(Caller::application("127.0.0.1:5"))
    }

    /// A call comes.
    pub(super) fn arrives(&mut self, caller: &Rc<Caller>, path: &str, fields: &[(&str, &str)]) -> Opening<Call> {
        let block = block(path, fields);
        let (gate, reply, now) = (&mut self.gate, &mut self.reply, self.began);
        *reply = Reply::default();
        with_head(&block, false, |head| gate.arrive(caller, head, now, reply)).unwrap()
    }

    /// A call of the agency's own application that goes on its way.
    pub(super) fn forwarded(&mut self, fields: &[(&str, &str)]) -> Call {
        let caller = self.application();
        match self.arrives(&caller, PATH, fields) {
            Opening::Forward { call, .. } => call,
            Opening::Refuse => panic!("refused: {:?}", self.record()),
        }
    }

    /// The next record of a call, as it was put down.
    pub(super) fn record(&self) -> Kept {
        self.gate.commit();
        self.reporter.take(1).pop().expect("a call has ended")
    }

    /// Nothing else went on record.
    pub(super) fn assert_nothing_more_on_record(&self) {
        self.gate.commit();
        assert!(self.reporter.take(1).is_empty());
    }
}

/// A record whose parties are these two agencies, for comparing.
pub(super) fn parties<'r>(record: &CallRecord<'r>) -> (&'r str, &'r str, &'r str) {
    (record.consumer, record.provider, record.inquiry)
}

/// The head of a request.
pub(super) fn block(path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    put_indexed(&mut block, statics::METHOD_POST);
    put_indexed(&mut block, statics::SCHEME_HTTP);
    put_static_name(&mut block, statics::PATH, path.as_bytes());
    put_static_name(&mut block, statics::AUTHORITY, b"localhost");
    if !fields.iter().any(|(name, _)| *name == "content-type") {
        put_static_name(&mut block, statics::CONTENT_TYPE, b"application/grpc");
    }
    put_literal(&mut block, b"te", b"trailers");
    for (name, value) in fields {
        put_literal(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

pub(super) fn certificate(agency: &str) -> PeerCertificate {
    PeerCertificate {
        spiffe_id: id(agency),
        serial: format!("5e{}", agency.len()).into(),
        issuers: [].into(),
        not_after: NOW.plus_ms(12 * HOUR_MS),
    }
}

pub(super) fn inquiry(method: &str, subject: bool) -> Inquiry {
    let subjects = if subject { vec![SubjectField { path: vec![1], kind: SubjectKind::Person }] } else { Vec::new() };
    Inquiry {
        key: InquiryKey { provider: PROVIDER.parse().unwrap(), inquiry: method.to_lowercase().into() },
        grpc_service: SERVICE.into(),
        path: format!("/{SERVICE}/{method}").into(),
        kind: InquiryKind::Data,
        in_force: true,
        passport_version: "00".into(),
        subjects,
    }
}

fn snapshot(recipient: &str, changes: &Changes) -> PolicySnapshot {
    let grant = Grant {
        name: "1/1/asker/echo".into(),
        resolution: "1".into(),
        clause: "1".into(),
        consumer: CONSUMER.parse().unwrap(),
        inquiry: inquiry("Echo", false).key,
        conditions: [
            changes.grant_ends.map(|end| NotAfter(end).into()),
            changes.revoked_grant.then(|| GrantRevocation { at: NOW, reason: "test".into() }.into()),
            changes.purpose_required.then(|| PurposeStated.into()),
        ]
        .into_iter()
        .flatten()
        .collect(),
        subject_keys: SubjectKeys::new(changes.subject_keys.iter().map(|(from, id)| (*from, SubjectKey::new(*id, [0x42; 32])))),
    };
    let revocation = |serial: &Arc<str>| (serial.to_string(), CertificateRevocation { at: NOW, reason: "stolen".into() });
    let mut inquiries = vec![inquiry("Secret", false)];
    if !changes.withdrawn {
        inquiries.push(inquiry("Echo", changes.subject));
    }
    PolicySnapshot::new(SnapshotParts {
        trust_domain: "exchange.test".parse().unwrap(),
        recipient: id(recipient),
        revision: 1,
        policy_version: 7,
        issued_at: NOW,
        valid_until: NOW.plus_ms(HOUR_MS),
        inquiries,
        grants: vec![grant],
        endpoints: Vec::new(),
        revocations: changes.revoked_serial.iter().map(revocation).collect(),
        agencies: HashMap::from([CONSUMER, PROVIDER].map(|agency| (agency.parse().unwrap(), AgencyStanding::Good))),
    })
    .with_subject_key((!changes.no_shared_key).then(|| SubjectKey::new(7, [0x42; 32])))
}
