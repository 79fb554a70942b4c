//! Which calls go on their way, and which running ones have to end.

use std::{rc::Rc, time::Duration};

use chapar_core::{
    policy::{Reason, Side},
    record::Outcome,
};
use chapar_relay::{Assignment, Flows, Gate as _, Opening, RequestHook, ResponseHook};

use super::world::{CONSUMER, Changes, EXCHANGE, HOUR_MS, NOW, PATH, PROVIDER, World, certificate, parties};
use crate::{
    call::Caller,
    endpoints::{Endpoint, EndpointKind},
    transport::FarEnd,
};

#[test]
fn a_permitted_call_goes_on_unread_with_its_deadline() {
    let mut world = World::new(CONSUMER);
    let caller = world.application();
    let opened = world.arrives(&caller, PATH, &[("grpc-timeout", "5S")]);
    let Opening::Forward { deadline, request, response, awaits_answer, .. } = opened else { panic!("refused") };
    assert_eq!(deadline, Some(world.began + Duration::from_secs(5)));
    assert_eq!((request, response, awaits_answer), (RequestHook::Pass, ResponseHook::Pass, false));
}

#[test]
fn a_path_may_have_a_query() {
    let mut world = World::new(CONSUMER);
    let caller = world.application();
    assert!(matches!(world.arrives(&caller, "/test.v1.Echo/Echo?a=b", &[]), Opening::Forward { .. }));
}

#[test]
fn what_is_refused_is_on_record_with_what_was_known_of_it() {
    let mut world = World::new(CONSUMER);
    let caller = world.application();
    for (path, fields, reason, known) in [
        ("/test.v1.Echo/Secret", &[][..], Reason::NoGrant, (CONSUMER, PROVIDER, "secret")),
        ("/test.v1.Echo/Nothing", &[], Reason::UnknownInquiry, (CONSUMER, "", "")),
        (PATH, &[("chapar-provider", "nobody")], Reason::UnknownInquiry, (CONSUMER, "", "")),
        ("/test.v1.Echo", &[], Reason::MalformedCall, ("", "", "")),
        (PATH, &[("grpc-timeout", "soon")], Reason::MalformedCall, ("", "", "")),
        (PATH, &[("grpc-timeout", "0n")], Reason::DeadlineExceeded, ("", "", "")),
        (PATH, &[("chapar-purpose", "%")], Reason::MalformedCall, ("", "", "")),
        (PATH, &[("chapar-purpose", "a"), ("chapar-purpose", "b")], Reason::MalformedCall, ("", "", "")),
        (PATH, &[("content-type", "text/html")], Reason::MalformedCall, ("", "", "")),
    ] {
        assert!(matches!(world.arrives(&caller, path, fields), Opening::Refuse), "{path} {fields:?}");
        let kept = world.record();
        let record = kept.record();
        assert_eq!((record.outcome, record.reason, record.path), (Outcome::Refused, Some(reason), path), "{fields:?}");
        assert_eq!((parties(&record), record.peer_address), (known, "127.0.0.1:5"), "{path} {fields:?}");
    }
    world.assert_nothing_more_on_record();
    assert_eq!(world.call_metrics.live(), 0);
}

#[test]
fn the_provider_s_side_takes_the_consumer_from_the_certificate_and_the_tracking_id_from_its_sidecar() {
    let mut world = World::new(PROVIDER);
    let caller = Rc::new(Caller::sidecar(certificate(CONSUMER), &EXCHANGE.parse().unwrap(), "10.0.0.1:9"));
    let id = "00112233445566778899aabbccddeeff";
    let Opening::Forward { call, .. } = world.arrives(&caller, PATH, &[("chapar-call-id", id)]) else { panic!("refused") };
    drop(call);
    let kept = world.record();
    let record = kept.record();
    assert_eq!((parties(&record), record.side), ((CONSUMER, PROVIDER, "echo"), Side::Provider));
    assert_eq!((record.call_id.to_string().as_str(), record.grant), (id, "1/1/asker/echo"));
    for forged in ["00112233445566778899AABBCCDDEEFF", "short", ""] {
        let _ = world.arrives(&caller, PATH, &[("chapar-call-id", forged)]);
        assert_ne!(world.record().record().call_id.to_string(), forged);
    }
}

