//! The agency's own servers.

mod health;
mod tls;

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    config::{HostPort, Limits, Service, UpstreamAddress},
    metrics::Metrics,
    places::{Dial, Place, PlaceLimits, Towards},
};

pub use tls::UpstreamTlsError;

/// How often places are tidied up.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// The servers of every service that the agency offers.
#[derive(Debug)]
pub struct Upstreams {
    services: HashMap<Box<str>, Upstream>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Upstream {
    service: Service,
    places: Vec<Arc<Place>>,
}

impl Upstreams {
    /// Reads what TLS needs; connects to nothing yet.
    ///
    /// # Errors
    /// When a certificate or key file cannot be used.
    pub fn new(services: &[Service], limits: &Limits, metrics: &Arc<Metrics>) -> Result<Self, UpstreamTlsError> {
        let limits = PlaceLimits::new(limits, Towards::Upstream);
        let mut all = HashMap::new();
        for service in services {
            let mut places = Vec::with_capacity(service.upstreams.len());
            for address in &service.upstreams {
                let (dial, authority) = dial(service, address)?;
                let text = Arc::from(address.to_string());
                places.push(Arc::new(Place::new(dial, Towards::Upstream, text, &authority, limits, metrics)));
            }
            all.insert(service.name.as_str().into(), Upstream { service: service.clone(), places });
        }
        Ok(Self { services: all, metrics: Arc::clone(metrics) })
    }

    /// The servers of `service`; `None` when this sidecar is not told of any.
    pub(crate) fn places(&self, service: &str) -> Option<&[Arc<Place>]> {
        self.services.get(service).map(|upstream| upstream.places.as_slice())
    }

    /// Services none of whose servers is well, for readiness.
    #[must_use]
    pub fn unwell(&self) -> Vec<&str> {
        let unwell =
            |upstream: &&Upstream| upstream.service.health_check.enabled && !upstream.places.iter().any(|place| place.is_well());
        self.services.values().filter(unwell).map(|upstream| upstream.service.name.as_str()).collect()
    }

    /// Watches over the servers for as long as the sidecar runs.
    pub async fn keep(self: Arc<Self>) {
        let mut watches = tokio::task::JoinSet::new();
        for upstream in self.services.values().filter(|upstream| upstream.service.health_check.enabled) {
            for place in &upstream.places {
                let check = upstream.service.health_check.clone();
                let metrics = Arc::clone(&self.metrics);
                watches.spawn(health::watch(Arc::clone(place), upstream.service.name.clone(), check, metrics));
            }
        }
        loop {
            tokio::time::sleep(TIDY_INTERVAL).await;
            let places = || self.services.values().flat_map(|upstream| &upstream.places);
            places().for_each(|place| place.tidy());
            let ejected = places().filter(|place| place.is_ejected()).count();
            self.metrics.ejected(Towards::Upstream.as_str(), ejected);
        }
    }
}

/// How to connect, and the `:authority` that the server sees: its own address, as if it were called directly.
fn dial(service: &Service, address: &UpstreamAddress) -> Result<(Dial, String), UpstreamTlsError> {
    let plain = |at: &HostPort| (at.host().to_owned(), at.port());
    Ok(match address {
        UpstreamAddress::Plain(at) => {
            let (host, port) = plain(at);
            (Dial::Plain { host, port }, at.to_string())
        }
        UpstreamAddress::Tls(at) => {
            let (host, port) = plain(at);
            let (config, name) = tls::client(service, at)?;
            (Dial::Tls { host, port, name, config }, at.to_string())
        }
        // What gRPC libraries send over a Unix socket.
        UpstreamAddress::Unix(path) => (Dial::Unix { path: path.clone() }, "localhost".to_owned()),
    })
}
