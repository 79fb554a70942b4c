//! A snapshot's manifest and resources from the wire to the domain: what is whole is read, what has a gap is refused.

#![allow(clippy::unwrap_used)] // A test says by panicking what went wrong.

use chapar_core::{
    passport::{InquiryKind, SubjectKind},
    policy::{AgencyStanding, Condition, Conditions, Endpoint, Grant, Inquiry, NotBefore, PurposeStated},
    snapshot::{Body, ResourceKey, ResourceSet},
    subject::{SubjectField, SubjectKey},
    time::Timestamp,
};
use chapar_proto::{
    convert::snapshot::{Contents, ConvertError, Manifest, RENEWAL_JITTER_S_MAX_DEFAULT, Settings, Wire, resource_kind},
    v1,
};
use prost::Message;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 5_000_000 })
}

fn inquiry() -> v1::InquiryResource {
    v1::InquiryResource {
        provider: "cra".to_owned(),
        inquiry: "shahkar".to_owned(),
        grpc_service: "ir.cra.v1.ShahkarService".to_owned(),
        method: "Match".to_owned(),
        kind: v1::InquiryKind::Verification.into(),
        passport_version: "ab01".to_owned(),
        title: None,
        in_force: true,
        classification: v1::Classification::Personal.into(),
        subjects: vec![v1::SubjectField { path: vec![1, 2], kind: v1::SubjectKind::Person.into() }],
    }
}

fn grant() -> v1::GrantResource {
    v1::GrantResource {
        name: "38-1/1/ipm/shahkar".to_owned(),
        resolution: "38-1".to_owned(),
        clause: "1".to_owned(),
        consumer: "ipm".to_owned(),
        provider: "cra".to_owned(),
        inquiry: "shahkar".to_owned(),
        not_before: at(1),
        not_after: None,
        in_force: true,
        revoked_at: None,
        revocation_reason: "ignored".to_owned(),
        purpose_required: true,
        subject_keys: Vec::new(),
    }
}

fn endpoint() -> v1::EndpointResource {
    v1::EndpointResource {
        agency: "cra".to_owned(),
        spiffe_id: "spiffe://exchange.example/agency/cra/sidecar/main".to_owned(),
        address: "10.0.0.1:15002".to_owned(),
        grpc_services: vec!["ir.cra.v1.ShahkarService".to_owned()],
        reserved_for: vec!["ipm".to_owned()],
    }
}

fn manifest() -> v1::SnapshotManifest {
    v1::SnapshotManifest {
        trust_domain: "exchange.example".to_owned(),
        recipient: "spiffe://exchange.example/agency/ipm/sidecar/main".to_owned(),
        revision: 4,
        policy_version: 0,
        issued_at: at(10),
        valid_until: at(20),
        digest: vec![7; 32],
    }
}

/// What becomes of the message after `change`.
fn read<W, D: TryFrom<Wire<W>, Error = ConvertError>>(mut wire: W, change: impl FnOnce(&mut W)) -> Result<D, ConvertError> {
    change(&mut wire);
    D::try_from(Wire(wire))
}

fn read_inquiry(change: impl FnOnce(&mut v1::InquiryResource)) -> Result<Inquiry, ConvertError> {
    read(inquiry(), change)
}

fn read_grant(change: impl FnOnce(&mut v1::GrantResource)) -> Result<Grant, ConvertError> {
    read(grant(), change)
}

fn read_endpoint(change: impl FnOnce(&mut v1::EndpointResource)) -> Result<Endpoint, ConvertError> {
    read(endpoint(), change)
}

fn read_manifest(change: impl FnOnce(&mut v1::SnapshotManifest)) -> Result<Manifest, ConvertError> {
    let mut wire = manifest();
    change(&mut wire);
    Manifest::try_from(wire)
}

#[test]
fn whole_resources_are_read() {
    let inquiry = read_inquiry(|_| {}).unwrap();
    assert_eq!((&*inquiry.path, inquiry.kind), ("/ir.cra.v1.ShahkarService/Match", InquiryKind::Verification));
    let grant = read_grant(|_| {}).unwrap();
    let expected = Conditions::default().with(NotBefore(Timestamp::from_unix_ms(1_005))).with(PurposeStated);
    assert_eq!(grant.conditions, expected);
    let revoked = read_grant(|wire| wire.revoked_at = at(2)).unwrap();
    let Some(Condition::Revoked(revoked)) = revoked.conditions.iter().next() else { panic!("not revoked") };
    assert_eq!((revoked.at.unix_ms(), revoked.reason.as_str()), (2_005, "ignored"));
    assert_eq!(read_endpoint(|_| {}).unwrap().reserved_for.len(), 1);
    assert_eq!(read_manifest(|_| {}).unwrap().valid_until.unix_ms(), 20_005);
}

