//! How calls end on record, and what their callers are told when the relay ends them.

use std::{rc::Rc, time::Duration};

use chapar_core::{
    policy::{GrpcCode, Reason},
    record::{Flow, Outcome},
};
use chapar_relay::{Assignment, Cause, Ending, Flows, Gate as _, Transformed, frame::ErrorCode};

use super::{
    super::Gate,
    world::{CONSUMER, PROVIDER, World, certificate},
};
use crate::{
    endpoints::{Endpoint, EndpointKind},
    transport::{DialError, FarEnd},
};

#[test]
fn every_ending_is_on_record_as_what_it_was() {
    let answered = |grpc_status, refused| Ending::Answered { http_status: 200, grpc_status, refused };
    let (served, refused, failed) = (Outcome::Served, Outcome::Refused, Outcome::Failed);
    for (ending, outcome, reason, status) in [
        (answered(Some(0), None), served, None, GrpcCode::Ok),
        (answered(Some(5), None), served, None, GrpcCode::NotFound),
        (answered(None, None), served, None, GrpcCode::Unknown),
        (answered(Some(7), Some(&b"NO_GRANT"[..])), refused, Some(Reason::NoGrant), GrpcCode::PermissionDenied),
        (answered(Some(7), Some(b"no such reason")), served, None, GrpcCode::PermissionDenied),
        (Ending::Answered { http_status: 503, grpc_status: None, refused: None }, served, None, GrpcCode::Unavailable),
        (Ending::Reset { code: ErrorCode::CANCEL }, failed, None, GrpcCode::Cancelled),
        (Ending::Abandoned, Outcome::Abandoned, None, GrpcCode::Cancelled),
    ] {
        let mut world = World::new(CONSUMER);
        let call = world.forwarded(&[]);
        let request = chapar_relay::Flow { messages: 1, bytes: 105 };
        let flows = Flows { request, response: chapar_relay::Flow { messages: 2, bytes: 300 } };
        world.gate.close(call, ending, flows, world.began + Duration::from_micros(1_500));
        let kept = world.record();
        let record = kept.record();
        assert_eq!((record.outcome, record.reason, record.status), (outcome, reason, status), "{ending:?}");
        assert_eq!((record.request, record.response), (Flow { messages: 1, bytes: 105 }, Flow { messages: 2, bytes: 300 }));
        assert_eq!((record.duration_us, record.policy_version), (1_500, 7));
        assert_eq!((record.grant, record.resolution, record.clause, record.kind), ("1/1/asker/echo", "1", "1", "data"));
    }
}

#[test]
fn what_the_relay_ends_is_on_record_with_the_reason_that_the_caller_is_told() {
    let peer = Endpoint::of_tests(EndpointKind::Peer, "10.0.0.2:15002");
    let own = Endpoint::of_tests(EndpointKind::Upstream, "127.0.0.1:50051");
    let error = DialError::TimedOut(3_000);
    let (refused, failed) = (Outcome::Refused, Outcome::Failed);
    let causes: [(Cause<'_, Gate>, Outcome, Reason, &str); 14] = [
        (Cause::DeadlineExceeded, failed, Reason::DeadlineExceeded, ""),
        (Cause::NoEndpoint, refused, Reason::ProviderUnreachable, ""),
        (Cause::Unreachable { endpoint: &peer, error: &error }, refused, Reason::ProviderUnreachable, "10.0.0.2:15002"),
        (Cause::Unreachable { endpoint: &own, error: &error }, refused, Reason::UpstreamUnreachable, "127.0.0.1:50051"),
        (Cause::Full { endpoint: &peer }, refused, Reason::Overloaded, "10.0.0.2:15002"),
        (Cause::TimedOut { endpoint: &peer }, refused, Reason::TimedOut, "10.0.0.2:15002"),
        (Cause::PeerVoid { endpoint: &peer }, refused, Reason::PeerNotIdentified, "10.0.0.2:15002"),
        (Cause::NotTaken { endpoint: &peer }, refused, Reason::ProviderUnreachable, ""),
        (Cause::Lost { endpoint: &peer }, failed, Reason::ProviderUnreachable, ""),
        (Cause::Lost { endpoint: &own }, failed, Reason::UpstreamUnreachable, ""),
        (Cause::MalformedResponse { endpoint: &own }, failed, Reason::UpstreamUnreachable, ""),
        (Cause::Stalled, failed, Reason::Stalled, ""),
        (Cause::MessageTooLong, failed, Reason::MessageTooLong, ""),
        (Cause::Draining, refused, Reason::Draining, ""),
    ];
    for (cause, outcome, reason, address) in causes {
        let mut world = World::new(CONSUMER);
        let mut call = world.forwarded(&[]);
        world.gate.refusal(&mut call, &cause, &mut world.reply);
        world.gate.close(call, Ending::Told, Flows::default(), world.began);
        let kept = world.record();
        let record = kept.record();
        assert_eq!((record.outcome, record.reason, record.status), (outcome, Some(reason), reason.code()), "{cause:?}");
        assert_eq!(record.server_address, address, "{cause:?}");
        world.assert_nothing_more_on_record();
    }
}

#[test]
fn a_caller_that_goes_away_before_it_can_be_told_is_on_record_as_gone() {
    let mut world = World::new(CONSUMER);
    let mut call = world.forwarded(&[]);
    world.gate.refusal(&mut call, &Cause::DeadlineExceeded, &mut world.reply);
    world.gate.close(call, Ending::Abandoned, Flows::default(), world.began);
    assert_eq!(world.record().record().outcome, Outcome::Abandoned);
}

#[test]
fn a_call_that_was_sent_on_is_told_that_its_time_was_up_and_one_that_waits_that_it_may_be_made_again() {
    for (sent, outcome, reason) in [(true, Outcome::Failed, Reason::TimedOut), (false, Outcome::Refused, Reason::Draining)] {
        let mut world = World::new(CONSUMER);
        let mut call = world.forwarded(&[]);
        if sent {
            let endpoint = Endpoint::of_tests(EndpointKind::Peer, "10.0.0.2:15002");
            let far_end = Rc::new(FarEnd::Sidecar(certificate(PROVIDER)));
            assert_eq!(world.gate.assigned(&mut call, &endpoint, &far_end, world.began), Assignment::Go);
        }
        world.gate.refusal(&mut call, &Cause::Draining, &mut world.reply);
        world.gate.close(call, Ending::Told, Flows::default(), world.began);
        let kept = world.record();
        let record = kept.record();
        assert_eq!((record.outcome, record.reason), (outcome, Some(reason)), "sent: {sent}");
    }
}

#[test]
fn a_message_that_nothing_says_how_to_narrow_does_not_pass_and_the_caller_is_told_so() {
    let mut world = World::new(CONSUMER);
    let mut call = world.forwarded(&[]);
    let mut out = Vec::new();
    assert_eq!(world.gate.transform(&mut call, false, b"message", &mut out, &mut world.reply), Transformed::Cut);
    world.gate.close(call, Ending::Told, Flows::default(), world.began);
    let kept = world.record();
    assert_eq!((kept.record().outcome, kept.record().reason), (Outcome::Failed, Some(Reason::NotNarrowed)));
    assert!(out.is_empty());
}
