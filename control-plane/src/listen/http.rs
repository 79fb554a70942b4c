//! Plain HTTP for the platform: is it alive, is it ready, what does it count. Nothing secret.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::store::{Health, Store};

/// Whether sidecars and admins are served: true from when all listeners are open until the stop.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says so from now on.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// What must be kept for the control plane to be ready.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Read at each question.
    pub store: Store,
    /// Of the database and of the ledger.
    pub writable: [Health; 2],
}

#[derive(Clone)]
struct Shown {
    registry: Registry,
    readiness: Readiness,
    kept: Kept,
}

/// Serves until the stop.
pub async fn serve(listener: TcpListener, registry: Registry, readiness: Readiness, kept: Kept, stopping: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Shown { registry, readiness, kept });
    let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the http listener failed");
    }
}

async fn ready(State(shown): State<Shown>) -> (StatusCode, String) {
    if !shown.readiness.0.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n".to_owned());
    }
    if let Some(why) = shown.kept.writable.iter().find_map(Health::failing) {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    }
    match shown.kept.store.revision().await {
        Ok(_) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    match TextEncoder::new().encode_to_string(&shown.registry.gather()) {
        Ok(text) => (StatusCode::OK, [("content-type", "text/plain; version=0.0.4")], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [("content-type", "text/plain; charset=utf-8")], format!("{error}\n")),
    }
}
