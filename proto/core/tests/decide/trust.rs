//! Whom a decision trusts: snapshots, certificates and agencies that have ended, were revoked, or stand badly.

use std::sync::Arc;

use chapar_core::policy::{
    AgencyStanding, CertificateRevocation, PeerCertificate, PolicySnapshot, Reason, Side, certificate_in_order,
};

use crate::world::{DAY_MS, NOW, World, agency, certificate, permits, refuses};

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
            let revocation = CertificateRevocation { at: NOW, reason: "key was stolen".to_owned() };
            world.parts.revocations.insert(format!("5e{of}"), revocation);
        };
        refuses(Reason::CertificateRevoked, revoke);
        for decision in World::both(revoke) {
            assert!(decision.unwrap_err().detail.contains("key was stolen"));
        }
    }
    permits(|world| {
        let other = CertificateRevocation { at: NOW, reason: String::new() };
        world.parts.revocations.insert("5eother".to_owned(), other);
    });
}

#[test]
fn a_suspended_agency_neither_asks_nor_answers() {
    for suspended in ["ipm", "cra"] {
        refuses(Reason::AgencySuspended, |world| {
            world.parts.agencies.insert(agency(suspended), AgencyStanding::Suspended("audit".to_owned()));
        });
    }
    permits(|world| {
        world.parts.agencies.insert(agency("post"), AgencyStanding::Suspended("audit".to_owned()));
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
fn a_certificate_is_judged_by_itself_too() {
    let mut parts = World::seen_by(Side::Provider).parts;
    parts.revocations.insert("5epost".to_owned(), CertificateRevocation { at: NOW, reason: "lost".to_owned() });
    parts.agencies.insert(agency("welfare"), AgencyStanding::Suspended("audit".to_owned()));
    let snapshot = PolicySnapshot::new(parts);
    let judge = |of: &str, now| certificate_in_order(&snapshot, &certificate(of), now).map_err(|refusal| refusal.reason);
    assert_eq!(judge("ipm", NOW), Ok(()));
    assert_eq!(judge("ipm", NOW.plus_ms(DAY_MS)), Err(Reason::CertificateExpired));
    assert_eq!(judge("post", NOW), Err(Reason::CertificateRevoked));
    assert_eq!(judge("welfare", NOW), Err(Reason::AgencySuspended));
}

#[test]
fn what_hangs_on_a_revoked_issuing_ca_is_refused_whatever_its_own_number() {
    let revocation = || CertificateRevocation { at: NOW, reason: "issuing-1 was retired".to_owned() };
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
