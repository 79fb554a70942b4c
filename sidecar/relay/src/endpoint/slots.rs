//! The endpoints of a relay.

use std::time::Duration;

use super::{Endpoint, RetryBudget};
use crate::{
    belief::sure,
    connection::Connections,
    event::Event,
    gate::Gate,
    keys::{ConnectionId, EndpointId, EndpointKey},
    reputation::Reputation,
    shared::Shared,
    slab::Slab,
    timer::{Owner, Timer},
};

/// All endpoints, those included that were removed and still have calls.
pub(crate) struct Endpoints<G: Gate> {
    held: Slab<EndpointId, Endpoint<G>>,
    pub(crate) retries: RetryBudget,
}

impl<G: Gate> Endpoints<G> {
    pub(crate) const fn new() -> Self {
        Self { held: Slab::new(), retries: RetryBudget::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn insert(&mut self, endpoint: Endpoint<G>) -> EndpointKey {
        let id = self.held.insert(endpoint);
        self.key_of(id)
    }

    #[inline]
    pub(crate) fn get(&self, id: EndpointId) -> Option<&Endpoint<G>> {
        self.held.get(id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: EndpointId) -> Option<&mut Endpoint<G>> {
        self.held.get_mut(id)
    }

    #[inline]
    pub(crate) fn key_of(&self, id: EndpointId) -> EndpointKey {
        EndpointKey { id, generation: self.held.generation(id) }
    }

    /// An endpoint that may be removed already, as long as something depends on it.
    #[inline]
    pub(crate) fn find_any(&self, key: EndpointKey) -> Option<EndpointId> {
        self.held.holds(key.id, key.generation).then_some(key.id)
    }

    /// None: the endpoint was removed.
    #[inline]
    pub(crate) fn find(&self, key: EndpointKey) -> Option<EndpointId> {
        self.find_any(key).filter(|id| self.get(*id).is_some_and(|endpoint| !endpoint.is_removed))
    }

    /// The first connection that has room, so that those which a burst opened fall idle again and end.
    #[inline]
    pub(crate) fn connection_with_capacity(
        &self,
        id: EndpointId,
        reputation: Reputation,
        connections: &Connections<G>,
        shared: &Shared,
    ) -> Option<ConnectionId> {
        let has_capacity =
            |at: &&ConnectionId| sure!(connections.get(**at), false).has_capacity(reputation, &shared.limits, shared.now_ms);
        sure!(self.get(id), None).connections.iter().find(has_capacity).copied()
    }

    /// Asks for one more connection, unless one is on its way or there are as many as may be.
    pub(crate) fn want_dial(&mut self, id: EndpointId, shared: &mut Shared) {
        let key = self.key_of(id);
        let endpoint = sure!(self.get_mut(id));
        let is_full = endpoint.connections.len() >= shared.limits.connections_per_endpoint_max;
        if endpoint.is_dialling || endpoint.is_removed || is_full {
            return;
        }
        endpoint.is_dialling = true;
        shared.events.push_back(Event::Dial { endpoint: key });
    }

    /// Dials an endpoint that is kept open and has no connection, or sets a timer for when it may be dialled.
    pub(crate) fn warm(&mut self, id: EndpointId, shared: &mut Shared) {
        let endpoint = sure!(self.get_mut(id));
        let is_wanted = endpoint.is_kept_open && !endpoint.is_removed && !endpoint.is_dialling;
        if !is_wanted || !endpoint.connections.is_empty() || endpoint.timer.is_set() {
            return;
        }
        if endpoint.outlier.is_ejected(shared.now_ms) {
            endpoint.timer = shared.wheel.set(Owner::Endpoint(id), endpoint.outlier.ejected_until_ms());
        } else {
            self.want_dial(id, shared);
        }
    }

    /// Its timer went off: it is to be dialled again.
    pub(crate) fn due(&mut self, id: EndpointId, shared: &mut Shared) {
        sure!(self.get_mut(id)).timer = Timer::UNSET;
        self.warm(id, shared);
    }

    /// Leaves an endpoint out for a while.
    pub(crate) fn eject(&mut self, id: EndpointId, shared: &mut Shared) {
        let random = shared.random();
        let endpoint = self.key_of(id);
        let time_ms = sure!(self.get_mut(id)).outlier.eject(shared.now_ms, random);
        shared.counters.ejections += 1;
        shared.events.push_back(Event::Ejected { endpoint, time: Duration::from_millis(time_ms) });
    }

    /// A call was lost at an endpoint.
    pub(crate) fn lost(&mut self, id: EndpointId, shared: &mut Shared) {
        if sure!(self.get_mut(id)).outlier.lost() {
            self.eject(id, shared);
        }
    }

    /// A call was answered at an endpoint.
    #[inline]
    pub(crate) fn answered(&mut self, id: EndpointId, shared: &mut Shared) {
        if sure!(self.get_mut(id)).outlier.answered() {
            shared.events.push_back(Event::Restored { endpoint: self.key_of(id) });
        }
    }

    /// A call has left an endpoint's connection.
    #[inline]
    pub(crate) fn call_left(&mut self, id: EndpointId, shared: &mut Shared) {
        let endpoint = sure!(self.get_mut(id));
        endpoint.calls -= 1;
        if endpoint.pending > 0 || endpoint.is_removed {
            shared.ready.push(id);
        }
    }

    /// An endpoint is to take no further calls.
    pub(crate) fn remove(&mut self, id: EndpointId, shared: &mut Shared) {
        let endpoint = sure!(self.get_mut(id));
        endpoint.is_removed = true;
        shared.wheel.unset(&mut endpoint.timer);
    }

    /// Frees an endpoint that was removed, once nothing depends on it.
    pub(crate) fn let_go(&mut self, id: EndpointId) {
        if sure!(self.get(id)).is_over() {
            self.held.remove(id);
        }
    }

    /// Whether a connection to it is not idle for having no call.
    pub(crate) fn is_kept_open(&self, id: EndpointId) -> bool {
        let endpoint = sure!(self.get(id), false);
        endpoint.is_kept_open && endpoint.connections.len() <= 1
    }
}
