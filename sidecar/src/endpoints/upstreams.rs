//! The agency's own servers.

mod health;
mod tls;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chapar_daemon::vital::Vital;
use tokio::sync::watch;

use crate::{
    config::{HealthCheck, HostPort, Service, UpstreamAddress},
    metrics::Metrics,
    transport::DialTarget,
};

pub(crate) use tls::UpstreamTlsError;

/// The servers of every service that the agency offers.
#[derive(Debug)]
pub(crate) struct Upstreams {
    servers: Vec<Server>,
    /// Changes whenever a server falls ill or is well again.
    changes: watch::Sender<u64>,
    metrics: Arc<Metrics>,
}

/// One server of one service.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) service: Arc<str>,
    /// As people write it.
    pub(crate) address: Arc<str>,
    /// How to connect.
    pub(crate) target: DialTarget,
    /// What the server sees as `:authority`.
    pub(crate) authority: String,
    check: HealthCheck,
    /// True until a health check says otherwise.
    well: AtomicBool,
}

impl Server {
    /// What the last health check said.
    pub(crate) fn is_well(&self) -> bool {
        self.well.load(Ordering::Acquire)
    }
}

impl Upstreams {
    /// Reads what TLS needs; connects to nothing yet.
    ///
    /// # Errors
    /// When a certificate or key file cannot be used.
    pub(crate) fn new(services: &[Service], metrics: &Arc<Metrics>) -> Result<Self, UpstreamTlsError> {
        let mut servers = Vec::new();
        for service in services {
            for address in &service.upstreams {
                let (target, authority) = target(service, address)?;
                servers.push(Server {
                    service: service.name.as_str().into(),
                    address: address.to_string().into(),
                    target,
                    authority,
                    check: service.health_check.clone(),
                    well: AtomicBool::new(true),
                });
            }
        }
        Ok(Self { servers, changes: watch::Sender::new(0), metrics: Arc::clone(metrics) })
    }

    /// All servers, in the order of the configuration.
    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Changes whenever what health checks say of a server does.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Services none of whose servers is well, for readiness.
    #[must_use]
    pub(crate) fn unwell(&self) -> Vec<&str> {
        let well = |service: &str| self.servers.iter().any(|server| *server.service == *service && server.is_well());
        let mut unwell: Vec<&str> = self.servers.iter().map(|server| &*server.service).filter(|service| !well(service)).collect();
        unwell.dedup();
        unwell
    }

    /// Watches over the servers for as long as the sidecar runs.
    pub(crate) async fn run(self: Arc<Self>, vital: Vital) {
        let mut watches = tokio::task::JoinSet::new();
        for at in (0..self.servers.len()).filter(|at| self.servers.get(*at).is_some_and(|server| server.check.enabled)) {
            let upstreams = Arc::clone(&self);
            watches.spawn(vital.task("the health check of a server", async move {
                if let Some(server) = upstreams.servers.get(at) {
                    health::run(server, &upstreams).await;
                }
            }));
        }
        while watches.join_next().await.is_some() {}
    }

    /// Puts down what a health check found.
    fn found(&self, server: &Server, well: bool) {
        self.metrics.upstream_healthy(&server.service, &server.address, well);
        if server.well.swap(well, Ordering::AcqRel) != well {
            self.changes.send_modify(|change| *change += 1);
        }
    }
}

/// How to connect, and the `:authority` that the server sees: its own address, as if it were called directly.
fn target(service: &Service, address: &UpstreamAddress) -> Result<(DialTarget, String), UpstreamTlsError> {
    let plain = |at: &HostPort| (at.host().to_owned(), at.port());
    Ok(match address {
        UpstreamAddress::Plain(at) => {
            let (host, port) = plain(at);
            (DialTarget::Plain { host, port }, at.to_string())
        }
        UpstreamAddress::Tls(at) => {
            let (host, port) = plain(at);
            let (config, name) = tls::client(service, at)?;
            (DialTarget::Tls { host, port, name, config }, at.to_string())
        }
        // What gRPC libraries send over a Unix socket.
        UpstreamAddress::Unix(path) => (DialTarget::Unix { path: path.clone() }, "localhost".to_owned()),
    })
}
