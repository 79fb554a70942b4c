//! The standard OTLP trace service, on the sidecars' listener.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tonic::{Code, Request, Response, Status, codec::CompressionEncoding};

use super::{Caller, Problem, problem::WithSources};
use crate::ledger::Ledger;

/// Largest export, in bytes, after decompression: some thousand spans.
const EXPORT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Spans of one export at most: each is a row, and one write of more would hold up every other writer.
const EXPORT_SPANS_MAX: usize = 4_096;

/// The service, for the sidecars' listener.
#[must_use]
pub fn service(ledger: Ledger) -> TraceServiceServer<Otlp> {
    TraceServiceServer::new(Otlp { ledger })
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(EXPORT_BYTES_MAX)
}

/// Serves the OTLP trace service.
pub struct Otlp {
    ledger: Ledger,
}

#[tonic::async_trait]
impl TraceService for Otlp {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let reporter = Caller::of(&request)?.require_sidecar()?;
        let spans = spans_of(request.into_inner());
        if spans.len() > EXPORT_SPANS_MAX {
            return Err(too_many(spans.len()).into());
        }
        let ingested = self.ledger.ingest(&reporter, spans).await.map_err(|error| {
            tracing::error!(error = %WithSources(&error), "the ledger cannot be written");
            // OTLP: of the codes, a client retries this one.
            Problem::new(Code::Unavailable, "LEDGER_UNAVAILABLE", "the ledger cannot be written now; send the spans again")
        })?;
        let partial_success = (!ingested.rejected.is_empty()).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(ingested.rejected.len()).unwrap_or(i64::MAX),
            error_message: ingested.complaint(),
        });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

fn spans_of(request: ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn too_many(spans: usize) -> Problem {
    Problem::invalid("EXPORT_TOO_LARGE", format!("{spans} spans in one export; at most {EXPORT_SPANS_MAX} are allowed"))
}

#[cfg(test)]
mod tests;
