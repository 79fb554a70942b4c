//! OTLP exports of foreign bytes: read in place and judged, never a panic; and what the reference decoder reads as an export, ours reads
//! with as many spans.

use chapar_control_plane::ledger::{EXPORT_SPANS_MAX, Unreadable, count_valid};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

pub fn run(export: &[u8]) {
    let reporter = "ipm".parse().expect("a sound name");
    let ours = count_valid(export, &reporter);
    let Ok(theirs) = ExportTraceServiceRequest::decode(export) else { return };
    let scopes = theirs.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let spans = scopes.map(|scope| scope.spans.len()).sum::<usize>();
    match ours {
        Ok(taken) => assert!(taken <= spans, "{taken} taken of {spans}"),
        Err(Unreadable::TooMany) => assert!(spans > EXPORT_SPANS_MAX),
        // Groups, which protobuf has given up, are refused here and skipped there.
        Err(Unreadable::Malformed) => {}
    }
}