#[test]
fn a_revoked_or_uninvited_peer_is_refused_on_an_open_connection() {
    let mut world = World::new(PROVIDER);
    let caller = Rc::new(Caller::sidecar(certificate(CONSUMER), &EXCHANGE.parse().unwrap(), "10.0.0.1:9"));
    assert!(matches!(world.arrives(&caller, PATH, &[]), Opening::Forward { .. }));
    let _ = world.record();
    world.in_force(&Changes { revoked_serial: Some(certificate(CONSUMER).serial), ..Changes::default() });
    assert!(matches!(world.arrives(&caller, PATH, &[]), Opening::Refuse));
    assert_eq!(world.record().record().reason, Some(Reason::CertificateRevoked));
    let mut nobody = certificate(CONSUMER);
    nobody.spiffe_id = "spiffe://exchange.test/admin/sara".parse().unwrap();
    assert!(matches!(
        world.arrives(&Rc::new(Caller::sidecar(nobody, &EXCHANGE.parse().unwrap(), "10.0.0.1:9")), PATH, &[]),
        Opening::Refuse
    ));
    assert_eq!(world.record().record().reason, Some(Reason::PeerNotIdentified));
}

#[test]
fn a_new_snapshot_counts_for_the_very_next_call() {
    let mut world = World::new(CONSUMER);
    let caller = world.application();
    drop(world.forwarded(&[]));
    let _ = world.record();
    world.in_force(&Changes { revoked_grant: true, ..Changes::default() });
    assert!(matches!(world.arrives(&caller, PATH, &[]), Opening::Refuse));
    assert_eq!(world.record().record().reason, Some(Reason::GrantRevoked));
}

#[test]
fn a_running_call_is_cut_when_the_policy_or_the_clock_ends_it_and_not_before() {
    type Change = fn(&mut World);
    let cuts: [(&str, Change, Option<Reason>); 6] = [
        ("nothing", |_| {}, None),
        ("the same policy again", |world| world.in_force(&Changes::default()), None),
        (
            "revocation",
            |world| world.in_force(&Changes { revoked_grant: true, ..Changes::default() }),
            Some(Reason::GrantRevoked),
        ),
        ("withdrawal", |world| world.in_force(&Changes { withdrawn: true, ..Changes::default() }), Some(Reason::UnknownInquiry)),
        ("time, almost", |world| world.clock.wind_to(NOW.plus_ms(HOUR_MS - 1)), None),
        ("time", |world| world.clock.wind_to(NOW.plus_ms(HOUR_MS)), Some(Reason::SnapshotStale)),
    ];
    for (what, change, reason) in cuts {
        let mut world = World::new(CONSUMER);
        let mut call = world.forwarded(&[]);
        change(&mut world);
        let later = world.began + Duration::from_millis(1);
        let goes_on = world.gate.recheck(&mut call, later, &mut world.reply);
        assert_eq!(goes_on, reason.is_none(), "{what}");
        world.gate.close(call, chapar_relay::Ending::Told, Flows::default(), later);
        assert_eq!(world.record().record().reason, reason, "{what}");
    }
}

#[test]
fn a_grant_that_ends_takes_its_running_calls_with_it() {
    let mut world = World::new(CONSUMER);
    world.in_force(&Changes { grant_ends: Some(NOW.plus_ms(50)), ..Changes::default() });
    let mut call = world.forwarded(&[]);
    world.clock.wind_to(NOW.plus_ms(49));
    assert!(world.gate.recheck(&mut call, world.began + Duration::from_millis(49), &mut world.reply));
    world.clock.wind_to(NOW.plus_ms(50));
    assert!(!world.gate.recheck(&mut call, world.began + Duration::from_millis(50), &mut world.reply));
    drop(call);
    assert_eq!(world.record().record().reason, Some(Reason::GrantExpired));
}

