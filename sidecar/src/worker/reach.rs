//! Opening connections to places, when the relay asks for one, and what becomes of places that cannot be reached.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use chapar_relay::EndpointKey;

use super::{
    Worker,
    connections::Counted,
    dial::{Dial, DialError, Dialled},
    io::Io,
};
use crate::gate::Met;

impl Worker {
    /// Connects to `place`.
    pub(super) fn dial(self: &Rc<Self>, place: EndpointKey) {
        let dial = self.state().relay.endpoint(place).map(|whither| Rc::clone(&whither.dial));
        // Nobody waits any more for a place that is gone.
        if let Some(dial) = dial {
            tokio::task::spawn_local(reach(Rc::clone(self), place, dial));
        }
    }

    /// The place is left out for a while.
    pub(super) fn ejected(&self, place: EndpointKey, time: Duration) {
        if let Some(whither) = self.state().relay.endpoint(place) {
            self.common.metrics.ejection(whither.towards.as_str());
            let (address, time_ms) = (&whither.address, time.as_millis());
            // The log is told once, until it takes calls again; how often it is tried is in the metrics.
            if whither.left_out.replace(true) {
                tracing::debug!(%address, time_ms, "place still left out");
            } else {
                tracing::info!(%address, time_ms, "place left out for a while");
            }
        }
    }

    /// The place takes calls again.
    pub(super) fn restored(&self, place: EndpointKey) {
        if let Some(whither) = self.state().relay.endpoint(place) {
            whither.left_out.set(false);
            tracing::info!(address = %whither.address, "place takes calls again");
        }
    }

    fn reached(self: &Rc<Self>, place: EndpointKey, dialled: Dialled, outdated: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let Some(towards) = state.relay.endpoint(place).map(|whither| whither.towards.as_str()) else { return };
        let links = self.common.metrics.links(towards);
        if let Io::Tls(tls) = &dialled.io {
            self.common.metrics.handshake(towards, tls.get_ref().1);
        }
        let met = Met { peer: dialled.peer.map(Rc::new) };
        let Some(key) = state.relay.dialled(place, met, now) else { return };
        state.begin(key, dialled.io.into(), Counted::dialled(links), now);
        if outdated {
            state.relay.retire(key, now);
        }
        drop(state);
        self.attend(key);
    }
}

async fn reach(worker: Rc<Worker>, place: EndpointKey, dial: Rc<Dial>) {
    // Read before connecting: credentials that change meanwhile outdate the connection, never the other way around.
    let generation = dial.generation();
    let time_max = worker.common.limits.connect_timeout();
    let connected = match tokio::time::timeout(time_max, dial.connect()).await {
        Ok(connected) => connected,
        Err(_) => Err(DialError::TimedOut(time_max.as_millis())),
    };
    match connected {
        Ok(dialled) => worker.reached(place, dialled, dial.generation() != generation),
        Err(error) => {
            tracing::debug!(%error, "a place was not reached");
            worker.state().relay.dial_failed(place, error, Instant::now());
            worker.bell.ring();
        }
    }
}