#[test]
fn every_kind_of_inquiry_has_its_meaning_and_unset_or_unknown_has_none() {
    for (wire, domain) in [
        (v1::InquiryKind::Verification, InquiryKind::Verification),
        (v1::InquiryKind::Data, InquiryKind::Data),
        (v1::InquiryKind::Push, InquiryKind::Push),
        (v1::InquiryKind::Broadcast, InquiryKind::Broadcast),
        (v1::InquiryKind::Bulk, InquiryKind::Bulk),
    ] {
        assert_eq!(read_inquiry(|inquiry| inquiry.kind = wire.into()).unwrap().kind, domain);
    }
    assert_eq!(read_inquiry(|wire| wire.kind = 0).unwrap_err(), ConvertError::Unset("kind"));
    assert_eq!(read_inquiry(|wire| wire.kind = 6).unwrap_err(), ConvertError::Unknown { field: "kind", number: 6 });
    assert_eq!(read_inquiry(|wire| wire.classification = 0).unwrap_err(), ConvertError::Unset("classification"));
    let unknown = read_inquiry(|wire| wire.classification = 9).unwrap_err();
    assert_eq!(unknown, ConvertError::Unknown { field: "classification", number: 9 });
    assert_eq!(resource_kind(8).unwrap_err(), ConvertError::Unknown { field: "kind", number: 8 });
    assert!(resource_kind(u32::MAX).is_err());
}

#[test]
fn an_inquiry_with_a_gap_is_refused() {
    for (field, clear) in [
        ("provider", (|wire| wire.provider.clear()) as fn(&mut v1::InquiryResource)),
        ("inquiry", |wire| wire.inquiry.clear()),
        ("grpc_service", |wire| wire.grpc_service.clear()),
        ("method", |wire| wire.method.clear()),
        ("passport_version", |wire| wire.passport_version.clear()),
    ] {
        assert_eq!(read_inquiry(clear).unwrap_err(), ConvertError::Unset(field));
    }
    assert!(matches!(read_inquiry(|wire| wire.provider = "CRA".to_owned()), Err(ConvertError::Name { .. })));
    assert!(matches!(read_inquiry(|wire| wire.passport_version = "AB".to_owned()), Err(ConvertError::Malformed { .. })));
    assert!(matches!(read_inquiry(|wire| wire.method = "a\nb".to_owned()), Err(ConvertError::Malformed { .. })));
}

#[test]
fn a_grant_with_a_gap_is_refused() {
    for (field, clear) in [
        ("name", (|wire| wire.name.clear()) as fn(&mut v1::GrantResource)),
        ("resolution", |wire| wire.resolution.clear()),
        ("clause", |wire| wire.clause.clear()),
        ("consumer", |wire| wire.consumer.clear()),
        ("provider", |wire| wire.provider.clear()),
        ("inquiry", |wire| wire.inquiry.clear()),
    ] {
        assert_eq!(read_grant(clear).unwrap_err(), ConvertError::Unset(field));
    }
    let wrong = |nanos, seconds| Some(prost_types::Timestamp { seconds, nanos });
    for time in [wrong(-1, 0), wrong(1_000_000_000, 0), wrong(0, i64::MAX), wrong(0, i64::MIN)] {
        assert!(matches!(read_grant(|wire| wire.not_after = time), Err(ConvertError::Malformed { field: "not_after", .. })));
    }
}

#[test]
fn an_endpoint_is_that_of_its_agency() {
    let other = "spiffe://exchange.example/agency/ipm/sidecar/main";
    assert!(matches!(read_endpoint(|wire| wire.spiffe_id = other.to_owned()), Err(ConvertError::Malformed { .. })));
    let admin = "spiffe://exchange.example/admin/sara";
    assert!(matches!(read_endpoint(|wire| wire.spiffe_id = admin.to_owned()), Err(ConvertError::Malformed { .. })));
    assert_eq!(read_endpoint(|wire| wire.address.clear()).unwrap_err(), ConvertError::Unset("address"));
    assert!(read_endpoint(|wire| wire.reserved_for = vec![String::new()]).is_err());
}

