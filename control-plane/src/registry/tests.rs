#![allow(clippy::unwrap_used)]

mod drafts;
mod shares;
mod untraceable;

use std::path::Path;

use chapar_core::identity::{AgencyName, SpiffeId};
use chapar_core::time::Timestamp;
use tempfile::TempDir;

use self::shares::{register, submit};
use super::*;
use crate::{
    caller::SidecarCaller,
    clock::Clock,
    policy::{self, ApplyOrder, PolicyError},
    resources::ResourceFile,
    store::{PassportRow, PassportState, Store},
};

const SERVICE: &str = "ir.one.v1.PeopleService";

/// A service of one verification; `more` methods and `labels` change it.
struct Proto {
    system: &'static str,
    database: &'static str,
    classification: &'static str,
    inquiry: &'static str,
    more: &'static str,
    service: &'static str,
}

impl Default for Proto {
    fn default() -> Self {
        let (system, database) = ("one-people", "iranian-identity");
        Self { system, database, classification: "SENSITIVE", inquiry: "person-match", more: "", service: "PeopleService" }
    }
}

impl Proto {
    fn compile(&self) -> Vec<u8> {
        let Self { system, database, classification, inquiry, more, service } = self;
        let text = format!(
            r#"syntax = "proto3";
package ir.one.v1;
import "chapar/v1/passport.proto";
service {service} {{
  option (chapar.v1.service) = {{ id: "people", title: {{ fa: "اشخاص", en: "People" }}, base_database: "{database}",
    information_system: "{system}", classification: CLASSIFICATION_{classification} }};
  rpc Match(Question) returns (Answer) {{
    option (chapar.v1.inquiry) = {{ id: "{inquiry}", title: {{ fa: "انطباق", en: "Match" }}, kind: INQUIRY_KIND_VERIFICATION }};
  }}
  {more}
}}
message Question {{
  option (chapar.v1.document) = {{ title: {{ fa: "پرسش", en: "Question" }} }};
  string national_id = 1 [(chapar.v1.item) = {{ title: {{ fa: "کد ملی", en: "National ID" }}, subject: SUBJECT_KIND_PERSON }}];
}}
message Answer {{
  option (chapar.v1.document) = {{ title: {{ fa: "پاسخ", en: "Answer" }} }};
  bool match = 1 [(chapar.v1.item) = {{ title: {{ fa: "انطباق", en: "Match" }} }}];
}}
"#
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one.proto"), text).unwrap();
        let options = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
        let mut compiler = protox::Compiler::new([folder.path().to_owned(), options]).unwrap();
        compiler.include_imports(true).open_file("one.proto").unwrap();
        compiler.encode_file_descriptor_set()
    }
}

const SECOND: &str = r#"rpc Again(Question) returns (Answer) {
    option (chapar.v1.inquiry) = { id: "person-again", title: { fa: "دوباره", en: "Again" }, kind: INQUIRY_KIND_PUSH };
  }"#;

const POLICY: &str = "
apiVersion: chapar/v1
kind: Agency
metadata: {name: one}
spec: {title: {fa: یک, en: One}, roles: [provider]}
---
apiVersion: chapar/v1
kind: Agency
metadata: {name: two}
spec: {title: {fa: دو, en: Two}, roles: [provider, consumer]}
---
apiVersion: chapar/v1
kind: InformationSystem
metadata: {name: one-people}
spec: {title: {fa: سامانه, en: System}, agency: one}
---
apiVersion: chapar/v1
kind: InformationSystem
metadata: {name: two-people}
spec: {title: {fa: سامانه, en: System}, agency: two}
---
apiVersion: chapar/v1
kind: BaseDatabase
metadata: {name: tax}
spec: {title: {fa: مالیات, en: Tax}, custodian: two, classification: sensitive}
---
apiVersion: chapar/v1
kind: BaseDatabase
metadata: {name: secrets}
spec: {title: {fa: راز, en: Secrets}, classification: classified}
";

async fn apply(store: &Store, text: &str) -> Result<policy::Applied, PolicyError> {
    let file = ResourceFile { name: "f.yaml".into(), content: text.as_bytes().to_vec() };
    policy::apply(store, ApplyOrder { files: vec![file], actor: "test".into(), ..ApplyOrder::default() }).await
}

async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
    let store = Store::open(&folder.path().join("chapar.db"), clock).await.unwrap();
    apply(&store, POLICY).await.unwrap();
    (folder, store)
}

fn sidecar(agency: &str) -> SidecarCaller {
    let id: SpiffeId = format!("spiffe://exchange.example/agency/{agency}/sidecar/main").parse().unwrap();
    let agency: AgencyName = agency.parse().unwrap();
    SidecarCaller { id, agency, serial: "01".into(), not_after: Timestamp::MAX }
}

