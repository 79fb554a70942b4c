//! Opening connections to endpoints when the relay asks for one, and what becomes of endpoints that cannot be reached.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use chapar_relay::EndpointKey;

use super::{Worker, connections::Counted};
use crate::transport::{DialError, DialTarget, Dialled, Io};

impl Worker {
    /// Connects to `endpoint`.
    pub(super) fn dial(self: &Rc<Self>, endpoint: EndpointKey) {
        let target = self.state().relay.endpoint(endpoint).map(|endpoint| Rc::clone(endpoint.target()));
        // Nobody waits any more for an endpoint that is gone.
        if let Some(target) = target {
            tokio::task::spawn_local(dial(Rc::clone(self), endpoint, target));
        }
    }

    /// The endpoint is left out for a while.
    pub(super) fn ejected(&self, endpoint: EndpointKey, time: Duration) {
        if let Some(endpoint) = self.state().relay.endpoint(endpoint) {
            self.shared.metrics.ejection(endpoint.kind.as_str());
            let (address, time_ms) = (&endpoint.address, time.as_millis());
            // The log is told once, until it takes calls again; how often it is tried is in the metrics.
            if endpoint.set_left_out(true) {
                tracing::debug!(%address, time_ms, "endpoint still left out");
            } else {
                tracing::info!(%address, time_ms, "endpoint left out for a while");
            }
        }
    }

    /// The endpoint takes calls again.
    pub(super) fn restored(&self, endpoint: EndpointKey) {
        if let Some(endpoint) = self.state().relay.endpoint(endpoint) {
            endpoint.set_left_out(false);
            tracing::info!(address = %endpoint.address, "endpoint takes calls again");
        }
    }

    fn dialled(self: &Rc<Self>, endpoint: EndpointKey, dialled: Dialled, outdated: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let Some(kind) = state.relay.endpoint(endpoint).map(|endpoint| endpoint.kind.as_str()) else { return };
        let open = self.shared.metrics.dialled_connections(kind);
        if let Io::Tls(tls) = &dialled.io {
            self.shared.metrics.handshake(kind, tls.get_ref().1);
        }
        let Some(key) = state.relay.dialled(endpoint, Rc::new(dialled.far_end), now) else { return };
        state.begin(key, dialled.io.into(), Counted::dialled(open), now);
        if outdated {
            state.relay.retire(key, now);
        }
        drop(state);
        self.attend(key);
    }
}

async fn dial(worker: Rc<Worker>, endpoint: EndpointKey, target: Rc<DialTarget>) {
    // Read before connecting: credentials that change meanwhile outdate the connection, never the other way around.
    let generation = target.generation();
    let time_max = worker.shared.limits.connect_timeout();
    let connected = match tokio::time::timeout(time_max, target.connect()).await {
        Ok(connected) => connected,
        Err(_elapsed) => Err(DialError::TimedOut(time_max.as_millis())),
    };
    match connected {
        Ok(dialled) => worker.dialled(endpoint, dialled, target.generation() != generation),
        Err(error) => {
            tracing::debug!(%error, "an endpoint was not reached");
            worker.state().relay.dial_failed(endpoint, error, Instant::now());
            worker.bell.ring();
        }
    }
}
