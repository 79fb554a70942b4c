//! The decision, reason by reason: what refuses, what does not, and at which instant that changes.

#![allow(clippy::unwrap_used)] // A test says by panicking what went wrong.

use std::{collections::HashMap, sync::Arc};

use chapar_core::{
    identity::{AgencyName, SpiffeId},
    policy::{
        Endpoint, Facts, Grant, GrantEnd, Inquiry, InquiryKey, InquiryKind, PeerCertificate, Permit, PolicySnapshot, Reason,
        Refusal, Revocation, RouteError, Side, SnapshotParts, Standing, certificate_in_order, decide,
    },
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);
const DAY_MS: i64 = 86_400_000;
const PATH: &str = "/ir.cra.v1.ShahkarService/Match";

fn agency(name: &str) -> AgencyName {
    name.parse().unwrap()
}

fn sidecar(of: &str) -> SpiffeId {
    format!("spiffe://exchange.example/agency/{of}/sidecar/main").parse().unwrap()
}

fn certificate(of: &str) -> PeerCertificate {
    PeerCertificate {
        spiffe_id: sidecar(of),
        serial: Arc::from(format!("5e{of}")),
        issuers: [Arc::from(format!("ca{of}"))].into(),
        not_after: NOW.plus_ms(DAY_MS),
    }
}

fn inquiry() -> Inquiry {
    Inquiry {
        key: InquiryKey { provider: agency("cra"), inquiry: Arc::from("shahkar") },
        grpc_service: Arc::from("ir.cra.v1.ShahkarService"),
        path: Arc::from(PATH),
        kind: InquiryKind::Verification,
        in_force: true,
        passport_version: Arc::from("aa"),
        subjects: Vec::new(),
    }
}

fn grant(name: &str) -> Grant {
    Grant {
        name: Arc::from(name),
        resolution: Arc::from("38-1"),
        clause: Arc::from("1"),
        consumer: agency("ipm"),
        inquiry: inquiry().key,
        not_before: None,
        not_after: None,
        in_force: true,
        revoked: None,
        purpose_required: false,
    }
}

/// A world in which ipm may ask cra, seen from one side; each test changes one thing.
struct World {
    side: Side,
    parts: SnapshotParts,
    own: PeerCertificate,
    peer: Option<PeerCertificate>,
    consumer: AgencyName,
    purpose_stated: bool,
    now: Timestamp,
}

impl World {
    fn seen_by(side: Side) -> Self {
        let (own, peer) = match side {
            Side::Consumer => ("ipm", "cra"),
            Side::Provider => ("cra", "ipm"),
        };
        let parts = SnapshotParts {
            trust_domain: "exchange.example".parse().unwrap(),
            recipient: sidecar(own),
            revision: 4,
            policy_version: 3,
            issued_at: NOW.plus_ms(-60_000),
            valid_until: NOW.plus_ms(DAY_MS),
            inquiries: vec![inquiry()],
            grants: vec![grant("38-1/1/ipm/shahkar")],
            endpoints: Vec::new(),
            revocations: HashMap::new(),
            agencies: HashMap::from([(agency("ipm"), Standing::Good), (agency("cra"), Standing::Good)]),
        };
        Self {
            side,
            parts,
            own: certificate(own),
            peer: Some(certificate(peer)),
            consumer: agency("ipm"),
            purpose_stated: false,
            now: NOW,
        }
    }

    fn both(change: impl Fn(&mut Self)) -> [Result<Permit, Refusal>; 2] {
        [Side::Consumer, Side::Provider].map(|side| {
            let mut world = Self::seen_by(side);
            change(&mut world);
            world.decision()
        })
    }

    fn grant(&mut self) -> &mut Grant {
        &mut self.parts.grants[0]
    }

    fn decision(self) -> Result<Permit, Refusal> {
        let key = self.parts.inquiries[0].key.clone();
        let snapshot = PolicySnapshot::new(self.parts);
        let facts = Facts {
            side: self.side,
            consumer: &self.consumer,
            offer: snapshot.inquiry(PATH, Some(key.provider.as_str())).unwrap(),
            own: &self.own,
            peer: self.peer.as_ref(),
            purpose_stated: self.purpose_stated,
            now: self.now,
        };
        decide(&snapshot, &facts)
    }
}

#[track_caller]
fn refuses(reason: Reason, change: impl Fn(&mut World)) {
    for decision in World::both(&change) {
        assert_eq!(decision.unwrap_err().reason, reason);
    }
}

#[track_caller]
fn permits(change: impl Fn(&mut World)) {
    for decision in World::both(&change) {
        decision.unwrap();
    }
}

