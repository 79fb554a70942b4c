//! One request of the OTLP trace service, whose message is bytes already.

use std::{sync::Arc, time::Duration};

use chapar_proto::encoded::{SendEncoded, TRACE_EXPORT_PATH};
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::{Code, Request, Response, Status, client::Grpc, codec::CompressionEncoding, transport::Channel};

use super::spans::Spans;

/// Sends `export`, which is sealed, over `channel`.
///
/// # Errors
/// The control plane's status, or that of a connection which cannot be had; `DEADLINE_EXCEEDED` after `time_max`.
pub(super) async fn send(
    channel: Channel,
    export: Arc<Spans>,
    gzip: bool,
    time_max: Duration,
) -> Result<ExportTraceServiceResponse, Status> {
    let request = async move {
        let mut grpc = Grpc::new(channel);
        if gzip {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        // A channel that cannot connect says so here.
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec = SendEncoded::of(&export);
        grpc.unary(Request::new(export), PathAndQuery::from_static(TRACE_EXPORT_PATH), codec).await.map(Response::into_inner)
    };
    match tokio::time::timeout(time_max, request).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Status::new(Code::DeadlineExceeded, "the control plane does not answer")),
    }
}
