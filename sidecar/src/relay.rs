//! The engine under the call path: HTTP/2 streams in, HTTP/2 streams out.
//!
//! It knows frames, flow control and connections; whether a call may be made, and where it goes, is said by `call`. It works
//! on the `h2` library directly, since hyper shows neither a peer's stream limit nor the code of a reset.

mod caller;
mod carry;
mod connection;
mod flight;
mod heads;
mod messages;
mod pump;
mod reply;

use std::sync::Arc;

use chapar_core::policy::PeerCertificate;
use tokio::sync::watch;

use crate::{call::Desk, config::Limits, peers::Peers, places::RetryBudget, upstream::Upstreams};

pub(crate) use connection::serve;

/// Everything that carrying calls takes.
#[derive(Debug)]
pub struct Engine {
    pub(crate) desk: Desk,
    pub(crate) peers: Arc<Peers>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) limits: Limits,
    retries: RetryBudget,
    draining: watch::Sender<bool>,
}

/// Where the calls of a connection come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The agency's own applications.
    Application,
    /// The sidecar with this certificate.
    Sidecar(Arc<PeerCertificate>),
}

impl Engine {
    /// An engine at rest: `listen` brings it connections.
    #[must_use]
    pub fn new(desk: Desk, peers: Arc<Peers>, upstreams: Arc<Upstreams>, limits: Limits) -> Self {
        let draining = watch::Sender::new(false);
        Self { desk, peers, upstreams, limits, retries: RetryBudget::default(), draining }
    }

    /// Tells every connection to take no further calls (GOAWAY), and every listener to take no further connections.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// True from `drain` on.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }
}