#[test]
fn a_granted_inquiry_is_permitted_by_both_sides_and_the_permit_says_by_what() {
    for decision in World::both(|_| {}) {
        let permit = decision.unwrap();
        assert_eq!(&*permit.grant().name, "38-1/1/ipm/shahkar");
        assert_eq!((&*permit.grant().resolution, &*permit.inquiry().key.inquiry), ("38-1", "shahkar"));
        assert_eq!((permit.policy_version(), permit.valid_until()), (3, NOW.plus_ms(DAY_MS)));
    }
}

#[test]
fn without_a_grant_nothing_is_permitted() {
    refuses(Reason::NoGrant, |world| world.parts.grants.clear());
    refuses(Reason::NoGrant, |world| world.grant().consumer = agency("post"));
    refuses(Reason::NoGrant, |world| world.grant().inquiry.inquiry = Arc::from("other"));
    refuses(Reason::NoGrant, |world| world.grant().inquiry.provider = agency("post"));
}

#[test]
fn a_grant_of_the_other_direction_is_none() {
    refuses(Reason::NoGrant, |world| {
        world.grant().consumer = agency("cra");
        world.grant().inquiry.provider = agency("ipm");
    });
}

#[test]
fn a_grant_begins_at_its_very_instant() {
    permits(|world| world.grant().not_before = Some(NOW));
    refuses(Reason::GrantNotYetInForce, |world| world.grant().not_before = Some(NOW.plus_ms(1)));
    refuses(Reason::GrantNotYetInForce, |world| world.grant().in_force = false);
}

#[test]
fn a_grant_ends_at_its_very_instant_and_the_permit_with_it() {
    let [consumer, provider] = World::both(|world| world.grant().not_after = Some(NOW.plus_ms(1)));
    assert_eq!(consumer.unwrap().valid_until(), NOW.plus_ms(1));
    assert_eq!(provider.unwrap().valid_until(), NOW.plus_ms(1));
    refuses(Reason::GrantExpired, |world| world.grant().not_after = Some(NOW));
}

#[test]
fn a_revoked_grant_says_so_whatever_else_holds() {
    let end = || Some(GrantEnd { at: NOW.plus_ms(-1), reason: "resolution 39-1".to_owned() });
    refuses(Reason::GrantRevoked, |world| world.grant().revoked = end());
    refuses(Reason::GrantRevoked, |world| {
        world.grant().revoked = end();
        world.grant().not_after = Some(NOW.plus_ms(-5));
        world.grant().in_force = false;
    });
    let [consumer, _] = World::both(|world| world.grant().revoked = end());
    let refusal = consumer.unwrap_err();
    assert!(refusal.detail.contains("resolution 39-1"), "{refusal}");
    assert_eq!(refusal.grant.as_deref(), Some("38-1/1/ipm/shahkar"));
}

#[test]
fn of_several_grants_one_in_force_is_enough_in_any_order() {
    let revoked = Grant { revoked: Some(GrantEnd { at: NOW, reason: String::new() }), ..grant("a/1/ipm/shahkar") };
    let expired = Grant { not_after: Some(NOW), ..grant("b/1/ipm/shahkar") };
    let future = Grant { not_before: Some(NOW.plus_ms(1)), ..grant("c/1/ipm/shahkar") };
    let good = grant("d/1/ipm/shahkar");
    for grants in [
        vec![revoked.clone(), expired.clone(), future.clone(), good.clone()],
        vec![good, future.clone(), expired.clone(), revoked.clone()],
    ] {
        for decision in World::both(|world| world.parts.grants.clone_from(&grants)) {
            assert_eq!(&*decision.unwrap().grant().name, "d/1/ipm/shahkar");
        }
    }
    // None in force: the most telling reason is given, whatever the order.
    for (grants, told) in [
        (vec![expired.clone(), future.clone(), revoked.clone()], Reason::GrantRevoked),
        (vec![revoked, future.clone(), expired.clone()], Reason::GrantRevoked),
        (vec![expired.clone(), future.clone()], Reason::GrantNotYetInForce),
        (vec![future, expired.clone()], Reason::GrantNotYetInForce),
        (vec![expired.clone(), expired], Reason::GrantExpired),
    ] {
        refuses(told, |world| world.parts.grants.clone_from(&grants));
    }
}

