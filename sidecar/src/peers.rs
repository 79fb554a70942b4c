//! The sidecars of other agencies, as the snapshot names them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chapar_core::{
    identity::{AgencyName, SpiffeId},
    policy::{Endpoint, Inquiry, PolicySnapshot},
};

use crate::{
    config::Limits,
    metrics::Metrics,
    places::{Dial, Place, PlaceLimits, Towards},
    snapshot::Current,
    trust::Trust,
};

/// How often places are tidied up.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// A sidecar at an address; either one changing makes it another place.
type Whereabouts = (SpiffeId, Arc<str>);

/// All places where providers' sidecars are reached.
#[derive(Debug)]
pub struct Peers {
    places: Mutex<HashMap<Whereabouts, Arc<Place>>>,
    limits: PlaceLimits,
    trust: Trust,
    metrics: Arc<Metrics>,
}

impl Peers {
    /// No places yet: they come with the snapshot and the calls.
    #[must_use]
    pub fn new(trust: Trust, limits: &Limits, metrics: &Arc<Metrics>) -> Self {
        let limits = PlaceLimits::new(limits, Towards::Peer);
        Self { places: Mutex::default(), limits, trust, metrics: Arc::clone(metrics) }
    }

    /// Where `inquiry` can be taken for `consumer`. Nodes that are reserved for this consumer come before all others: while
    /// it has any, it uses no shared one.
    pub(crate) fn places(&self, snapshot: &PolicySnapshot, inquiry: &Inquiry, consumer: &AgencyName) -> Vec<Arc<Place>> {
        let offers = |endpoint: &&Arc<Endpoint>| endpoint.grpc_services.contains(&inquiry.grpc_service);
        let endpoints = || snapshot.endpoints(&inquiry.key.provider).iter().filter(offers);
        let reserved = endpoints().any(|endpoint| endpoint.reserved_for.contains(consumer));
        endpoints()
            .filter(|endpoint| if reserved { endpoint.reserved_for.contains(consumer) } else { endpoint.reserved_for.is_empty() })
            .map(|endpoint| self.place(endpoint))
            .collect()
    }

    fn place(&self, endpoint: &Endpoint) -> Arc<Place> {
        let whereabouts = (endpoint.spiffe_id.clone(), Arc::clone(&endpoint.address));
        let mut places = self.lock();
        let place = places.entry(whereabouts).or_insert_with_key(|(expected, address)| {
            let dial = Dial::Peer { address: Arc::clone(address), expected: expected.clone(), trust: self.trust.clone() };
            let authority = authority(expected);
            let address = Arc::clone(address);
            Arc::new(Place::new(dial, Towards::Peer, address, &authority, self.limits, &self.metrics))
        });
        Arc::clone(place)
    }

    /// Keeps the places in step with the snapshot and with the sidecar's own credentials, for as long as the sidecar runs.
    pub async fn keep(self: Arc<Self>, current: Current) {
        let mut changes = current.watch();
        loop {
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => if let Some(snapshot) = current.load() {
                        self.forget_all_but(&snapshot);
                    },
                    Err(_) => return,
                },
                () = tokio::time::sleep(TIDY_INTERVAL) => {}
            }
            let places: Vec<_> = self.lock().values().cloned().collect();
            for place in &places {
                place.tidy();
            }
            let ejected = places.iter().filter(|place| place.is_ejected()).count();
            self.metrics.ejected(Towards::Peer.as_str(), ejected);
        }
    }

    fn forget_all_but(&self, snapshot: &PolicySnapshot) {
        let named: std::collections::HashSet<(&SpiffeId, &str)> =
            snapshot.all_endpoints().map(|endpoint| (&endpoint.spiffe_id, &*endpoint.address)).collect();
        self.lock().retain(|(spiffe_id, address), place| {
            let keep = named.contains(&(spiffe_id, &**address));
            if !keep {
                place.hang_up();
            }
            keep
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whereabouts, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `:authority` between sidecars: the provider's name, which says more in a packet capture or a proxy's log than the address
/// does. Nothing is decided on it.
fn authority(spiffe_id: &SpiffeId) -> String {
    match spiffe_id.agency() {
        Some(agency) => format!("{agency}.{}", spiffe_id.trust_domain()),
        None => spiffe_id.trust_domain().to_string(),
    }
}
