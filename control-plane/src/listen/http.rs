//! Plain HTTP for the platform: is it alive, is it ready, what does it count. Nothing secret.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus::{Registry, TextEncoder};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    HTTP_CONNECTIONS_MAX, Refusals, RoomMetrics,
    descriptors::CLOSING_MAX,
    room::Strangers,
    serve::{DRAIN_S_MAX, accepted},
};
use crate::{
    limit::Network,
    store::{Health, Store},
};

/// As the configuration names it.
const LISTENER: &str = "http";

/// How long the head of a request may take to come in, in seconds: longer than between two scrapes, that they may keep their connection.
const HEAD_WAIT_S_MAX: u64 = 75;

/// How long a connection lasts, in seconds: who reads slowly does not hold its place for ever.
const CONNECTION_S_MAX: u64 = 600;

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

/// What is served, and to how many.
pub struct Http {
    /// Where.
    pub listener: TcpListener,
    /// What is counted.
    pub registry: Registry,
    /// Whether it is ready.
    pub readiness: Readiness,
    /// What it needs for that.
    pub kept: Kept,
    /// Counts connections.
    pub rooms: RoomMetrics,
    /// Counts those that the system did not open.
    pub refusals: Refusals,
}

/// Serves until the stop.
pub async fn serve(http: Http, stopping: CancellationToken) {
    let Http { listener, registry, readiness, kept, rooms, refusals } = http;
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Shown { registry, readiness, kept });
    let visitors = Strangers::new(places(HTTP_CONNECTIONS_MAX), rooms.of(LISTENER, HTTP_CONNECTIONS_MAX));
    let permits = Arc::new(Semaphore::new(places(HTTP_CONNECTIONS_MAX + CLOSING_MAX)));
    let tracker = TaskTracker::new();
    while let Some(Ok(permit)) = stopping.run_until_cancelled(permits.clone().acquire_owned()).await {
        let Some((stream, address)) = accepted(&stopping, listener.accept(), &refusals, LISTENER).await else { continue };
        let (place, dropped) = visitors.enter(Network::from(address.ip()));
        if dropped.is_some() {
            rooms.turned_away();
        }
        let (router, stopping) = (router.clone(), stopping.clone());
        tracker.spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(HEAD_WAIT_S_MAX));
            let mut served = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
            let ended = tokio::select! {
                ended = served.as_mut() => ended,
                () = place.dropped.cancelled() => Ok(()),
                () = sleep(Duration::from_secs(CONNECTION_S_MAX)) => Ok(()),
                () = stopping.cancelled() => {
                    served.as_mut().graceful_shutdown();
                    timeout(Duration::from_secs(DRAIN_S_MAX), served).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                tracing::debug!(listener = LISTENER, %error, "a connection broke");
            }
            drop((place, permit));
        });
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

fn places(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
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
