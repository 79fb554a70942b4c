//! Everything that calls pass through: the engine with its listeners and its watchers, started and stopped as one.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use chapar_daemon::vital::Vital;
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    admin::Admin,
    call::CallLimit,
    clock::Clock,
    config::{BindAddress, Config},
    drain,
    endpoints::{UpstreamTlsError, Upstreams},
    metrics::Metrics,
    report::Reporter,
    shared::{Phase, Shared},
    shares::Members,
    snapshot::Current,
    transport::Bound,
    trust::Trust,
    worker::{WorkerError, Workers},
};

/// Why no calls can be taken; the sidecar's operator must act.
#[derive(Debug, Error)]
pub enum DataPlaneError {
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
pub struct DataPlaneInputs {
    /// What time it is.
    pub clock: Clock,
    /// Credentials and roots in use.
    pub trust: Trust,
    /// The snapshot in force.
    pub current: Current,
    /// Where calls go on record.
    pub reporter: Reporter,
    /// What must run as long as the sidecar.
    pub vital: Vital,
}

/// Running listeners and the workers behind them.
#[derive(Debug)]
pub struct DataPlane {
    shared: Arc<Shared>,
    addresses: BTreeMap<&'static str, String>,
    workers: Workers,
    /// Watchers and pages; they end with this value.
    _background: JoinSet<()>,
}

impl DataPlane {
    /// Binds every listener and begins to serve.
    ///
    /// # Errors
    /// When a listener cannot be bound or an upstream cannot be set up.
    pub async fn start(config: &Config, inputs: DataPlaneInputs) -> Result<Self, DataPlaneError> {
        let shared = shared(config, inputs)?;
        let workers = config.workers();
        let refused = |listener, address: String| move |source| DataPlaneError::Listen { listener, address, source };
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
        let workers = Workers::start(&shared, workers, outbound, inbound)?;
        let background = background(&shared, admin);
        Ok(Self { shared, addresses, workers, _background: background })
    }

    /// The bound address of each listener by its name.
    #[must_use]
    pub const fn addresses(&self) -> &BTreeMap<&'static str, String> {
        &self.addresses
    }

    /// The metrics, for those who have some of their own to register.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Calls under way.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.metrics.calls().live()
    }

    /// Stops: no new calls, running ones may take `timeout` to finish. Returns how many had to be cut. The admin pages stay
    /// up until the value is dropped.
    pub async fn drain(&mut self, timeout: Duration) -> usize {
        self.shared.vital.stopping();
        let cut = drain::drain(&self.shared, timeout).await;
        self.workers.stop().await;
        cut
    }
}

fn shared(config: &Config, inputs: DataPlaneInputs) -> Result<Arc<Shared>, DataPlaneError> {
    let metrics = Arc::new(Metrics::new()?);
    let upstreams = Upstreams::new(&config.services, &metrics)?;
    Ok(Arc::new(Shared {
        agency: config.agency.clone().into(),
        clock: inputs.clock,
        trust: inputs.trust,
        current: inputs.current,
        reporter: inputs.reporter,
        call_limit: Arc::new(CallLimit::new(config.limits.calls_max)),
        calls: Members::default(),
        limits: config.limits,
        upstreams: Arc::new(upstreams),
        metrics,
        phase: watch::Sender::new(Phase::Serving),
        vital: inputs.vital,
    }))
}

fn background(shared: &Arc<Shared>, admin: TcpListener) -> JoinSet<()> {
    let mut background = JoinSet::new();
    background.spawn(Arc::clone(&shared.upstreams).run(shared.vital.clone()));
    let pages = Admin::new(shared);
    background.spawn(shared.vital.task("the admin listener", async move {
        if let Err(error) = pages.serve(admin).await {
            tracing::error!(%error, "the admin listener broke down");
        }
    }));
    background
}
