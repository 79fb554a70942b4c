#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use chapar_core::{subject::SubjectMaster, time::Timestamp};
use chapar_proto::v1::{Classification, EndpointResource, GrantResource, InquiryResource, ResourceKind, RevocationResource};
use prost::Message as _;

use crate::distribute::{DistributionState, Exclusion, Facts};

fn inquiry(provider: &str, name: &str, classification: Classification) -> InquiryResource {
    InquiryResource {
        provider: provider.into(),
        inquiry: name.into(),
        classification: classification.into(),
        ..InquiryResource::default()
    }
}

fn grant(consumer: &str, provider: &str, inquiry: &str) -> GrantResource {
    GrantResource {
        name: format!("38-1/1/{consumer}/{inquiry}"),
        consumer: consumer.into(),
        provider: provider.into(),
        inquiry: inquiry.into(),
        in_force: true,
        ..GrantResource::default()
    }
}

fn sidecar(agency: &str, name: &str) -> String {
    format!("spiffe://exchange.example/agency/{agency}/sidecar/{name}")
}

fn endpoint(agency: &str, name: &str, reserved_for: &[&str]) -> EndpointResource {
    EndpointResource {
        agency: agency.into(),
        spiffe_id: sidecar(agency, name),
        address: "192.0.2.1:15002".into(),
        reserved_for: reserved_for.iter().map(ToString::to_string).collect(),
        ..EndpointResource::default()
    }
}

fn revocation(serial: &str, spiffe_id: String) -> RevocationResource {
    RevocationResource { serial: serial.into(), spiffe_id, reason: "key lost".into(), ..RevocationResource::default() }
}

/// cra answers ipm (by a node of its own for central-bank, too) and once answered post; defence is classified throughout.
fn facts() -> Facts {
    Facts {
        revision: 7,
        trust_domain: "exchange.example".into(),
        agencies: ["cra", "ipm", "post", "central-bank", "defence"].map(|name| (name.to_owned(), None)).into(),
        inquiries: vec![
            inquiry("cra", "shahkar", Classification::Personal),
            inquiry("post", "postal-code", Classification::Ordinary),
            inquiry("defence", "secret", Classification::Classified),
            inquiry("defence", "unset", Classification::Unspecified),
        ],
        grants: vec![
            grant("ipm", "cra", "shahkar"),
            grant("central-bank", "cra", "shahkar"),
            GrantResource { revoked_at: Some(prost_types::Timestamp::default()), ..grant("post", "cra", "shahkar") },
        ],
        endpoints: vec![endpoint("cra", "main", &[]), endpoint("cra", "bank", &["central-bank"]), endpoint("post", "main", &[])],
        revocations: vec![
            revocation("01", sidecar("cra", "old")),
            revocation("02", sidecar("ipm", "old")),
            revocation("03", sidecar("post", "old")),
            revocation("04", "spiffe://exchange.example/control-plane".into()),
            revocation("05", "spiffe://exchange.example".into()),
            revocation("06", "spiffe://exchange.example/admin/sara".into()),
        ],
        ..Facts::default()
    }
}

fn names(facts: Facts, agency: &str, kind: ResourceKind) -> BTreeSet<String> {
    let set = DistributionState::new(facts, None).resources_of(agency);
    set.iter().filter(|(key, _)| key.kind == kind as u32).map(|(key, _)| key.name.to_string()).collect()
}

