//! The service, by an ordinary OTLP client over loopback.
#![allow(clippy::unwrap_used)]

use chapar_core::time::Timestamp;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};

use super::*;
use crate::{
    caller::SidecarCaller,
    clock::Clock,
    ledger::{CallQuery, EXPORT_SPANS_MAX, Metrics},
    page::Page,
    store::Store,
};

const CALL_ID: &str = "0123456789abcdef0123456789abcdef";

async fn served(caller: Caller) -> (tempfile::TempDir, Ledger, TraceServiceClient<Channel>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("chapar.db"), Clock::real()).await.unwrap();
    let metrics = Metrics::registered(&prometheus::Registry::new()).unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.db"), store, metrics).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(tonic::service::InterceptorLayer::new(move |mut request: Request<()>| {
            request.extensions_mut().insert(caller.clone());
            Ok(request)
        }))
        .add_service(service(ledger.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let client = TraceServiceClient::connect(format!("http://{address}")).await.unwrap();
    (folder, ledger, client)
}

fn sidecar() -> Caller {
    Caller::Sidecar(SidecarCaller {
        id: "spiffe://exchange.example/agency/ipm/sidecar/main".parse().unwrap(),
        agency: "ipm".parse().unwrap(),
        serial: "0a".into(),
        not_after: Timestamp::MAX,
    })
}

fn span(number: u8, consumer: &str) -> Span {
    let text = |key: &str, value: &str| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.into())) }),
        ..KeyValue::default()
    };
    Span {
        trace_id: vec![1; 16],
        span_id: vec![number; 8],
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_000,
        attributes: vec![
            text("chapar.call_id", CALL_ID),
            text("chapar.side", "consumer"),
            text("chapar.consumer", consumer),
            text("chapar.provider", "cra"),
        ],
        ..Span::default()
    }
}

fn export(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

#[tokio::test]
async fn a_compressed_export_is_stored_before_it_is_answered() {
    let (_folder, ledger, client) = served(sidecar()).await;
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let answer = client.export(export(vec![span(1, "ipm")])).await.unwrap().into_inner();
    assert_eq!(answer.partial_success, None);
    let (calls, _) = ledger.calls(&CallQuery::default(), &Page::asked(0, "").unwrap()).await.unwrap();
    assert_eq!(calls[0].call_id, CALL_ID);
}

#[tokio::test]
async fn a_forged_span_is_a_partial_success_with_its_reason() {
    let (_folder, _ledger, mut client) = served(sidecar()).await;
    let answer = client.export(export(vec![span(1, "ipm"), span(2, "post")])).await.unwrap().into_inner();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("SPAN_FORGED") && partial.error_message.contains("post"), "{partial:?}");
}

#[tokio::test]
async fn only_sidecars_report() {
    for (caller, code) in [
        (Caller::Anonymous { address: "192.0.2.1:1".parse().unwrap() }, Code::Unauthenticated),
        (Caller::Local { uid: 0, powers: crate::access::Powers::default() }, Code::PermissionDenied),
    ] {
        let (_folder, _ledger, mut client) = served(caller).await;
        assert_eq!(client.export(export(vec![span(1, "ipm")])).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn an_export_is_bounded_in_spans_and_in_bytes() {
    let (_folder, ledger, mut client) = served(sidecar()).await;
    let many = vec![Span::default(); EXPORT_SPANS_MAX + 1];
    assert_eq!(client.export(export(many)).await.unwrap_err().code(), Code::InvalidArgument);
    let large = Span { name: "x".repeat(EXPORT_BYTES_MAX), ..span(1, "ipm") };
    let mut compressing = client.clone().send_compressed(CompressionEncoding::Gzip);
    assert_eq!(compressing.export(export(vec![large])).await.unwrap_err().code(), Code::ResourceExhausted);
    let (calls, _) = ledger.calls(&CallQuery::default(), &Page::asked(0, "").unwrap()).await.unwrap();
    assert_eq!(calls, []);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_asks_to_be_sent_again() {
    let (_folder, ledger, mut client) = served(sidecar()).await;
    ledger.clone().close().await;
    let status = client.export(export(vec![span(1, "ipm")])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "the one that OTLP clients retry");
}
