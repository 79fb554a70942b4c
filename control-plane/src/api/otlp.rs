//! The standard OTLP trace service, on the sidecars' listener. An export is handed on as the bytes that it came as: the ledger reads
//! it in place.

use std::{convert::Infallible, future::Future, pin::Pin, task};

use bytes::Bytes;
use chapar_proto::encoded::{TRACE_EXPORT_PATH, TakeEncoded};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    codec::{CompressionEncoding, EnabledCompressionEncodings},
    server::{Grpc, NamedService, UnaryService},
};

use crate::{
    caller::Caller,
    ledger::{IngestError, Ledger, Unreadable},
    problem::{Problem, WithSources},
};

/// Largest export, in bytes, after decompression: some thousand spans.
const EXPORT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The service, for the sidecars' listener.
#[must_use]
pub fn service(ledger: Ledger) -> Otlp {
    Otlp { ledger }
}

/// Serves the OTLP trace service.
#[derive(Clone)]
pub struct Otlp {
    ledger: Ledger,
}

impl NamedService for Otlp {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl tower::Service<http::Request<Body>> for Otlp {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let export = Export { ledger: self.ledger.clone() };
        Box::pin(async move {
            if request.uri().path() != TRACE_EXPORT_PATH {
                return Ok(Status::unimplemented("the OTLP trace service has the method Export only").into_http());
            }
            let mut compressed = EnabledCompressionEncodings::default();
            compressed.enable(CompressionEncoding::Gzip);
            let mut grpc = Grpc::new(TakeEncoded::default())
                .apply_max_message_size_config(Some(EXPORT_BYTES_MAX), None)
                .apply_compression_config(compressed, EnabledCompressionEncodings::default());
            Ok(grpc.unary(export, request).await)
        })
    }
}

struct Export {
    ledger: Ledger,
}

impl UnaryService<Bytes> for Export {
    type Response = ExportTraceServiceResponse;
    type Future = Answering<Result<Response<ExportTraceServiceResponse>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let ledger = self.ledger.clone();
        Box::pin(async move { export(&ledger, request).await })
    }
}

async fn export(ledger: &Ledger, request: Request<Bytes>) -> Result<Response<ExportTraceServiceResponse>, Status> {
    let reporter = Caller::from_request(&request)?.require_sidecar()?;
    let ingested = ledger.ingest(&reporter, request.into_inner()).await.map_err(problem)?;
    let partial_success = (!ingested.rejected.is_empty()).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(ingested.rejected.len()).unwrap_or(i64::MAX),
        error_message: ingested.complaint(),
    });
    Ok(Response::new(ExportTraceServiceResponse { partial_success }))
}

fn problem(error: IngestError) -> Problem {
    match error {
        IngestError::Unreadable(Unreadable::TooMany) => Problem::invalid("EXPORT_TOO_LARGE", error.to_string()),
        IngestError::Unreadable(Unreadable::Malformed) => Problem::invalid("EXPORT_MALFORMED", error.to_string()),
        // OTLP: of the codes, a client retries these two.
        IngestError::ShareSpent => Problem::new(Code::Unavailable, "LEDGER_SHARE_SPENT", error.to_string()),
        IngestError::Store(error) => {
            tracing::error!(error = %WithSources(&error), "the ledger cannot be written");
            Problem::new(Code::Unavailable, "LEDGER_UNAVAILABLE", "the ledger cannot be written now; send the spans again")
        }
    }
}

#[cfg(test)]
mod tests;
