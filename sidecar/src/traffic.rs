//! Everything that calls pass through: the engine with its listeners and its watchers, started and stopped as one.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    admin::Admin,
    call::Live,
    clock::Clock,
    config::{BindAddress, Config},
    drain,
    metrics::Metrics,
    report::Reporter,
    snapshot::Current,
    trust::Trust,
    upstream::{UpstreamTlsError, Upstreams},
    worker::{Bound, Common, Phase, WorkerError, Workers},
};

/// Why no calls can be taken; the sidecar's operator must act.
#[derive(Debug, Error)]
pub enum TrafficError {
    /// A listener cannot be bound.
    #[error("listen.{listener}: cannot listen on {address}: {source}")]
    Listen {
        /// Which one.
        listener: &'static str,
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// TLS to the agency's own server cannot be set up.
    #[error(transparent)]
    UpstreamTls(#[from] UpstreamTlsError),
    /// The threads that carry calls cannot be started.
    #[error(transparent)]
    Workers(#[from] WorkerError),
    /// Two metrics have one name.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// What traffic needs from the tie to the control plane.
#[derive(Debug, Clone)]
pub struct Ties {
    /// What time it is.
    pub clock: Clock,
    /// Credentials and roots in use.
    pub trust: Trust,
    /// The snapshot in force.
    pub current: Current,
    /// Where calls go on record.
    pub reporter: Reporter,
}

/// Running listeners and the workers behind them.
#[derive(Debug)]
pub struct Traffic {
    common: Arc<Common>,
    addresses: BTreeMap<&'static str, String>,
    workers: Workers,
    /// Watchers and pages; they end with this value.
    _background: JoinSet<()>,
}

impl Traffic {
    /// Binds every listener and begins to serve.
    ///
    /// # Errors
    /// When a listener cannot be bound or an upstream cannot be set up.
    pub async fn start(config: &Config, ties: Ties) -> Result<Self, TrafficError> {
        let common = common(config, ties)?;
        let workers = config.workers();
        let refused = |listener, address: String| move |source| TrafficError::Listen { listener, address, source };
        let outbound = &config.listen.outbound;
        let outbound = Bound::bind(outbound, workers).map_err(refused("outbound", outbound.to_string()))?;
        if let BindAddress::Tcp(address) = &config.listen.outbound
            && !address.ip().is_loopback()
        {
            tracing::warn!(
                %address,
                "listen.outbound is not on loopback: whoever reaches it calls as this agency, without TLS; \
                 bind it to 127.0.0.1 or a Unix socket, or let the network admit the agency's applications only"
            );
        }
        let inbound = match config.listen.inbound {
            Some(address) => Some(Bound::tcp(address, workers).map_err(refused("inbound", address.to_string()))?),
            None => None,
        };
        let at = config.listen.admin;
        let admin = TcpListener::bind(at).await.map_err(refused("admin", at.to_string()))?;
        let admin_address = admin.local_addr().map_err(refused("admin", at.to_string()))?;

        let mut addresses = BTreeMap::from([("outbound", outbound.address().to_owned())]);
        addresses.insert("admin", admin_address.to_string());
        if let Some(inbound) = &inbound {
            addresses.insert("inbound", inbound.address().to_owned());
        }
        let workers = Workers::start(&common, workers, outbound, inbound)?;
        let background = background(&common, admin);
        Ok(Self { common, addresses, workers, _background: background })
    }

    /// The bound address of each listener by its name.
    #[must_use]
    pub const fn addresses(&self) -> &BTreeMap<&'static str, String> {
        &self.addresses
    }

    /// The metrics, for those who have some of their own to register.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.common.metrics
    }

    /// Calls under way.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.common.metrics.tallies().live()
    }

    /// Stops: no new calls, running ones may take `timeout` to finish. Returns how many had to be cut. The admin pages stay
    /// up until the value is dropped.
    pub async fn drain(&mut self, timeout: Duration) -> usize {
        let cut = drain::drain(&self.common, timeout).await;
        self.workers.stop().await;
        cut
    }
}

fn common(config: &Config, ties: Ties) -> Result<Arc<Common>, TrafficError> {
    let metrics = Arc::new(Metrics::new()?);
    let upstreams = Upstreams::new(&config.services, &metrics)?;
    Ok(Arc::new(Common {
        agency: config.agency.clone().into(),
        clock: ties.clock,
        trust: ties.trust,
        current: ties.current,
        reporter: ties.reporter,
        live: Arc::new(Live::new(config.limits.calls_max)),
        limits: config.limits,
        upstreams: Arc::new(upstreams),
        metrics,
        phase: watch::Sender::new(Phase::Serving),
    }))
}

fn background(common: &Arc<Common>, admin: TcpListener) -> JoinSet<()> {
    let mut background = JoinSet::new();
    background.spawn(Arc::clone(&common.upstreams).keep());
    let pages = Admin::new(common);
    background.spawn(async move {
        if let Err(problem) = pages.serve(admin).await {
            tracing::error!(%problem, "the admin listener broke down");
        }
    });
    background
}
