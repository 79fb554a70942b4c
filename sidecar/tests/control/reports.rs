//! Records on their way to the control plane.

use aws_lc_rs::signature;
use chapar_core::{
    policy::{GrpcCode, Reason, Side},
    record::{
        CallId, CallRecord, Flow, Outcome, TraceContext,
        chain::{ChainId, Checkpoint, Hash, beginning, digest, next},
        encode,
    },
};
use chapar_daemon::vital::Vital;
use chapar_sidecar::{clock::Clock, control::Control, report::Reporter};
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};

use crate::{
    NOW,
    control_plane::{ControlPlane, records},
};

fn record(number: u64) -> CallRecord<'static> {
    let mut span_id = [0; 8];
    span_id.copy_from_slice(&(number + 1).to_be_bytes());
    CallRecord {
        consumer: "ipm",
        provider: "cra",
        inquiry: "shahkar",
        kind: "verification",
        grant: "38-1/1/ipm/shahkar",
        resolution: "38-1",
        clause: "1",
        policy_version: 3,
        outcome: Outcome::Served,
        status: GrpcCode::Ok,
        duration_us: 1_500,
        request: Flow { messages: 1, bytes: 20 },
        response: Flow { messages: 1, bytes: 7 },
        server_address: "127.0.0.1:2",
        ..CallRecord::begun(
            CallId::from_bytes(u128::from(number).to_be_bytes()),
            TraceContext { trace_id: [1; 16], span_id, parent_span_id: Some([2; 8]), sampled: true },
            Side::Consumer,
            "/ir.cra.v1.Shahkar/Match",
            NOW,
            "127.0.0.1:1",
        )
    }
}

fn put(reporter: &Reporter, records: &[CallRecord<'_>]) {
    let mut writer = reporter.writer().unwrap();
    records.iter().for_each(|record| writer.put(record));
    writer.commit();
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

async fn start(control_plane: &ControlPlane, folder: &std::path::Path, report: &str) -> Control {
    let config = control_plane.config(folder, "ipm", &format!("report: {{{report}}}\n"));
    Control::start(&config, &Clock::wound(NOW), &Vital::default()).await.unwrap()
}

#[tokio::test]
async fn a_call_becomes_a_standard_span_of_its_side() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let control = start(&control_plane, folder.path(), "gzip: true, batchDelayMs: 1").await;
    put(&control.reporter, &[record(0)]);
    let refused = CallRecord {
        side: Side::Provider,
        outcome: Outcome::Refused,
        reason: Some(Reason::GrantRevoked),
        status: GrpcCode::PermissionDenied,
        ..record(1)
    };
    put(&control.reporter, &[refused]);
    let spans = control_plane.until("two spans", |context| Some(context.spans()).filter(|spans| spans.len() == 2)).await;

    let served = &spans[0];
    assert_eq!(served.name, "ir.cra.v1.Shahkar/Match");
    assert_eq!((served.kind, spans[1].kind), (SpanKind::Client as i32, SpanKind::Server as i32));
    assert_eq!((served.trace_id.as_slice(), served.parent_span_id.as_slice()), (&[1; 16][..], &[2; 8][..]));
    assert_eq!(served.end_time_unix_nano - served.start_time_unix_nano, 1_500_000);
    assert_eq!(served.status, None, "no status is how a span says that all is well");
    assert_eq!(attribute(served, "chapar.resolution"), Some(Value::StringValue("38-1".to_owned())));
    assert_eq!(attribute(served, "chapar.policy_version"), Some(Value::IntValue(3)));
    assert_eq!(attribute(served, "chapar.reason"), None);
    assert_eq!(spans[1].status.as_ref().unwrap().code, StatusCode::Error as i32);
    assert_eq!(attribute(&spans[1], "chapar.reason"), Some(Value::StringValue("GRANT_REVOKED".to_owned())));
    assert_eq!(attribute(&spans[1], "rpc.response.status_code"), Some(Value::StringValue("PERMISSION_DENIED".to_owned())));

    let resource = control_plane.context().exports[0].resource_spans[0].resource.clone().unwrap();
    let text = |key: &str| {
        resource.attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.clone()?.value)
    };
    assert_eq!(text("service.name"), Some(Value::StringValue("chapar-sidecar".to_owned())));
    assert_eq!(text("service.namespace"), Some(Value::StringValue("ipm".to_owned())));
    let own = "spiffe://exchange.example/agency/ipm/sidecar/main".to_owned();
    assert_eq!(text("chapar.sidecar"), Some(Value::StringValue(own)));
    control.stop().await;
}

#[tokio::test]
async fn records_wait_for_a_control_plane_that_is_away_and_come_once_and_in_order() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    control_plane.context().exports_to_fail = 3;
    let control = start(&control_plane, folder.path(), "batchRecordsMax: 10, batchDelayMs: 1").await;
    put(&control.reporter, &(0..45).map(record).collect::<Vec<_>>());
    let spans = control_plane.until("all spans", |context| Some(context.spans()).filter(|spans| spans.len() >= 45)).await;
    let expected: Vec<_> = (0..45).map(|number| record(number).trace.span_id.to_vec()).collect();
    assert_eq!(spans.iter().map(|span| span.span_id.clone()).collect::<Vec<_>>(), expected);
    assert!(control_plane.context().exports.iter().all(|export| records(export).len() <= 10));
    assert_eq!(control.reporter.lost(), 0);
    control.stop().await;
}

