//! Agencies of one name in two exchanges are two agencies: neither gets what the other was granted.

use chapar_core::{
    identity::{Agency, SpiffeId},
    policy::{AgencyStanding, Endpoint, PolicySnapshot, Reason, Side, certificate_in_order},
};

use crate::world::{NOW, World, agency, certificate, permits, refuses, sidecar};

const OTHER: &str = "ipm@other.example";

fn other_sidecar() -> SpiffeId {
    "spiffe://other.example/agency/ipm/sidecar/main".parse().unwrap()
}

#[test]
fn a_grant_to_an_agency_of_another_exchange_is_not_one_to_the_own_agency_of_that_name() {
    refuses(Reason::NoGrant, |world| {
        world.grant().consumer = agency(OTHER);
        world.parts.agencies.insert(agency(OTHER), AgencyStanding::Good);
    });
    // Nor the other way round: the provider's sidecar tells them apart by whose certificate was shown.
    let mut world = World::seen_by(Side::Provider);
    world.parts.agencies.insert(agency(OTHER), AgencyStanding::Good);
    world.consumer = Agency::from_spiffe_id(&other_sidecar(), &world.parts.trust_domain).unwrap();
    assert_eq!(world.decision().unwrap_err().reason, Reason::NoGrant);
}

#[test]
fn an_inquiry_of_another_exchange_is_not_the_own_one_of_that_name() {
    let mut world = World::seen_by(Side::Provider);
    let foreign = agency("cra@other.example");
    world.parts.inquiries[0].key.provider = foreign.clone();
    world.grant().inquiry.provider = foreign.clone();
    world.parts.agencies.insert(foreign, AgencyStanding::Good);
    assert_eq!(world.decision().unwrap_err().reason, Reason::NotOfferedHere, "this sidecar speaks for the own cra");
}

#[test]
fn standing_is_that_of_the_agency_and_not_of_its_namesake() {
    let suspended = || AgencyStanding::Suspended("audit".to_owned());
    permits(|world| drop(world.parts.agencies.insert(agency(OTHER), suspended())));
    refuses(Reason::AgencySuspended, |world| drop(world.parts.agencies.insert(agency("ipm"), suspended())));
    let mut parts = World::seen_by(Side::Provider).parts;
    parts.agencies.insert(agency(OTHER), suspended());
    let snapshot = PolicySnapshot::new(parts);
    let mut other = certificate("ipm");
    other.spiffe_id = other_sidecar();
    certificate_in_order(&snapshot, &certificate("ipm"), NOW).unwrap();
    assert_eq!(certificate_in_order(&snapshot, &other, NOW).unwrap_err().reason, Reason::AgencySuspended);
}

#[test]
fn an_endpoint_is_that_of_the_agency_that_its_identity_names() {
    let endpoint = |spiffe_id| Endpoint {
        spiffe_id,
        address: "127.0.0.1:1".into(),
        grpc_services: ["ir.cra.v1.ShahkarService".into()].into(),
        reserved_for: Vec::new(),
    };
    let mut parts = World::seen_by(Side::Consumer).parts;
    parts.endpoints = vec![endpoint(sidecar("ipm")), endpoint(other_sidecar())];
    let snapshot = PolicySnapshot::new(parts);
    let found =
        |name: &str| snapshot.endpoints(&agency(name)).iter().map(|endpoint| endpoint.spiffe_id.clone()).collect::<Vec<_>>();
    assert_eq!((found("ipm"), found(OTHER)), (vec![sidecar("ipm")], vec![other_sidecar()]));
}
