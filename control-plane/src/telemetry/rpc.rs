//! A span for every RPC that the control plane serves, within the caller's trace.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use chapar_core::policy::GrpcCode;
use http::{HeaderMap, Request, Response};
use opentelemetry::propagation::Extractor;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Longest method that a span tells, in bytes: a longer one is none of ours, and came from a stranger.
const METHOD_BYTES_MAX: usize = 128;

/// Puts [`RpcSpans`] around a service.
#[derive(Clone, Copy, Debug, Default)]
pub struct RpcSpansLayer;

impl<S> Layer<S> for RpcSpansLayer {
    type Service = RpcSpans<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RpcSpans { inner }
    }
}

/// Runs each call of the inner service within a span, as OpenTelemetry's conventions for gRPC name it.
#[derive(Clone, Debug)]
pub struct RpcSpans<S> {
    inner: S,
}

impl<S, B, C> Service<Request<B>> for RpcSpans<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = span_of(&request);
        let serving = self.inner.call(request).instrument(span.clone());
        Box::pin(async move {
            let response = serving.await;
            if let Ok(response) = &response {
                told(&span, response.headers());
            }
            response
        })
    }
}

fn span_of<B>(request: &Request<B>) -> Span {
    let path = request.uri().path().trim_start_matches('/');
    let method = &path[..path.floor_char_boundary(METHOD_BYTES_MAX)];
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
    );
    let parent = opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&Headers(request.headers())));
    // Fails only where nothing exports the span; there its parent is of no interest.
    span.set_parent(parent).ok();
    span
}

/// A refusal carries its status in the head. Any other answer is a success so far; how a stream ends is told by its own log.
fn told(span: &Span, headers: &HeaderMap) {
    let number = headers.get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok()).unwrap_or(0);
    let code = GrpcCode::from_number(number);
    span.record("rpc.response.status_code", code.as_str());
    // By the conventions, only these are errors of the server; the others are answers.
    let servers_own = [GrpcCode::Unknown, GrpcCode::DeadlineExceeded, GrpcCode::Unimplemented, GrpcCode::Internal];
    if servers_own.contains(&code) || code == GrpcCode::Unavailable || code == GrpcCode::DataLoss {
        span.record("otel.status_code", "ERROR");
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