#[tokio::test]
async fn what_is_left_at_the_stop_is_still_sent() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let control = start(&control_plane, folder.path(), "batchRecordsMax: 7, batchDelayMs: 60000").await;
    put(&control.reporter, &(0..20).map(record).collect::<Vec<_>>());
    control.stop().await;
    assert_eq!(control_plane.context().spans().len(), 20);
}

#[tokio::test]
async fn the_stop_does_not_wait_for_ever() {
    let mut control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let control = start(&control_plane, folder.path(), "flushTimeoutMs: 20").await;
    control_plane.kill().await;
    put(&control.reporter, &[record(0)]);
    control.stop().await;
}

#[tokio::test]
async fn what_is_not_taken_before_the_stop_is_sent_by_the_next_process_once() {
    let mut control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let control = start(&control_plane, folder.path(), "flushTimeoutMs: 20").await;
    control_plane.kill().await;
    put(&control.reporter, &(0..5).map(record).collect::<Vec<_>>());
    control.stop().await;
    control_plane.open().await;
    let control = start(&control_plane, folder.path(), "batchDelayMs: 1").await;
    control_plane.until("all spans", |context| (context.spans().len() >= 5).then_some(())).await;
    control.stop().await;
    let sent = control_plane.context().spans().len();
    let control = start(&control_plane, folder.path(), "batchDelayMs: 1").await;
    put(&control.reporter, &[record(5)]);
    control.stop().await;
    let spans = control_plane.context().spans();
    assert_eq!(spans.len(), sent + 1, "what was acknowledged is not sent again");
    // What the first process sent may have got there without its knowing.
    let mut numbers: Vec<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    numbers.dedup();
    let numbers = &numbers[numbers.len() - 6..];
    assert_eq!(numbers, (0..6).map(|number| record(number).trace.span_id.to_vec()).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_export_ends_with_a_checkpoint_that_its_certificate_vouches_for() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let control = start(&control_plane, folder.path(), "batchDelayMs: 1").await;
    put(&control.reporter, &(0..3).map(record).collect::<Vec<_>>());
    control.stop().await;
    let spans = control_plane.context().spans();
    let checkpoints = control_plane.context().checkpoints();
    let bytes = |span: &Span, key: &str| match attribute(span, key) {
        Some(Value::BytesValue(bytes)) => bytes,
        other => panic!("{key}: {other:?}"),
    };
    let hash = |span: &Span, key: &str| Hash(bytes(span, key).try_into().unwrap());
    let number = |span: &Span, key: &str| match attribute(span, key) {
        Some(Value::IntValue(number)) => u64::try_from(number).unwrap(),
        other => panic!("{key}: {other:?}"),
    };
    let Some(Value::StringValue(chain)) = attribute(&spans[0], "chapar.chain.id") else { panic!("no chain") };
    let chain = ChainId(*chain.parse::<CallId>().unwrap().as_bytes());
    let mut head = beginning(chain);
    for (at, span) in spans.iter().enumerate() {
        assert_eq!(number(span, "chapar.chain.sequence"), at as u64 + 1);
        let mut canonical = Vec::new();
        encode(&record(at as u64), &mut canonical);
        head = next(head, digest(&canonical));
    }
    assert_eq!(hash(&checkpoints[0], "chapar.checkpoint.before"), beginning(chain));
    let last = checkpoints.last().unwrap();
    assert_eq!((hash(last, "chapar.checkpoint.after"), number(last, "chapar.checkpoint.last")), (head, 3));

    let signed = Checkpoint {
        chain,
        first: number(last, "chapar.checkpoint.first"),
        last: number(last, "chapar.checkpoint.last"),
        before: hash(last, "chapar.checkpoint.before"),
        after: head,
        at: NOW,
    };
    let scheme = attribute(last, "chapar.checkpoint.scheme");
    assert_eq!(scheme, Some(Value::StringValue("ECDSA_NISTP256_SHA256".to_owned())));
    let certificate = bytes(last, "chapar.checkpoint.certificate");
    let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    let key = certificate.public_key().subject_public_key.data.to_vec();
    let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, key);
    key.verify(&signed.signed_bytes(), &bytes(last, "chapar.checkpoint.signature")).unwrap();
    let other = Checkpoint { last: 2, ..signed };
    assert!(key.verify(&other.signed_bytes(), &bytes(last, "chapar.checkpoint.signature")).is_err());
}

#[tokio::test]
async fn one_export_stays_within_its_bytes() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let control = start(&control_plane, folder.path(), "batchBytesMax: 600, batchDelayMs: 1").await;
    put(&control.reporter, &(0..9).map(record).collect::<Vec<_>>());
    control_plane.until("all spans", |context| (context.spans().len() == 9).then_some(())).await;
    let sizes: Vec<_> = control_plane.context().exports.iter().map(|export| records(export).len()).collect();
    assert!(sizes.iter().all(|spans| *spans == 1), "{sizes:?}");
    control.stop().await;
}
