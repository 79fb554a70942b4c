//! The decision, reason by reason: what refuses, what does not, and at which instant that changes.

#![allow(clippy::unwrap_used)] // A test says by panicking what went wrong.

mod exchanges;
mod grants;
mod trust;
mod world;

use std::sync::Arc;

use chapar_core::{
    policy::{Endpoint, Inquiry, InquiryKey, NotAfter, PolicySnapshot, Reason, RouteError, Side},
    time::Timestamp,
};

use crate::world::{NOW, PATH, World, agency, certificate, inquiry, sidecar};

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
fn a_permit_lasts_until_the_first_of_everything_it_rests_on_ends() {
    for (at, shorten) in [
        (1, (|world: &mut World, end| world.parts.valid_until = end) as fn(&mut World, Timestamp)),
        (2, |world, end| world.own.not_after = end),
        (3, |world, end| world.peer.as_mut().unwrap().not_after = end),
        (4, |world, end| world.grant().conditions.set(NotAfter(end))),
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