#[test]
fn a_kind_that_cannot_be_exchanged_yet_is_refused_to_who_has_a_grant_and_to_nobody_else_told() {
    let pushed = |world: &mut World| {
        world.parts.inquiries[0].kind = InquiryKind::Push;
        world.parts.inquiries[0].in_force = false;
    };
    refuses(Reason::InquiryNotYetInForce, pushed);
    refuses(Reason::NoGrant, |world| {
        pushed(world);
        world.parts.grants.clear();
    });
}

#[test]
fn a_snapshot_is_good_up_to_its_limit_and_not_at_it() {
    permits(|world| world.parts.valid_until = NOW.plus_ms(1));
    refuses(Reason::SnapshotStale, |world| world.parts.valid_until = NOW);
    refuses(Reason::SnapshotStale, |world| {
        // Stale before everything else: nothing that it says can be believed any more.
        world.parts.valid_until = NOW;
        world.parts.grants.clear();
    });
}

#[test]
fn an_expired_certificate_of_either_side_refuses_at_its_very_instant() {
    permits(|world| world.own.not_after = NOW.plus_ms(1));
    refuses(Reason::CertificateExpired, |world| world.own.not_after = NOW);
    refuses(Reason::CertificateExpired, |world| {
        if let Some(peer) = &mut world.peer {
            peer.not_after = NOW;
        }
    });
    let [consumer, _] = World::both(|world| world.own.not_after = NOW.plus_ms(7));
    assert_eq!(consumer.unwrap().valid_until(), NOW.plus_ms(7));
}

#[test]
fn a_revoked_certificate_of_either_side_refuses_and_says_why() {
    for of in ["ipm", "cra"] {
        let revoke = |world: &mut World| {
            let revocation = Revocation { at: NOW, reason: "key was stolen".to_owned() };
            world.parts.revocations.insert(format!("5e{of}"), revocation);
        };
        refuses(Reason::CertificateRevoked, revoke);
        for decision in World::both(revoke) {
            assert!(decision.unwrap_err().detail.contains("key was stolen"));
        }
    }
    permits(|world| {
        let other = Revocation { at: NOW, reason: String::new() };
        world.parts.revocations.insert("5eother".to_owned(), other);
    });
}

#[test]
fn a_suspended_agency_neither_asks_nor_answers() {
    for suspended in ["ipm", "cra"] {
        refuses(Reason::AgencySuspended, |world| {
            world.parts.agencies.insert(agency(suspended), Standing::Suspended("audit".to_owned()));
        });
    }
    permits(|world| {
        world.parts.agencies.insert(agency("post"), Standing::Suspended("audit".to_owned()));
    });
}

#[test]
fn an_agency_that_the_snapshot_does_not_vouch_for_is_refused() {
    for absent in ["ipm", "cra"] {
        refuses(Reason::AgencySuspended, |world| {
            world.parts.agencies.remove(&agency(absent));
        });
    }
}

#[test]
fn a_sidecar_decides_only_for_its_own_agency() {
    let mut world = World::seen_by(Side::Provider);
    world.parts.recipient = sidecar("post");
    world.own = certificate("post");
    assert_eq!(world.decision().unwrap_err().reason, Reason::NotOfferedHere);

    let mut world = World::seen_by(Side::Consumer);
    world.parts.recipient = sidecar("post");
    world.own = certificate("post");
    assert_eq!(world.decision().unwrap_err().reason, Reason::PeerNotIdentified);
}

#[test]
fn before_a_connection_is_chosen_the_consumer_s_side_decides_without_a_peer() {
    let mut world = World::seen_by(Side::Consumer);
    world.peer = None;
    world.decision().unwrap();
}

#[test]
fn a_certificate_is_judged_by_itself_too() {
    let mut parts = World::seen_by(Side::Provider).parts;
    parts.revocations.insert("5epost".to_owned(), Revocation { at: NOW, reason: "lost".to_owned() });
    parts.agencies.insert(agency("welfare"), Standing::Suspended("audit".to_owned()));
    let snapshot = PolicySnapshot::new(parts);
    let judge = |of: &str, now| certificate_in_order(&snapshot, &certificate(of), now).map_err(|refusal| refusal.reason);
    assert_eq!(judge("ipm", NOW), Ok(()));
    assert_eq!(judge("ipm", NOW.plus_ms(DAY_MS)), Err(Reason::CertificateExpired));
    assert_eq!(judge("post", NOW), Err(Reason::CertificateRevoked));
    assert_eq!(judge("welfare", NOW), Err(Reason::AgencySuspended));
}

