//! A real collector's side: an OTLP server on loopback that keeps what it gets.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::TcpListenerStream;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

struct Collector {
    spans: mpsc::UnboundedSender<Span>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        for resource in request.into_inner().resource_spans {
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.spans.send(span).unwrap();
            }
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (String, mpsc::UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (spans, received) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector { spans }));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (endpoint, received)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_rpc_is_a_span_in_its_callers_trace() {
    let (endpoint, mut received) = collector().await;
    let config = config::Telemetry { otlp_endpoint: Some(endpoint) };
    let telemetry = installed(LogFormat::Json, &config).unwrap();
    assert!(matches!(installed(LogFormat::Text, &config::Telemetry::default()), Err(TelemetryError::Twice(_))));

    let refusing = service_fn(async |_request: http::Request<()>| {
        Ok::<_, Infallible>(http::Response::builder().header("grpc-status", "7").body(()).unwrap())
    });
    let request = http::Request::builder()
        .uri("/chapar.v1.SnapshotService/Follow")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(())
        .unwrap();
    RpcSpansLayer.layer(refusing).oneshot(request).await.unwrap();
    telemetry.flushed().await;

    let span = received.recv().await.unwrap();
    assert_eq!(span.name, "chapar.v1.SnapshotService/Follow");
    assert_eq!(span.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(span.parent_span_id[..2], [0xb7, 0xad]);
    let status = span.attributes.iter().find(|attribute| attribute.key == "rpc.response.status_code").unwrap();
    let value = format!("{:?}", status.value);
    assert!(value.contains("PERMISSION_DENIED"), "{value}");
    assert_eq!(span.status.map(|status| status.code).unwrap_or_default(), 0, "a refusal is an answer");
}

#[tokio::test]
async fn an_endpoint_that_is_no_address_is_refused() {
    let config = config::Telemetry { otlp_endpoint: Some("not an address".into()) };
    let refused = installed(LogFormat::Json, &config).err().unwrap().to_string();
    assert!(refused.contains("not an address"), "{refused}");
}