#[test]
fn a_manifest_with_a_gap_is_refused() {
    for (field, clear) in [
        ("trust_domain", (|wire| wire.trust_domain.clear()) as fn(&mut v1::SnapshotManifest)),
        ("recipient", |wire| wire.recipient.clear()),
        ("revision", |wire| wire.revision = 0),
        ("issued_at", |wire| wire.issued_at = None),
        ("valid_until", |wire| wire.valid_until = None),
    ] {
        assert_eq!(read_manifest(clear).unwrap_err(), ConvertError::Unset(field));
    }
    assert!(matches!(read_manifest(|wire| wire.digest = vec![0; 31]), Err(ConvertError::Malformed { field: "digest", .. })));
}

#[test]
fn settings_say_what_they_leave_open() {
    let settings = Settings::try_from(v1::SettingsResource::default()).unwrap();
    assert_eq!(settings, Settings { renewal_jitter_s_max: RENEWAL_JITTER_S_MAX_DEFAULT, ..Settings::default() });
    let wire = v1::SettingsResource { active_issuer: "0g".to_owned(), ..v1::SettingsResource::default() };
    assert!(Settings::try_from(wire).is_err());
}

#[test]
fn a_subject_key_is_whole_or_the_settings_are_refused() {
    let keyed = |id, key| v1::SettingsResource {
        subject_key: Some(v1::SubjectKey { id, key, in_force_from: None }),
        ..v1::SettingsResource::default()
    };
    let settings = Settings::try_from(keyed(3, vec![7; 32])).unwrap();
    assert_eq!(settings.subject_key, Some(SubjectKey::new(3, [7; 32])));
    assert_eq!(Settings::try_from(keyed(0, vec![7; 32])).unwrap_err(), ConvertError::Unset("subject_key.id"));
    assert!(matches!(Settings::try_from(keyed(3, vec![7; 31])), Err(ConvertError::Malformed { field: "subject_key.key", .. })));
}

#[test]
fn a_grant_brings_the_keys_of_its_pair_or_is_refused() {
    let key = |id, from| v1::SubjectKey { id, key: vec![7; 32], in_force_from: from };
    let from = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let keys = |keys: Vec<v1::SubjectKey>| read_grant(|wire| wire.subject_keys = keys).map(|grant| grant.subject_keys);
    let read = keys(vec![key(5, from(9)), key(4, None)]).unwrap();
    let at = |ms| read.at(Timestamp::from_unix_ms(ms)).map(SubjectKey::id);
    assert_eq!((at(8_999), at(9_000)), (Some(4), Some(5)));
    assert_eq!(keys(vec![key(0, None)]).unwrap_err(), ConvertError::Unset("subject_key.id"));
    assert!(keys(vec![v1::SubjectKey { key: vec![7; 31], ..key(1, None) }]).is_err());
    assert!(keys(Vec::new()).unwrap().is_empty());
}

#[test]
fn a_subject_field_has_a_path_and_a_kind() {
    let field = |path: &[u32], kind| v1::SubjectField { path: path.to_vec(), kind };
    let read = |field: v1::SubjectField| read_inquiry(|wire| wire.subjects = vec![field]).map(|inquiry| inquiry.subjects);
    assert_eq!(read(field(&[1, 2], 1)).unwrap(), [SubjectField { path: vec![1, 2], kind: SubjectKind::Person }]);
    assert_eq!(read(field(&[], 1)).unwrap_err(), ConvertError::Unset("subjects.path"));
    assert_eq!(read(field(&[1], 0)).unwrap_err(), ConvertError::Unset("subjects.kind"));
    assert_eq!(read(field(&[1], 4)).unwrap_err(), ConvertError::Unknown { field: "subjects.kind", number: 4 });
}

fn body<M: Message>(kind: v1::ResourceKind, name: &str, message: &M) -> (ResourceKey, Body) {
    (ResourceKey::new(kind as u32, name), Body::new(message.encode_to_vec()))
}

