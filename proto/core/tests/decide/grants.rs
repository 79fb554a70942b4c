//! What a grant allows, from which instant to which, and which of several is used.

use std::sync::Arc;

use chapar_core::{
    passport::InquiryKind,
    policy::{Condition, Conditions, Grant, GrantRevocation, NotAfter, NotBefore, NotYetInForce, PurposeStated, Reason},
};

use crate::world::{DAY_MS, NOW, World, agency, grant, permits, refuses};

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
    permits(|world| world.grant().conditions.set(NotBefore(NOW)));
    refuses(Reason::GrantNotYetInForce, |world| world.grant().conditions.set(NotBefore(NOW.plus_ms(1))));
    refuses(Reason::GrantNotYetInForce, |world| world.grant().conditions.set(NotYetInForce));
}

#[test]
fn a_grant_ends_at_its_very_instant_and_the_permit_with_it() {
    let [consumer, provider] = World::both(|world| world.grant().conditions.set(NotAfter(NOW.plus_ms(1))));
    assert_eq!(consumer.unwrap().valid_until(), NOW.plus_ms(1));
    assert_eq!(provider.unwrap().valid_until(), NOW.plus_ms(1));
    refuses(Reason::GrantExpired, |world| world.grant().conditions.set(NotAfter(NOW)));
}

#[test]
fn a_revoked_grant_says_so_whatever_else_holds() {
    let end = || GrantRevocation { at: NOW.plus_ms(-1), reason: "resolution 39-1".to_owned() };
    refuses(Reason::GrantRevoked, |world| world.grant().conditions.set(end()));
    refuses(Reason::GrantRevoked, |world| {
        world.grant().conditions.set(end());
        world.grant().conditions.set(NotAfter(NOW.plus_ms(-5)));
        world.grant().conditions.set(NotYetInForce);
    });
    let [consumer, _] = World::both(|world| world.grant().conditions.set(end()));
    let refusal = consumer.unwrap_err();
    assert!(refusal.detail.contains("resolution 39-1"), "{refusal}");
    assert_eq!(refusal.grant.as_deref(), Some("38-1/1/ipm/shahkar"));
}

#[test]
fn of_several_grants_one_in_force_is_enough_in_any_order() {
    let with = |condition: Condition, name| Grant { conditions: Conditions::default().with(condition), ..grant(name) };
    let revoked = with(GrantRevocation { at: NOW, reason: String::new() }.into(), "a/1/ipm/shahkar");
    let expired = with(NotAfter(NOW).into(), "b/1/ipm/shahkar");
    let future = with(NotBefore(NOW.plus_ms(1)).into(), "c/1/ipm/shahkar");
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
fn a_grant_that_demands_a_purpose_allows_no_call_without_one() {
    for decision in World::both(|world| world.grant().conditions.set(PurposeStated)) {
        let refusal = decision.unwrap_err();
        assert_eq!((refusal.reason, refusal.grant.as_deref()), (Reason::PurposeMissing, Some("38-1/1/ipm/shahkar")));
    }
    for decision in World::both(|world| {
        world.grant().conditions.set(PurposeStated);
        world.purpose_stated = true;
    }) {
        assert!(decision.is_ok());
    }
}

#[test]
fn a_grant_that_demands_no_purpose_is_used_before_one_that_does() {
    for decision in World::both(|world| {
        world.grant().conditions.set(PurposeStated);
        world.parts.grants.push(grant("39-2/1/ipm/shahkar"));
    }) {
        assert_eq!(&*decision.unwrap().grant().name, "39-2/1/ipm/shahkar");
    }
}
