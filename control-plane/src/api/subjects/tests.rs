#![allow(clippy::unwrap_used)]

use chapar_core::{subject::NormalId, time::Timestamp};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use tonic::Code;

use super::*;
use crate::{
    access::{Powers, Role},
    caller::SidecarCaller,
    clock::Clock,
    ledger::Metrics,
    policy::{self, ApplyOrder},
    resources::ResourceFile,
    subject::keys,
    subject_keys::SubjectKeyRing,
};

const TRUST_DOMAIN: &str = "exchange.example";
const NOW_MS: i64 = 1_700_000_000_000;
/// A made-up ID with a right check digit.
const ID: &str = "0013542419";

struct Exchange {
    _folder: tempfile::TempDir,
    store: Store,
    ledger: Ledger,
    clock: Clock,
    service: Subjects,
}

impl Exchange {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(NOW_MS));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        let metrics = Metrics::registered(&prometheus::Registry::new()).unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), store.clone(), metrics).unwrap();
        let recipients = Recipients::new(Vec::new(), crate::changes::Acknowledgements::default(), clock.clone());
        let trust_domain = TRUST_DOMAIN.to_owned();
        let service = Subjects { store: store.clone(), ledger: ledger.clone(), recipients, trust_domain, pairing_grace_s: 60 };
        let exchange = Self { _folder: folder, store, ledger, clock, service };
        exchange.rotate().await;
        exchange
    }

    async fn rotate(&self) {
        let mut tx = self.store.write().await.unwrap();
        keys::rotate(&mut tx, "test").await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The account of a call about the ID, hashed as a sidecar would now.
    async fn called(&self, number: u8, resolution: &str, purpose: &str) {
        let ring = SubjectKeyRing::load(&self.store, std::time::Duration::ZERO).await.unwrap();
        let key = ring.masters(TRUST_DOMAIN).next().unwrap().key_of("ipm", "cra");
        let hash = hash_of(&key.hash(&NormalId::from_text(ID).unwrap()).hash);
        let text = |key: &str, value: &str| attribute(key, Value::StringValue(value.into()));
        let attributes = vec![
            text("chapar.call_id", &format!("{number:032x}")),
            text("chapar.side", "consumer"),
            text("chapar.provider", "cra"),
            text("chapar.inquiry", "shahkar"),
            text("chapar.resolution", resolution),
            text("chapar.purpose", purpose),
            text("chapar.outcome", "served"),
            attribute("chapar.subject.key", Value::IntValue(key.id().into())),
            text("chapar.subject.hash", &hash),
        ];
        let start_time_unix_nano = u64::try_from(NOW_MS).unwrap() * 1_000_000 - u64::from(number) * 1_000_000;
        let span = Span {
            trace_id: vec![number; 16],
            span_id: vec![number; 8],
            start_time_unix_nano,
            end_time_unix_nano: start_time_unix_nano,
            attributes,
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let export = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let caller = SidecarCaller {
            id: "spiffe://exchange.example/agency/ipm/sidecar/main".parse().unwrap(),
            agency: "ipm".parse().unwrap(),
            serial: "0a".into(),
            not_after: Timestamp::MAX,
        };
        assert_eq!(self.ledger.ingest(&caller, export.into()).await.unwrap().stored, 1);
    }

    async fn ask(&self, caller: Caller, id: &str, reason: &str) -> Result<FindCallsResponse, Status> {
        let mut request =
            Request::new(FindCallsRequest { national_id: id.into(), reason: reason.into(), ..FindCallsRequest::default() });
        request.extensions_mut().insert(caller);
        self.service.find_calls(request).await.map(Response::into_inner)
    }

    async fn audited(&self) -> Vec<(String, String, String, String, String)> {
        let sql = "SELECT actor, action, object, reason, details FROM audit WHERE action LIKE 'subject.%' ORDER BY id";
        let rows = self.store.sql(sql).await.unwrap();
        let line = |row: Vec<String>| <[String; 5]>::try_from(row).unwrap();
        rows.into_iter()
            .map(line)
            .map(|[actor, action, object, reason, details]| (actor, action, object, reason, details))
            .collect()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn hash_of(hash: &[u8; 16]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn admin(name: &str) -> Caller {
    Caller::Admin {
        id: format!("spiffe://exchange.example/admin/{name}").parse().unwrap(),
        name: name.parse().unwrap(),
        serial: "0b".into(),
        not_after: Timestamp::MAX,
        powers: Powers::new([if name == "sara" { Role::Inspector } else { Role::Admin }], None),
    }
}

#[tokio::test]
async fn an_inspector_learns_who_asked_and_the_audit_keeps_the_hash_only() {
    let exchange = Exchange::open().await;
    exchange.called(2, "38-2", "").await;
    exchange.called(1, "38-1", "pension").await;
    let answer = exchange.ask(admin("sara"), "۰۰۱۳۵۴۲۴۱۹", "complaint 12").await.unwrap();
    let told: Vec<_> =
        answer.calls.iter().map(|call| (call.consumer.as_str(), call.resolution.as_str(), call.purpose.as_str())).collect();
    assert_eq!(told, [("ipm", "38-1", "pension"), ("ipm", "38-2", "")]);
    let audited = exchange.audited().await;
    assert_eq!(audited.len(), 1);
    let (actor, action, object, _, details) = &audited[0];
    assert_eq!((actor.as_str(), action.as_str()), ("spiffe://exchange.example/admin/sara", "subject.calls"));
    assert!(object.starts_with("1:") && object.len() == 34, "{object}");
    assert!(details.contains("complaint 12") && !details.contains(ID), "{details}");
}

#[tokio::test]
async fn old_records_stay_findable_when_the_key_changes() {
    let exchange = Exchange::open().await;
    exchange.called(1, "38-1", "").await;
    exchange.rotate().await;
    exchange.called(2, "38-1", "").await;
    let answer = exchange.ask(admin("sara"), ID, "complaint").await.unwrap();
    assert_eq!(answer.calls.len(), 2);
    assert_eq!(exchange.ask(admin("sara"), "10380284790", "complaint").await.unwrap().calls, []);
}

#[tokio::test]
async fn only_inspectors_ask_and_refusals_are_audited() {
    let exchange = Exchange::open().await;
    for (caller, code) in [
        (admin("ali"), Code::PermissionDenied),
        (Caller::Local { uid: 0, powers: Powers::default() }, Code::PermissionDenied),
        (Caller::Anonymous { address: "192.0.2.1:1".parse().unwrap() }, Code::Unauthenticated),
    ] {
        assert_eq!(exchange.ask(caller, ID, "curious").await.unwrap_err().code(), code);
    }
    let audited = exchange.audited().await;
    assert_eq!(audited.iter().map(|entry| entry.3.as_str()).collect::<Vec<_>>(), ["INSPECTOR_REQUIRED", "INSPECTOR_REQUIRED"]);
}

#[tokio::test]
async fn a_mistyped_id_or_no_reason_is_refused_without_telling_the_id() {
    let exchange = Exchange::open().await;
    for (id, reason) in [("0013542418", "complaint"), ("4711", "complaint"), (ID, " ")] {
        let status = exchange.ask(admin("sara"), id, reason).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(!format!("{status:?}").contains(id), "{status:?}");
    }
    assert!(exchange.audited().await.iter().all(|entry| !entry.4.contains("00135424")));
}

#[tokio::test]
async fn a_sealed_resolution_is_not_shown_until_its_day() {
    let exchange = Exchange::open().await;
    let text = "
apiVersion: chapar/v1
kind: Resolution
metadata: {name: 38-2}
spec: {title: {fa: م, en: R}, session: 38, date: 1401-10-20, sealedUntil: '2023-12-01T00:00:00Z'}
";
    let file = ResourceFile { name: "r.yaml".into(), content: text.into() };
    policy::apply(&exchange.store, ApplyOrder { files: vec![file], actor: "test".into(), ..ApplyOrder::default() })
        .await
        .unwrap();
    exchange.called(2, "38-2", "").await;
    exchange.called(1, "38-1", "").await;
    let resolutions = async || {
        let answer = exchange.ask(admin("sara"), ID, "complaint").await.unwrap();
        answer.calls.into_iter().map(|call| call.resolution).collect::<Vec<_>>()
    };
    assert_eq!(resolutions().await, ["38-1"]);
    exchange.clock.advance(std::time::Duration::from_secs(30 * 86_400));
    assert_eq!(resolutions().await, ["38-1", "38-2"]);
}