#[test]
fn a_link_whose_peer_is_void_takes_no_call_and_a_peer_that_expires_ends_it() {
    let mut world = World::new(CONSUMER);
    let mut call = world.forwarded(&[]);
    let endpoint = Endpoint::of_tests(EndpointKind::Peer, "10.0.0.2:15002");
    let revoked = certificate(PROVIDER);
    world.in_force(&Changes { revoked_serial: Some(revoked.serial.clone()), ..Changes::default() });
    world.gate.refresh(world.began);
    let far_end = Rc::new(FarEnd::Sidecar(revoked));
    assert_eq!(world.gate.assigned(&mut call, &endpoint, &far_end, world.began), Assignment::Void);

    let mut renewed = certificate(PROVIDER);
    (renewed.serial, renewed.not_after) = ("aa".into(), NOW.plus_ms(100));
    let far_end = Rc::new(FarEnd::Sidecar(renewed));
    assert_eq!(world.gate.assigned(&mut call, &endpoint, &far_end, world.began), Assignment::Go);
    world.clock.wind_to(NOW.plus_ms(100));
    assert!(!world.gate.recheck(&mut call, world.began + Duration::from_millis(100), &mut world.reply));
    drop(call);
    let kept = world.record();
    let record = kept.record();
    assert_eq!((record.reason, record.server_address), (Some(Reason::CertificateExpired), "10.0.0.2:15002"));
}

#[test]
fn no_more_calls_are_taken_than_may_be_under_way_and_none_when_draining() {
    let mut world = World::with(CONSUMER, 2);
    let caller = world.application();
    let held = [world.forwarded(&[]), world.forwarded(&[])];
    assert!(matches!(world.arrives(&caller, PATH, &[]), Opening::Refuse));
    assert_eq!(world.record().record().reason, Some(Reason::Overloaded));
    assert_eq!(world.call_metrics.live(), 2);
    drop(held);
    drop(world.forwarded(&[]));
    world.call_limit.close();
    assert!(matches!(world.arrives(&caller, PATH, &[]), Opening::Refuse));
    world.gate.commit();
    let reasons: Vec<_> = world.reporter.take(10).iter().map(|kept| kept.record().reason).collect();
    assert_eq!(reasons, [None, None, None, Some(Reason::Draining)]);
}

#[test]
fn a_purpose_is_asked_for_where_the_grant_demands_it_and_is_on_record() {
    let mut world = World::new(CONSUMER);
    let caller = world.application();
    world.in_force(&Changes { purpose_required: true, ..Changes::default() });
    assert!(matches!(world.arrives(&caller, PATH, &[]), Opening::Refuse));
    assert_eq!(world.record().record().reason, Some(Reason::PurposeMissing));
    let mut call = world.forwarded(&[("chapar-purpose", "%D8%A8%DB%8C%D9%85%D9%87")]);
    world.in_force(&Changes { purpose_required: true, ..Changes::default() });
    assert!(world.gate.recheck(&mut call, world.began, &mut world.reply), "the purpose still stands");
    drop(call);
    assert_eq!(world.record().record().purpose, "بیمه");
}

#[test]
fn no_call_goes_to_a_far_end_that_is_not_of_the_endpoint_s_kind() {
    let mut world = World::new(CONSUMER);
    let mut call = world.forwarded(&[]);
    for (kind, far_end) in
        [(EndpointKind::Peer, FarEnd::OwnServer), (EndpointKind::Upstream, FarEnd::Sidecar(certificate(PROVIDER)))]
    {
        let endpoint = Endpoint::of_tests(kind, "10.0.0.2:15002");
        assert_eq!(world.gate.assigned(&mut call, &endpoint, &Rc::new(far_end), world.began), Assignment::Void);
    }
}

#[test]
fn nothing_is_decided_without_a_snapshot() {
    let mut world = World::without_snapshot(CONSUMER);
    let caller = world.application();
    assert!(matches!(world.arrives(&caller, PATH, &[]), Opening::Refuse));
    assert_eq!(world.record().record().reason, Some(Reason::SnapshotMissing));
}
