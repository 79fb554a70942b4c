//! The operator's local HTTP listener: /healthz, /readyz, /metrics, /snapshot.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use chapar_core::{
    policy::{Condition, Conditions, NotAfter, NotBefore, certificate_in_order},
    time::Timestamp,
};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::shared::{Phase, Shared};

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct Admin {
    shared: Arc<Shared>,
}

impl Admin {
    /// Pages about what the workers do.
    #[must_use]
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// Serves the pages until the process ends: metrics stay readable while the sidecar drains.
    ///
    /// # Errors
    /// When the socket breaks.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/snapshot", get(snapshot))
            .with_state(self)
    }

    /// What keeps the sidecar from serving; empty when it is ready. Each says who must act.
    #[must_use]
    pub fn obstacles(&self) -> Vec<String> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let mut obstacles = Vec::new();
        if *shared.phase.borrow() != Phase::Serving {
            obstacles.push("the sidecar is shutting down".to_owned());
        }
        obstacles
            .extend(shared.vital.ended().into_iter().map(|name| format!("{name} ended: the sidecar stops, to be started anew")));
        let own = shared.trust.own();
        match shared.current.load() {
            None => obstacles.push("there is no snapshot yet: the operator must connect it to the control plane".to_owned()),
            Some(snapshot) if now >= snapshot.valid_until() => obstacles.push(format!(
                "the snapshot was valid until {}: the operator must restore the connection to the control plane",
                snapshot.valid_until()
            )),
            // Revoked, expired, or of a suspended agency: every call would be refused.
            Some(snapshot) => obstacles.extend(certificate_in_order(&snapshot, &own, now).err().map(|refusal| refusal.detail)),
        }
        if let Some(doubt) = shared.trust.doubted() {
            obstacles.push(doubt.to_string());
        }
        for service in shared.upstreams.unwell() {
            obstacles.push(format!("no server of {service} is well: the agency must see to it"));
        }
        obstacles
    }
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let obstacles = admin.obstacles();
    if obstacles.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, obstacles.join("\n") + "\n")
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let shared = &admin.shared;
    let (metrics, now) = (&shared.metrics, shared.clock.now());
    let seconds = |ms: i64| ms.div_euclid(1_000);
    match shared.current.load() {
        Some(snapshot) => metrics.snapshot(
            snapshot.revision(),
            snapshot.policy_version(),
            seconds(now.ms_since(snapshot.issued_at())),
            seconds(snapshot.valid_until().ms_since(now)),
        ),
        None => metrics.snapshot(0, 0, -1, -1),
    }
    metrics.certificate(seconds(shared.trust.own().not_after.ms_since(now)));
    metrics.account(&shared.reporter.status(), now);
    match metrics.text() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text),
        Err(problem) => {
            let text = problem.to_string().into_bytes();
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], text)
        }
    }
}

/// The snapshot in force, as an operator wants to see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotPage {
    recipient: String,
    revision: u64,
    policy_version: u64,
    issued_at: String,
    valid_until: String,
    age_s: i64,
    stale: bool,
    inquiries: Vec<InquiryLine>,
    grants: Vec<GrantLine>,
    endpoints: Vec<EndpointLine>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InquiryLine {
    provider: String,
    inquiry: String,
    path: String,
    kind: &'static str,
    in_force: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GrantLine {
    name: String,
    resolution: String,
    clause: String,
    consumer: String,
    provider: String,
    inquiry: String,
    in_force: bool,
    not_before: Option<String>,
    not_after: Option<String>,
    revoked_at: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointLine {
    spiffe_id: String,
    address: String,
    grpc_services: Vec<String>,
}

async fn snapshot(State(admin): State<Admin>) -> impl IntoResponse {
    let shared = &admin.shared;
    let page = shared.current.load().map(|snapshot| page(&snapshot, shared.clock.now()));
    match page {
        Some(page) => Json(page).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no snapshot yet\n").into_response(),
    }
}

/// The instant that one of the conditions says, as text.
fn told(conditions: &Conditions, instant: fn(&Condition) -> Option<Timestamp>) -> Option<String> {
    conditions.iter().find_map(instant).map(|at| at.to_string())
}

fn page(snapshot: &chapar_core::policy::PolicySnapshot, now: chapar_core::time::Timestamp) -> SnapshotPage {
    let mut inquiries: Vec<_> = snapshot
        .inquiries()
        .map(|offer| offer.inquiry())
        .map(|inquiry| InquiryLine {
            provider: inquiry.key.provider.to_string(),
            inquiry: inquiry.key.inquiry.to_string(),
            path: inquiry.path.to_string(),
            kind: inquiry.kind.as_str(),
            in_force: inquiry.in_force,
        })
        .collect();
    inquiries.sort_by(|a, b| (&a.provider, &a.inquiry).cmp(&(&b.provider, &b.inquiry)));
    let mut grants: Vec<_> = snapshot
        .all_grants()
        .map(|grant| GrantLine {
            name: grant.name.to_string(),
            resolution: grant.resolution.to_string(),
            clause: grant.clause.to_string(),
            consumer: grant.consumer.to_string(),
            provider: grant.inquiry.provider.to_string(),
            inquiry: grant.inquiry.inquiry.to_string(),
            in_force: !grant.conditions.iter().any(|condition| matches!(condition, Condition::NotYetInForce(_))),
            not_before: told(&grant.conditions, |condition| match condition {
                Condition::NotBefore(NotBefore(at)) => Some(*at),
                _ => None,
            }),
            not_after: told(&grant.conditions, |condition| match condition {
                Condition::NotAfter(NotAfter(at)) => Some(*at),
                _ => None,
            }),
            revoked_at: told(&grant.conditions, |condition| match condition {
                Condition::Revoked(revoked) => Some(revoked.at),
                _ => None,
            }),
        })
        .collect();
    grants.sort_by(|a, b| a.name.cmp(&b.name));
    let mut endpoints: Vec<_> = snapshot
        .all_endpoints()
        .map(|endpoint| {
            let mut grpc_services: Vec<_> = endpoint.grpc_services.iter().map(ToString::to_string).collect();
            grpc_services.sort();
            EndpointLine { spiffe_id: endpoint.spiffe_id.to_string(), address: endpoint.address.to_string(), grpc_services }
        })
        .collect();
    endpoints.sort_by(|a, b| a.spiffe_id.cmp(&b.spiffe_id));
    SnapshotPage {
        recipient: snapshot.recipient().to_string(),
        revision: snapshot.revision(),
        policy_version: snapshot.policy_version(),
        issued_at: snapshot.issued_at().to_string(),
        valid_until: snapshot.valid_until().to_string(),
        age_s: now.ms_since(snapshot.issued_at()).div_euclid(1_000),
        stale: now >= snapshot.valid_until(),
        inquiries,
        grants,
        endpoints,
    }
}