#[test]
fn what_hangs_on_a_revoked_issuing_ca_is_refused_whatever_its_own_number() {
    let revocation = || Revocation { at: NOW, reason: "issuing-1 was retired".to_owned() };
    for (revoked, refused) in [("caipm", true), ("cacra", true), ("capost", false)] {
        let decisions = World::both(|world| {
            world.parts.revocations.insert(revoked.to_owned(), revocation());
        });
        for decision in decisions {
            match decision {
                Ok(_) => assert!(!refused, "{revoked}"),
                Err(refusal) => {
                    assert!(refused, "{refusal}");
                    assert_eq!(refusal.reason, Reason::CertificateRevoked);
                    assert!(refusal.detail.contains(revoked) && refusal.detail.contains("issuing-1"), "{refusal}");
                }
            }
        }
    }
    // Any of several: a cross-certificate between the issuing CA and the root changes nothing.
    let mut parts = World::seen_by(Side::Provider).parts;
    parts.revocations.insert("ca2".to_owned(), revocation());
    let snapshot = PolicySnapshot::new(parts);
    let below = |issuers: &[&str]| {
        let issuers = issuers.iter().map(|issuer| Arc::from(*issuer)).collect();
        certificate_in_order(&snapshot, &PeerCertificate { issuers, ..certificate("ipm") }, NOW)
    };
    assert_eq!(below(&["ca1", "ca2"]).unwrap_err().reason, Reason::CertificateRevoked);
    below(&["ca1", "ca3"]).unwrap();
    below(&[]).unwrap();
}

#[test]
fn a_permit_lasts_until_the_first_of_everything_it_rests_on_ends() {
    for (at, shorten) in [
        (1, (|world: &mut World, end| world.parts.valid_until = end) as fn(&mut World, Timestamp)),
        (2, |world, end| world.own.not_after = end),
        (3, |world, end| world.peer.as_mut().unwrap().not_after = end),
        (4, |world, end| world.grant().not_after = Some(end)),
    ] {
        for decision in World::both(|world| shorten(world, NOW.plus_ms(at))) {
            assert_eq!(decision.unwrap().valid_until(), NOW.plus_ms(at));
        }
    }
}

#[test]
fn an_inquiry_is_found_by_its_path_and_where_several_offer_it_by_its_provider() {
    let mut parts = World::seen_by(Side::Consumer).parts;
    let other = Inquiry { key: InquiryKey { provider: agency("post"), ..inquiry().key }, ..inquiry() };
    let one = PolicySnapshot::new(parts.clone());
    assert_eq!(one.inquiry(PATH, None).unwrap().inquiry().key.provider, agency("cra"));
    assert_eq!(one.inquiry(PATH, Some("cra")).unwrap().inquiry().key.provider, agency("cra"));
    assert_eq!(one.inquiry(PATH, Some("post")).unwrap_err(), RouteError::Unknown);
    assert_eq!(one.inquiry("/x/y", None).unwrap_err(), RouteError::Unknown);
    parts.inquiries.push(other);
    let two = PolicySnapshot::new(parts);
    assert_eq!(two.inquiry(PATH, None).unwrap_err(), RouteError::Ambiguous);
    assert_eq!(two.inquiry(PATH, Some("post")).unwrap().inquiry().key.provider, agency("post"));
}

#[test]
fn endpoints_are_found_by_the_agency_in_their_identity() {
    let mut parts = World::seen_by(Side::Consumer).parts;
    parts.endpoints.push(Endpoint {
        spiffe_id: sidecar("cra"),
        address: Arc::from("10.0.0.1:15002"),
        grpc_services: [Arc::from("ir.cra.v1.ShahkarService")].into(),
        reserved_for: Vec::new(),
    });
    let snapshot = PolicySnapshot::new(parts);
    assert_eq!(snapshot.endpoints(&agency("cra")).len(), 1);
    assert!(snapshot.endpoints(&agency("ipm")).is_empty());
}

#[test]
fn a_grant_that_demands_a_purpose_allows_no_call_without_one() {
    for decision in World::both(|world| world.grant().purpose_required = true) {
        let refusal = decision.unwrap_err();
        assert_eq!((refusal.reason, refusal.grant.as_deref()), (Reason::PurposeMissing, Some("38-1/1/ipm/shahkar")));
    }
    for decision in World::both(|world| (world.grant().purpose_required, world.purpose_stated) = (true, true)) {
        assert!(decision.is_ok());
    }
}

#[test]
fn a_grant_that_demands_no_purpose_is_used_before_one_that_does() {
    for decision in World::both(|world| {
        world.grant().purpose_required = true;
        world.parts.grants.push(grant("39-2/1/ipm/shahkar"));
    }) {
        assert_eq!(&*decision.unwrap().grant().name, "39-2/1/ipm/shahkar");
    }
}