fn these(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn everyone_gets_the_settings_the_bundle_and_the_open_catalogue() {
    for agency in ["cra", "ipm", "defence", "not-registered"] {
        assert_eq!(names(facts(), agency, ResourceKind::Settings), these(&["settings"]));
        assert_eq!(names(facts(), agency, ResourceKind::Bundle), these(&["exchange.example"]));
        assert!(names(facts(), agency, ResourceKind::Inquiry).is_superset(&these(&["cra/shahkar", "post/postal-code"])));
    }
}

#[test]
fn a_classified_inquiry_is_listed_to_its_own_agency_only() {
    let own = names(facts(), "defence", ResourceKind::Inquiry);
    assert_eq!(own, these(&["cra/shahkar", "defence/secret", "defence/unset", "post/postal-code"]));
    for agency in ["cra", "ipm", "not-registered"] {
        assert_eq!(names(facts(), agency, ResourceKind::Inquiry), these(&["cra/shahkar", "post/postal-code"]));
    }
}

#[test]
fn a_grant_of_a_classified_inquiry_goes_to_nobody() {
    let mut facts = facts();
    facts.grants.push(grant("ipm", "defence", "secret"));
    for agency in ["ipm", "defence"] {
        let names = names(facts.clone(), agency, ResourceKind::Grant);
        assert!(!names.contains("38-1/1/ipm/secret"), "{agency}: {names:?}");
    }
}

#[test]
fn grants_go_to_their_two_parties_and_the_revoked_ones_too() {
    let of_provider = names(facts(), "cra", ResourceKind::Grant);
    let all = ["38-1/1/central-bank/shahkar", "38-1/1/ipm/shahkar", "38-1/1/post/shahkar"];
    assert_eq!(of_provider, these(&all));
    assert_eq!(names(facts(), "ipm", ResourceKind::Grant), these(&["38-1/1/ipm/shahkar"]));
    assert_eq!(names(facts(), "post", ResourceKind::Grant), these(&["38-1/1/post/shahkar"]));
    assert_eq!(names(facts(), "defence", ResourceKind::Grant), these(&[]));
}

#[test]
fn endpoints_go_only_to_who_may_ask_there() {
    assert_eq!(names(facts(), "ipm", ResourceKind::Endpoint), these(&[&sidecar("cra", "main")]));
    let reserved = these(&[&sidecar("cra", "main"), &sidecar("cra", "bank")]);
    assert_eq!(names(facts(), "central-bank", ResourceKind::Endpoint), reserved);
    // A revoked grant, the provider's side of a grant, and no grant at all reach nobody.
    for agency in ["post", "cra", "defence"] {
        assert_eq!(names(facts(), agency, ResourceKind::Endpoint), these(&[]), "{agency}");
    }
}

#[test]
fn a_grant_that_is_not_in_force_reaches_nobody() {
    let mut facts = facts();
    facts.grants[0].in_force = false;
    assert_eq!(names(facts, "ipm", ResourceKind::Endpoint), these(&[]));
}

#[test]
fn standing_and_revocations_are_those_of_the_parties() {
    assert_eq!(names(facts(), "ipm", ResourceKind::Agency), these(&["cra", "ipm"]));
    assert_eq!(names(facts(), "ipm", ResourceKind::Revocation), these(&["01", "02", "04", "05"]));
    assert_eq!(names(facts(), "cra", ResourceKind::Agency), these(&["central-bank", "cra", "ipm", "post"]));
    assert_eq!(names(facts(), "cra", ResourceKind::Revocation), these(&["01", "02", "03", "04", "05"]));
    assert_eq!(names(facts(), "defence", ResourceKind::Revocation), these(&["04", "05"]));
}

#[test]
fn nobody_vouches_for_an_agency_that_is_not_registered() {
    let mut facts = facts();
    facts.agencies.remove("cra");
    assert_eq!(names(facts, "ipm", ResourceKind::Agency), these(&["ipm"]));
}

/// The keys that an agency's grants bring, by grant.
fn keys(facts: Facts, agency: &str) -> BTreeMap<String, Vec<(u32, Vec<u8>)>> {
    let set = DistributionState::new(facts, None).resources_of(agency);
    let grants = set.iter().filter(|(key, _)| key.kind == ResourceKind::Grant as u32);
    let keys = grants.map(|(key, body)| {
        let keys = GrantResource::decode(body.bytes()).unwrap().subject_keys;
        (key.name.to_string(), keys.into_iter().map(|key| (key.id, key.key)).collect())
    });
    keys.collect()
}

#[test]
fn a_pairs_keys_go_to_its_two_agencies_alone() {
    let masters = [(4, 0), (5, 100)].map(|(id, from_ms)| {
        (Timestamp::from_unix_ms(from_ms), SubjectMaster::new(id, [u8::try_from(id).unwrap(); 32], "exchange.example"))
    });
    let of_pair = |consumer, provider| {
        let key = |(_, master): &(Timestamp, SubjectMaster)| {
            let key = master.key_of(consumer, provider);
            (key.id(), key.bytes().to_vec())
        };
        masters.iter().map(key).collect::<Vec<_>>()
    };
    let facts = Facts { subject_masters: masters.to_vec(), ..facts() };
    let [ipm, bank, post] = ["ipm", "central-bank", "post"].map(|consumer| format!("38-1/1/{consumer}/shahkar"));
    assert_eq!(keys(facts.clone(), "ipm"), [(ipm.clone(), of_pair("ipm", "cra"))].into());
    assert_eq!(keys(facts.clone(), "central-bank"), [(bank.clone(), of_pair("central-bank", "cra"))].into());
    assert_eq!(keys(facts.clone(), "post"), [(post.clone(), vec![])].into(), "a revoked grant needs none");
    let of_provider = [(ipm, of_pair("ipm", "cra")), (bank, of_pair("central-bank", "cra")), (post, vec![])];
    assert_eq!(keys(facts, "cra"), of_provider.into());
}

#[test]
fn the_same_facts_make_the_same_digest_in_any_order() {
    let one = DistributionState::new(facts(), None);
    let mut shuffled = facts();
    shuffled.grants.reverse();
    shuffled.inquiries.reverse();
    shuffled.endpoints.reverse();
    // Made upon the first: bodies are taken over, and nothing else changes.
    let other = DistributionState::new(shuffled, Some(&one));
    for agency in ["cra", "ipm", "defence"] {
        assert_eq!(one.set_of(agency), other.set_of(agency));
    }
    assert_ne!(one.set_of("cra").digest, one.set_of("ipm").digest);
}

#[test]
fn a_change_that_concerns_others_leaves_a_set_as_it_is() {
    let one = DistributionState::new(facts(), None);
    let mut changed = facts();
    changed.grants[0].revoked_at = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let other = DistributionState::new(changed, Some(&one));
    assert_eq!(one.set_of("central-bank").digest, other.set_of("central-bank").digest);
    let difference = one.set_of("ipm").set.difference(&other.set_of("ipm").set);
    let changed: Vec<_> = difference.changed.iter().map(|(key, _)| key.name.to_string()).collect();
    assert_eq!(changed, ["38-1/1/ipm/shahkar"]);
    let removed: Vec<_> = difference.removed.iter().map(|key| key.name.to_string()).collect();
    assert_eq!(removed, [sidecar("cra", "main")]);
}

#[test]
fn the_revoked_and_the_suspended_are_excluded_and_nobody_else() {
    let mut facts = facts();
    facts.agencies.insert("post".into(), Some("audit pending".into()));
    let state = DistributionState::new(facts, None);
    assert_eq!(state.exclusion("cra", "01"), Some(Exclusion::CertificateRevoked("key lost".into())));
    assert_eq!(state.exclusion("post", "0b"), Some(Exclusion::AgencySuspended("audit pending".into())));
    assert_eq!(state.exclusion("cra", "0b"), None);
}