fn registration(set: &[u8]) -> Registration {
    let offer = Offer { grpc_service: SERVICE.into(), descriptor_set: set.to_vec() };
    Registration { address: "127.0.0.1:15002".into(), services: vec![offer], ..Registration::default() }
}

async fn submit_set(store: &Store, agency: &str, set: &[u8]) -> Result<Vec<PassportRow>, RegistryError> {
    submit(store, agency, "", set.to_vec(), false, "test").await
}

async fn approve_version(store: &Store, version: &str) -> Result<(Vec<PassportRow>, u64), RegistryError> {
    approve(store, &Approval { version: version[..12].into(), ..Approval::default() }, "test").await
}

fn which(version: &str) -> Which {
    Which { version: version.into(), ..Which::default() }
}

async fn approved(store: &Store, agency: &str, set: &[u8]) -> PassportRow {
    let rows = submit_set(store, agency, set).await.unwrap();
    approve_version(store, &rows[0].version).await.unwrap().0.remove(0)
}

async fn view(store: &Store) -> CatalogueView {
    catalogue_view(&mut *store.reader().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_passport_lives_from_draft_to_retired() {
    let (_folder, store) = store().await;
    let first = Proto::default().compile();
    let draft = submit(&store, "one", SERVICE, first.clone(), true, "test").await.unwrap().remove(0);
    assert_eq!((draft.state, draft.number), (PassportState::Draft, 1));
    let refused = approve_version(&store, &draft.version).await.unwrap_err();
    assert!(matches!(refused, RegistryError::State(_)), "{refused}");
    assert_eq!(submit_set(&store, "one", &first).await.unwrap()[0].state, PassportState::Submitted);
    let (rows, revision) = approve_version(&store, &draft.version).await.unwrap();
    assert_eq!((rows[0].state, revision), (PassportState::Approved, 2));
    assert_eq!(view(&store).await.inquiries.len(), 1);

    let second = Proto { more: SECOND, ..Proto::default() }.compile();
    let later = approved(&store, "one", &second).await;
    assert_eq!((later.state, later.number), (PassportState::Approved, 2));
    let mut reader = store.reader().await.unwrap();
    assert_eq!(find(&mut *reader, &draft.version, "", "").await.unwrap()[0].state, PassportState::Superseded);
    let shown = view(&store).await;
    let names: Vec<_> = shown.inquiries.iter().map(|inquiry| (inquiry.inquiry.as_str(), is_in_force(inquiry))).collect();
    assert_eq!(names, [("person-again", false), ("person-match", true)], "push is registered, not yet in force");

    retire(&store, &which(&later.version), "closed", "test").await.unwrap();
    assert!(view(&store).await.inquiries.is_empty());
    assert!(matches!(retire(&store, &which(&later.version), "closed", "test").await, Err(RegistryError::State(_))));
}

#[tokio::test]
async fn sidecars_are_told_which_field_names_the_data_subject() {
    let (_folder, store) = store().await;
    approved(&store, "one", &Proto::default().compile()).await;
    let told = view(&store).await.inquiry_resources()[0].subjects.clone();
    assert_eq!(told, [chapar_proto::v1::SubjectField { path: vec![1], kind: 1 }]);
    // As if it had been stored by a version that did not know of subjects.
    store.sql("UPDATE passport_inquiries SET subjects = NULL").await.unwrap();
    assert!(view(&store).await.inquiries[0].subjects.is_empty());
    fill_in_subjects(&store).await.unwrap();
    assert_eq!(view(&store).await.inquiry_resources()[0].subjects, told);
}

#[tokio::test]
async fn a_passport_that_breaks_others_is_refused_with_the_breaks() {
    let (_folder, store) = store().await;
    let wide = approved(&store, "one", &Proto { more: SECOND, ..Proto::default() }.compile()).await;
    let narrow = Proto::default().compile();
    let RegistryError::Incompatible { breaks, .. } = submit_set(&store, "one", &narrow).await.unwrap_err() else {
        panic!("taken")
    };
    assert_eq!(breaks[0].element, "ir.one.v1.PeopleService.Again");
    // Who accepts the breaks approves the draft.
    let draft = submit(&store, "one", "", narrow, true, "test").await.unwrap().remove(0);
    assert!(approve_version(&store, &draft.version).await.is_err());
    let danger = Approval { version: draft.version.clone(), danger_allow_breaks: true, ..Approval::default() };
    assert_eq!(approve(&store, &danger, "test").await.unwrap().0[0].state, PassportState::Approved);
    let mut reader = store.reader().await.unwrap();
    let listed = changes(&mut *reader, &wide.version, &which(&draft.version)).await.unwrap();
    assert!(listed.iter().any(|change| change.breaking));
    assert!(changes(&mut *reader, "", &which(&draft.version)).await.unwrap().is_empty(), "against itself in force");
}

#[tokio::test]
async fn a_passport_is_named_by_an_unambiguous_beginning() {
    let (_folder, store) = store().await;
    let row = approved(&store, "one", &Proto::default().compile()).await;
    let mut reader = store.reader().await.unwrap();
    assert_eq!(find(&mut *reader, &row.version[..8], "", "").await.unwrap().len(), 1);
    assert!(matches!(find(&mut *reader, &row.version[..7], "", "").await, Err(RegistryError::Argument(_))));
    assert!(matches!(find(&mut *reader, "XYZ12345", "", "").await, Err(RegistryError::Argument(_))));
    assert!(matches!(find(&mut *reader, "00000000", "", "").await, Err(RegistryError::PassportUnknown(_))));
    assert!(matches!(find(&mut *reader, &row.version, "ir.Other", "").await, Err(RegistryError::PassportUnknown(_))));
}

#[tokio::test]
async fn what_a_passport_refers_to_must_exist_when_it_is_submitted() {
    let (_folder, store) = store().await;
    for proto in [Proto { system: "nowhere", ..Proto::default() }, Proto { database: "nothing", ..Proto::default() }] {
        let set = proto.compile();
        assert!(submit(&store, "one", "", set.clone(), true, "test").await.is_ok(), "a draft may wait for it");
        let refused = submit_set(&store, "one", &set).await.unwrap_err();
        assert!(matches!(refused, RegistryError::Incomplete(..)), "{refused}");
    }
    assert!(matches!(submit_set(&store, "nobody", &Proto::default().compile()).await, Err(RegistryError::AgencyUnknown(_))));
    assert!(matches!(submit_set(&store, "one", b"junk").await, Err(RegistryError::Unreadable { .. })));
}

#[tokio::test]
async fn another_agencys_service_is_refused() {
    let (_folder, store) = store().await;
    let own = Proto::default().compile();
    let refused = register(&store, &sidecar("two"), registration(&own)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "ir.one.v1.PeopleService cannot be a service of two: its information system one-people is one's"
    );
    let of_custodian = Proto { database: "tax", ..Proto::default() }.compile();
    let refused = register(&store, &sidecar("one"), registration(&of_custodian)).await.unwrap_err();
    assert!(refused.to_string().ends_with("its base database tax is in the custody of two"), "{refused}");
    // The same gRPC service with a passport of its own is no other's.
    let theirs = Proto { system: "two-people", ..Proto::default() }.compile();
    register(&store, &sidecar("two"), registration(&theirs)).await.unwrap();
}

#[tokio::test]
async fn a_registered_service_is_exposed_once_its_passport_is_approved() {
    let (_folder, store) = store().await;
    let set = Proto::default().compile();
    let first = register(&store, &sidecar("one"), registration(&set)).await.unwrap();
    assert_eq!(first[0].state, OfferState::AwaitingApproval);
    assert!(view(&store).await.endpoints.is_empty());
    approved(&store, "one", &set).await;
    let endpoints = view(&store).await.endpoints;
    assert_eq!(
        (endpoints[0].address.as_str(), endpoints[0].grpc_services.as_slice()),
        ("127.0.0.1:15002", &[SERVICE.to_owned()][..])
    );
    let revision = store.revision().await.unwrap();
    assert_eq!(register(&store, &sidecar("one"), registration(&set)).await.unwrap()[0].state, OfferState::Exposed);
    assert_eq!(store.revision().await.unwrap(), revision, "the same again changes nothing");
    // A wider one waits, and goes on serving what is approved; a narrower one than in force is left out.
    let wide = Proto { more: SECOND, ..Proto::default() }.compile();
    assert_eq!(register(&store, &sidecar("one"), registration(&wide)).await.unwrap()[0].state, OfferState::AwaitingApproval);
    assert_eq!(view(&store).await.endpoints.len(), 1);
    approved(&store, "one", &wide).await;
    let narrow = register(&store, &sidecar("one"), registration(&set)).await.unwrap();
    assert_eq!(narrow[0].state, OfferState::Incompatible);
    assert!(!narrow[0].breaks.is_empty());
    assert!(view(&store).await.endpoints.is_empty());
    let withdrawn = Registration::default();
    assert!(register(&store, &sidecar("one"), withdrawn).await.unwrap().is_empty());
}

#[tokio::test]
async fn malformed_registrations_are_refused() {
    let (_folder, store) = store().await;
    let set = Proto::default().compile();
    for address in [
        "",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:70000",
        "localhost:+1",
        "0.0.0.0:1",
        "[::]:1",
        "::1:1",
        "[::1:1",
        "256.1.1.1:1",
        "a b:1",
        "-a:1",
        "http://a:1",
    ] {
        let wrong = Registration { address: address.into(), ..registration(&set) };
        let refused = register(&store, &sidecar("one"), wrong).await.unwrap_err();
        assert!(matches!(refused, RegistryError::Address(_)), "{address}: {refused}");
    }
    for address in ["localhost:1", "10.0.0.1:65535", "[::1]:15002", "sidecar.one.svc.cluster.local.:15002"] {
        let sound = Registration { address: address.into(), ..registration(&set) };
        register(&store, &sidecar("one"), sound).await.unwrap();
    }
    let mut twice = registration(&set);
    twice.services.push(twice.services[0].clone());
    assert!(matches!(register(&store, &sidecar("one"), twice).await, Err(RegistryError::Argument(_))));
    let other_service = Registration {
        services: vec![Offer { grpc_service: "ir.one.v1.Nothing".into(), descriptor_set: set.clone() }],
        ..registration(&set)
    };
    assert!(matches!(register(&store, &sidecar("one"), other_service).await, Err(RegistryError::Incomplete(..))));
    assert!(matches!(register(&store, &sidecar("none"), registration(&set)).await, Err(RegistryError::AgencyUnknown(_))));
}

const GRANT: &str = "
apiVersion: chapar/v1
kind: Resolution
metadata: {name: r1}
spec: {title: {fa: م, en: R}, session: 1, date: 1401-10-20, grants: [{clause: '1', consumers: [two], inquiries: [person-match]}]}
";

#[tokio::test]
async fn a_classified_inquiry_is_registered_but_never_granted() {
    for proto in [Proto { classification: "CLASSIFIED", ..Proto::default() }, Proto { database: "secrets", ..Proto::default() }] {
        let (_folder, store) = store().await;
        approved(&store, "one", &proto.compile()).await;
        assert_eq!(view(&store).await.inquiries[0].classification, chapar_core::passport::Classification::Classified);
        let PolicyError::Invalid(problems) = apply(&store, GRANT).await.unwrap_err() else { panic!("granted") };
        assert!(problems[0].description.contains("is classified"), "{}", problems[0]);
    }
}

#[tokio::test]
async fn a_grant_of_what_becomes_classified_is_told_to_nobody() {
    let (_folder, store) = store().await;
    apply(&store, GRANT).await.unwrap();
    approved(&store, "one", &Proto::default().compile()).await;
    let told = async || policy::grants_view(&mut *store.reader().await.unwrap()).await.unwrap().grants[0].resource().is_some();
    assert!(told().await);
    // A classified draft beside the passport in force changes nothing.
    let draft = Proto { classification: "CLASSIFIED", ..Proto::default() }.compile();
    let draft = submit(&store, "one", "", draft, true, "test").await.unwrap().remove(0);
    assert!(told().await);
    let danger = Approval { version: draft.version, danger_allow_breaks: true, ..Approval::default() };
    approve(&store, &danger, "test").await.unwrap();
    assert!(!told().await);
}

#[tokio::test]
async fn a_grant_means_the_first_provider_whatever_comes_later() {
    let (_folder, store) = store().await;
    apply(&store, GRANT).await.unwrap();
    let provider = async || policy::grants_view(&mut *store.reader().await.unwrap()).await.unwrap().grants[0].provider.clone();
    assert_eq!(provider().await, None, "it waits");
    let first = approved(&store, "one", &Proto::default().compile()).await;
    assert_eq!(provider().await.as_deref(), Some("one"));
    approved(&store, "two", &Proto { system: "two-people", ..Proto::default() }.compile()).await;
    let applied = apply(&store, GRANT).await.unwrap();
    assert!(applied.warnings.iter().any(|warning| warning.contains("one, two offer")), "{:?}", applied.warnings);
    retire(&store, &which(&first.version), "", "test").await.unwrap();
    assert_eq!(provider().await.as_deref(), Some("one"), "it never moves to another agency by itself");
}

#[tokio::test]
async fn a_name_of_an_inquiry_is_taken_once_for_one_provider() {
    let (_folder, store) = store().await;
    approved(&store, "one", &Proto::default().compile()).await;
    let other = submit_set(&store, "one", &Proto { service: "OtherService", ..Proto::default() }.compile()).await.unwrap();
    let refused = approve_version(&store, &other[0].version).await.unwrap_err();
    assert!(refused.to_string().contains("already offers the inquiry \"person-match\""), "{refused}");
}

#[tokio::test]
async fn what_a_passport_needs_cannot_be_deleted() {
    let (_folder, store) = store().await;
    approved(&store, "one", &Proto::default().compile()).await;
    for name in ["InformationSystem/one-people", "BaseDatabase/iranian-identity"] {
        let order = ApplyOrder { delete: vec![name.into()], actor: "test".into(), ..ApplyOrder::default() };
        let PolicyError::Referenced(needs) = policy::apply(&store, order).await.unwrap_err() else { panic!("deleted") };
        assert_eq!(needs[0].by, "passport ir.one.v1.PeopleService");
    }
}
