//! What a worker does to its relay's endpoints: enters them, takes them out, and keeps connections to them open ahead of calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chapar_core::{
    identity::{Agency, SpiffeId},
    policy::PolicySnapshot,
};
use chapar_relay::{EndpointConfig, EndpointKey, Probe, Relay};

use crate::{
    endpoints::{Endpoint, EndpointKind, Upstreams},
    gate::Gate,
    transport::DialTarget,
    trust::Trust,
};

/// Enters the agency's own servers, which do not change while the sidecar runs. They are connected to before the first call.
pub(super) fn enter_upstreams(relay: &mut Relay<Gate>, upstreams: &Upstreams, now: Instant) {
    for server in upstreams.servers() {
        let endpoint = Endpoint::new(EndpointKind::Upstream, &server.address, server.target.clone());
        // Ordinary gRPC servers close connections that ping more often than every five minutes (`too_many_pings`); they are
        // watched by health checks instead.
        let config = EndpointConfig { https: server.target.is_encrypted(), authority: &server.authority, probe: Probe::Never };
        let key = relay.endpoints(now).add(endpoint, &config);
        relay.endpoints(now).set_healthy(key, server.is_well());
        relay.endpoints(now).keep_open(key, true);
        relay.gate_mut().endpoints.add_upstream(&server.service, key);
    }
}

/// Follows what health checks have found: what is not well is not connected to ahead either.
pub(super) fn follow_health(relay: &mut Relay<Gate>, upstreams: &Upstreams, now: Instant) {
    let keys = relay.gate().endpoints.servers().to_vec();
    for (key, server) in keys.into_iter().zip(upstreams.servers()) {
        relay.endpoints(now).set_healthy(key, server.is_well());
        relay.endpoints(now).keep_open(key, server.is_well());
    }
}

/// Brings the sidecars of other agencies in line with `snapshot`, as they are for calls of `consumer`. Gives those that it no longer
/// names: they get no further calls, and are to be taken out ([`remove`]) once running calls were decided again. Taken out before, they
/// would end calls that wait there for another reason than the policy's.
pub(super) fn follow_snapshot(
    relay: &mut Relay<Gate>,
    snapshot: &PolicySnapshot,
    consumer: &Agency,
    trust: &Trust,
    now: Instant,
) -> Vec<EndpointKey> {
    let mut endpoints = std::mem::take(&mut relay.gate_mut().endpoints);
    let gone = endpoints.follow(snapshot, consumer, |spiffe_id, address| {
        let target = DialTarget::Peer { address: Arc::clone(address), expected: spiffe_id.clone(), trust: trust.clone() };
        let config = EndpointConfig { https: target.is_encrypted(), authority: &authority(spiffe_id), probe: Probe::Ping };
        relay.endpoints(now).add(Endpoint::new(EndpointKind::Peer, address, target), &config)
    });
    relay.gate_mut().endpoints = endpoints;
    gone
}

/// Takes endpoints out that no snapshot names any more: calls under way there go on, those that wait go elsewhere.
pub(super) fn remove(relay: &mut Relay<Gate>, gone: &[EndpointKey], now: Instant) {
    for key in gone {
        relay.endpoints(now).remove(*key);
    }
}

/// The sidecar's own credentials have changed: connections that were made with the old ones take no further calls.
pub(super) fn retire_connections(relay: &mut Relay<Gate>, now: Instant) {
    for key in peers(relay) {
        relay.endpoints(now).retire_connections(key);
    }
}

/// Keeps a connection open to every sidecar that was called not long ago, so that the next call need not wait for one.
pub(super) fn keep_warm(relay: &mut Relay<Gate>, recent: Duration, now: Instant) {
    for key in peers(relay) {
        let is_warm = relay.endpoint(key).is_some_and(|endpoint| endpoint.was_used_within(recent, now));
        relay.endpoints(now).keep_open(key, is_warm);
    }
}

/// Endpoints of each kind that are left out now.
pub(super) fn count_ejected(relay: &Relay<Gate>) -> [(EndpointKind, usize); 2] {
    let endpoints = &relay.gate().endpoints;
    let is_ejected = |key: &EndpointKey| relay.endpoint_state(*key).is_some_and(|state| state.is_ejected);
    [
        (EndpointKind::Peer, endpoints.peers().filter(is_ejected).count()),
        (EndpointKind::Upstream, endpoints.servers().iter().copied().filter(is_ejected).count()),
    ]
}

fn peers(relay: &Relay<Gate>) -> Vec<EndpointKey> {
    relay.gate().endpoints.peers().collect()
}

/// `:authority` between sidecars: the provider's name, which says more in a packet capture or a proxy's log than the address
/// does. Nothing is decided on it.
fn authority(spiffe_id: &SpiffeId) -> String {
    match spiffe_id.agency() {
        Some(agency) => format!("{agency}.{}", spiffe_id.trust_domain()),
        None => spiffe_id.trust_domain().to_string(),
    }
}
