//! OTLP exports of foreign bytes: read in place and judged, never a panic; and what the reference decoder reads as an export, ours reads
//! with as many spans.

use chapar_control_plane::ledger::{EXPORT_SPANS_MAX, Unreadable, count_valid};
use chapar_core::time::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

/// Some instant after the ones that an input is likely to name.
const NOW_MS: i64 = 1_700_000_000_000;

pub fn run(export: &[u8]) {
    let reporter = "ipm".parse().expect("a sound name");
    let ours = count_valid(export, &reporter, Timestamp::from_unix_ms(NOW_MS));
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
