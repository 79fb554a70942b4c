//! Records on their way to the control plane.

use chapar_core::{
    policy::{GrpcCode, Reason, Side},
    record::{CallId, CallRecord, Flow, Outcome, TraceContext},
};
use chapar_sidecar::{clock::Clock, control::Control, report::Reporter};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};

use crate::{NOW, control_plane::ControlPlane};

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
    let mut lane = reporter.lane().unwrap();
    records.iter().for_each(|record| lane.put(record));
    lane.commit();
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

async fn start(control_plane: &ControlPlane, folder: &std::path::Path, report: &str) -> Control {
    let config = control_plane.config(folder, "ipm", &format!("report: {{{report}}}\n"));
    Control::start(&config, &Clock::wound(NOW)).await.unwrap()
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
    let spans = control_plane.until("two spans", |desk| Some(desk.spans()).filter(|spans| spans.len() == 2)).await;

    let served = &spans[0];
    assert_eq!(served.name, "ir.cra.v1.Shahkar/Match");
    assert_eq!((served.kind, spans[1].kind), (SpanKind::Client as i32, SpanKind::Server as i32));
    assert_eq!((served.trace_id.as_slice(), served.parent_span_id.as_slice()), (&[1; 16][..], &[2; 8][..]));
    assert_eq!(served.end_time_unix_nano - served.start_time_unix_nano, 1_500_000);
    assert_eq!(served.status.as_ref().unwrap().code, StatusCode::Unset as i32);
    assert_eq!(attribute(served, "chapar.resolution"), Some(Value::StringValue("38-1".to_owned())));
    assert_eq!(attribute(served, "chapar.policy_version"), Some(Value::IntValue(3)));
    assert_eq!(attribute(served, "chapar.reason"), None);
    assert_eq!(spans[1].status.as_ref().unwrap().code, StatusCode::Error as i32);
    assert_eq!(attribute(&spans[1], "chapar.reason"), Some(Value::StringValue("GRANT_REVOKED".to_owned())));
    assert_eq!(attribute(&spans[1], "rpc.response.status_code"), Some(Value::StringValue("PERMISSION_DENIED".to_owned())));

    let resource = control_plane.desk().exports[0].resource_spans[0].resource.clone().unwrap();
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
    control_plane.desk().exports_to_fail = 3;
    let control = start(&control_plane, folder.path(), "batchRecordsMax: 10, batchDelayMs: 1").await;
    put(&control.reporter, &(0..45).map(record).collect::<Vec<_>>());
    let spans = control_plane.until("all spans", |desk| Some(desk.spans()).filter(|spans| spans.len() >= 45)).await;
    let expected: Vec<_> = (0..45).map(|number| record(number).trace.span_id.to_vec()).collect();
    assert_eq!(spans.iter().map(|span| span.span_id.clone()).collect::<Vec<_>>(), expected);
    assert!(control_plane.desk().exports.iter().all(|export| export.resource_spans[0].scope_spans[0].spans.len() <= 10));
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
    assert_eq!(control_plane.desk().spans().len(), 20);
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

#[test]
fn a_full_queue_loses_the_oldest_and_counts_them() {
    let reporter = Reporter::new(3);
    put(&reporter, &(0..5).map(record).collect::<Vec<_>>());
    assert_eq!((reporter.depth(), reporter.lost()), (3, 2));
    let left: Vec<_> = reporter.take(10).into_iter().map(|kept| kept.record().call_id).collect();
    assert_eq!(left, (2..5).map(|number| record(number).call_id).collect::<Vec<_>>());
    assert_eq!(reporter.depth(), 0);
}

#[tokio::test]
async fn one_export_stays_within_its_bytes() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let control = start(&control_plane, folder.path(), "batchBytesMax: 1500, batchDelayMs: 1").await;
    put(&control.reporter, &(0..9).map(record).collect::<Vec<_>>());
    control_plane.until("all spans", |desk| (desk.spans().len() == 9).then_some(())).await;
    let spans = |export: &ExportTraceServiceRequest| export.resource_spans[0].scope_spans[0].spans.len();
    let sizes: Vec<_> = control_plane.desk().exports.iter().map(spans).collect();
    assert!(sizes.iter().all(|spans| *spans == 1), "{sizes:?}");
    control.stop().await;
}