fn whole_set() -> ResourceSet {
    let bundle = v1::TrustBundle { trust_domain: "exchange.example".to_owned(), roots_der: vec![vec![1]] };
    let agency = v1::AgencyResource { agency: "cra".to_owned(), suspended: true, reason: "r".repeat(5_000) };
    let revocation = v1::RevocationResource { serial: "00ff".to_owned(), revoked_at: at(3), ..Default::default() };
    [
        body(v1::ResourceKind::Settings, "settings", &v1::SettingsResource::default()),
        body(
            v1::ResourceKind::Bundle,
            "exchange.example",
            &v1::BundleResource { bundle: Some(bundle), cross_certificates_der: Vec::new() },
        ),
        body(v1::ResourceKind::Agency, "cra", &agency),
        body(v1::ResourceKind::Inquiry, "cra/shahkar", &inquiry()),
        body(v1::ResourceKind::Grant, "38-1/1/ipm/shahkar", &grant()),
        body(v1::ResourceKind::Endpoint, &endpoint().spiffe_id, &endpoint()),
        body(v1::ResourceKind::Revocation, "00ff", &revocation),
    ]
    .into_iter()
    .collect()
}

fn contents(set: &ResourceSet) -> Result<Contents, ConvertError> {
    Contents::read(&read_manifest(|_| {}).unwrap(), set)
}

#[test]
fn a_whole_set_is_read() {
    let contents = contents(&whole_set()).unwrap();
    assert_eq!(contents.bundles.len(), 1);
    let snapshot = contents.snapshot();
    assert_eq!((snapshot.inquiries().count(), snapshot.all_grants().count(), snapshot.all_endpoints().count()), (1, 1, 1));
    assert!(snapshot.revocation("00ff").is_some());
    let Some(AgencyStanding::Suspended(reason)) = snapshot.standing(&"cra".parse().unwrap()) else { panic!("not suspended") };
    assert_eq!(reason.len(), 1_024);
}

#[test]
fn a_classified_inquiry_is_nobody_s_to_call() {
    let classified = v1::InquiryResource { classification: v1::Classification::Classified.into(), ..inquiry() };
    let mut set = whole_set();
    let (key, hidden) = body(v1::ResourceKind::Inquiry, "cra/shahkar", &classified);
    set.insert(key, hidden);
    assert_eq!(contents(&set).unwrap().snapshot().inquiries().count(), 0);
}

#[test]
fn every_resource_must_be_what_its_key_says() {
    for (key, held) in whole_set().iter() {
        let mut set = whole_set();
        set.insert(ResourceKey::new(key.kind, "other"), held.clone());
        let Err(ConvertError::In { problem, .. }) = contents(&set) else { panic!("{key} under another name was read") };
        assert!(matches!(*problem, ConvertError::KeyMismatch { .. }), "{problem}");
    }
}

#[test]
fn the_own_exchange_is_not_written_and_another_one_is_kept() {
    let grant =
        v1::GrantResource { consumer: "ipm@exchange.example".to_owned(), provider: "cra@other.example".to_owned(), ..grant() };
    let endpoint = v1::EndpointResource { reserved_for: vec!["ipm@exchange.example".to_owned()], ..endpoint() };
    let post = v1::AgencyResource { agency: "post@other.example".to_owned(), ..v1::AgencyResource::default() };
    let mut set = whole_set();
    for (key, body) in [
        body(v1::ResourceKind::Grant, &grant.name, &grant),
        body(v1::ResourceKind::Endpoint, &endpoint.spiffe_id, &endpoint),
        body(v1::ResourceKind::Agency, &post.agency, &post),
    ] {
        set.insert(key, body);
    }
    let snapshot = contents(&set).unwrap().snapshot();
    let read = snapshot.all_grants().next().unwrap();
    assert_eq!((read.consumer.as_str(), read.inquiry.provider.as_str()), ("ipm", "cra@other.example"));
    assert_eq!(snapshot.all_endpoints().next().unwrap().reserved_for, ["ipm".parse().unwrap()]);
    assert!(snapshot.standing(&"post@other.example".parse().unwrap()).is_some());
    assert_eq!(snapshot.standing(&"post".parse().unwrap()), None);
}

#[test]
fn an_endpoint_is_not_told_to_be_of_another_agency_than_its_identity_names() {
    for agency in ["ipm", "cra@other.example"] {
        let read = read_endpoint(|wire| wire.agency = agency.to_owned());
        assert!(matches!(read, Err(ConvertError::Malformed { field: "spiffe_id", .. })), "{agency}");
    }
    read_endpoint(|wire| wire.agency = "cra@exchange.example".to_owned()).unwrap();
}
