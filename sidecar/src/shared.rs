//! What the workers of a sidecar share, with each other and with whoever watches over them.

use std::sync::Arc;

use chapar_core::identity::Agency;
use chapar_daemon::vital::Vital;
use tokio::sync::watch;

use crate::{
    call::CallLimit, clock::Clock, config::Limits, endpoints::Upstreams, metrics::Metrics, report::Reporter, shares::Members,
    snapshot::Current, trust::Trust,
};

/// How far the sidecar is in going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It is not.
    Serving,
    /// No new connections; running calls may finish.
    Draining,
    /// What still runs is ended.
    Cutting,
    /// The workers end.
    Stopped,
}

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The agency that this sidecar speaks for.
    pub(crate) agency: Agency,
    /// What time it is.
    pub(crate) clock: Clock,
    /// The certificate that this sidecar shows.
    pub(crate) trust: Trust,
    /// What the control plane last said.
    pub(crate) current: Current,
    /// Where records of calls go.
    pub(crate) reporter: Reporter,
    /// How many calls may be under way.
    pub(crate) call_limit: Arc<CallLimit>,
    /// Who has how many of them: an agency, or `None`, the own applications.
    pub(crate) calls: Members<Option<Box<str>>>,
    /// Named limits.
    pub(crate) limits: Limits,
    /// The agency's own servers.
    pub(crate) upstreams: Arc<Upstreams>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// How far the sidecar is in going down.
    pub(crate) phase: watch::Sender<Phase>,
    /// What must run as long as the sidecar.
    pub(crate) vital: Vital,
}
