//! Who is inside of a listener: connections with a certificate within the share of their holder, and strangers, of whom one goes
//! whenever there are too many.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::descriptors::{CLOSING_MAX, Connections};
use crate::{
    audit::Holder,
    clock::Clock,
    config,
    limit::{Budget, Budgets, Held, Network, RateMetrics, Shares},
};

/// Networks of which it is remembered how often they lost a place; when there are more, all are forgotten.
const LOSERS_MAX: usize = 4_096;

/// Seconds of the minute that budgets of connections are for.
const MINUTE_S: u32 = 60;

/// The gauges of all listeners' connections, and what counts who was turned away. Clones count together.
#[derive(Clone, Debug)]
pub struct RoomMetrics {
    open: IntGaugeVec,
    bounds: IntGaugeVec,
    spent: RateMetrics,
}

impl RoomMetrics {
    /// Registers the gauges.
    ///
    /// # Errors
    /// When something else was registered under one of the names.
    pub fn registered(registry: &Registry, spent: RateMetrics) -> prometheus::Result<Self> {
        let gauges = |name: &str, about: &str| {
            let made = IntGaugeVec::new(Opts::new(name, about), &["listener", "share"])?;
            registry.register(Box::new(made.clone())).map(|()| made)
        };
        let open = gauges("chapar_control_plane_connections_open", "Open connections, with a certificate and of strangers")?;
        let bounds = gauges("chapar_control_plane_connections_max", "How many there may be")?;
        Ok(Self { open, bounds, spent })
    }

    /// The gauge of a listener whose connections are all of one kind; shows their bound.
    pub(super) fn of(&self, listener: &str, max: u32) -> IntGauge {
        self.bounds.with_label_values(&[listener, "all"]).set(max.into());
        self.open.with_label_values(&[listener, "all"])
    }

    /// Counts a connection that had no place in a share.
    pub(super) fn turned_away(&self) {
        self.spent.spent("connections");
    }
}

/// The room that a listener has. Clones are of the same room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    listener: &'static str,
    permits: Arc<Semaphore>,
    strangers: Strangers,
    certified: Shares<Holder>,
    stranger_connects: Arc<Budgets<Network>>,
    connects: Arc<Budgets<Holder>>,
    metrics: RoomMetrics,
}

impl Room {
    pub(super) fn new(
        listener: &'static str,
        connections: Connections,
        shares: &config::Shares,
        clock: &Clock,
        metrics: RoomMetrics,
    ) -> Self {
        let Connections { certified, strangers } = connections;
        for (share, max) in [("certified", certified), ("strangers", strangers)] {
            metrics.bounds.with_label_values(&[listener, share]).set(max.into());
        }
        let gauge = |share| metrics.open.with_label_values(&[listener, share]);
        let budget = |per_minute| Budget::new(per_minute, MINUTE_S);
        let permits = certified.saturating_add(strangers).saturating_add(CLOSING_MAX);
        Self {
            listener,
            permits: Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS))),
            strangers: Strangers::new(usize::try_from(strangers).unwrap_or(usize::MAX), gauge("strangers")),
            certified: Shares::new(certified.into(), gauge("certified")),
            stranger_connects: Arc::new(Budgets::new(clock.clone(), budget(shares.stranger_connects_per_minute))),
            connects: Arc::new(Budgets::new(clock.clone(), budget(shares.connects_per_minute))),
            metrics,
        }
    }

    /// Waits for a descriptor that may be used. It has to wait only while what was told to close has not done so.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_owned().await.ok()
    }

    /// Lets somebody in who has proved nothing yet. `None`: he comes too often, and is to be closed at once.
    pub(super) fn enter(&self, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Guest> {
        let network = Network::from(address);
        if self.stranger_connects.take(&network).is_err() {
            self.metrics.spent.spent("strangerConnects");
            return None;
        }
        let (place, dropped) = self.strangers.enter(network);
        if let Some(network) = dropped {
            self.metrics.spent.spent("strangers");
            tracing::debug!(listener = self.listener, %network, "dropped the oldest connection of whoever without a certificate holds most");
        }
        Some(Guest { network, place, permit, room: self.clone() })
    }
}

/// A connection of somebody who has proved nothing.
pub(super) struct Guest {
    network: Network,
    place: Place,
    permit: OwnedSemaphorePermit,
    room: Room,
}

/// A connection that has a place, with or without a certificate; gives it back when it is dropped.
pub(super) struct Seat {
    place: Option<Place>,
    _share: Option<Held<Holder>>,
    _permit: Option<OwnedSemaphorePermit>,
    room: Option<(Room, Network)>,
}

impl Guest {
    /// Cancelled when another stranger needs the place.
    pub(super) fn dropped(&self) -> CancellationToken {
        self.place.dropped.clone()
    }

    /// He has proved to be `holder`, whose share the connection takes from now on. With the bound, if the share is spent:
    /// then the connection keeps its place among strangers.
    pub(super) fn proved(self, holder: &Holder) -> (Seat, Option<&'static str>) {
        let room = self.room.clone();
        if room.connects.take(holder).is_err() {
            room.metrics.spent.spent("connects");
            return (self.seated(), Some("shares.connectsPerMinute"));
        }
        let Some(share) = room.certified.take(holder, 1) else {
            room.metrics.spent.spent("connections");
            return (self.seated(), Some("shares.connectionsMax"));
        };
        room.stranger_connects.give_back(&self.network);
        room.strangers.waiting().lost.remove(&self.network);
        (Seat { place: None, _share: Some(share), _permit: Some(self.permit), room: None }, None)
    }

    /// He has proved nothing, and stays a stranger.
    pub(super) fn seated(self) -> Seat {
        Seat { place: Some(self.place), _share: None, _permit: Some(self.permit), room: Some((self.room, self.network)) }
    }
}

impl Seat {
    /// A place that is bounded elsewhere.
    pub(super) fn of(share: Held<Holder>) -> Self {
        Self { place: None, _share: Some(share), _permit: None, room: None }
    }

    /// Cancelled when somebody else needs the place.
    pub(super) fn dropped(&self) -> CancellationToken {
        self.place.as_ref().map_or_else(CancellationToken::new, |place| place.dropped.clone())
    }

    /// What the stranger came for was granted: the connection is not held against him.
    pub(super) fn came_well(&self) {
        if let Some((room, network)) = &self.room {
            room.stranger_connects.give_back(network);
        }
    }
}

/// Connections of strangers, by network, the oldest first.
#[derive(Clone, Debug)]
pub(super) struct Strangers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    gauge: IntGauge,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    count: usize,
    by_network: HashMap<Network, VecDeque<(u64, CancellationToken)>>,
    /// How many places each has lost since somebody there last proved who he is: a flood comes again and again.
    lost: HashMap<Network, u32>,
}

/// The place of one of them; given back when it is dropped.
pub(super) struct Place {
    strangers: Strangers,
    network: Network,
    number: u64,
    pub(super) dropped: CancellationToken,
}

impl Strangers {
    pub(super) fn new(max: usize, gauge: IntGauge) -> Self {
        Self(Arc::new(Inner { max: max.max(1), gauge, waiting: Mutex::default() }))
    }

    /// A place for one more. When there is none, the oldest of whoever holds most goes: of two who hold the same, whoever has lost more
    /// before, and then the one that has been there longer. Answers whose it was.
    pub(super) fn enter(&self, network: Network) -> (Place, Option<Network>) {
        let mut waiting = self.waiting();
        let dropped = if waiting.count >= self.0.max { waiting.drop_one() } else { None };
        let number = waiting.next;
        waiting.next += 1;
        waiting.count += 1;
        let token = CancellationToken::new();
        waiting.by_network.entry(network).or_default().push_back((number, token.clone()));
        self.0.gauge.set(i64::try_from(waiting.count).unwrap_or(i64::MAX));
        (Place { strangers: self.clone(), network, number, dropped: token }, dropped)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn drop_one(&mut self) -> Option<Network> {
        let oldest = |queue: &VecDeque<(u64, CancellationToken)>| queue.front().map_or(u64::MAX, |(number, _)| *number);
        let lost = |network: &Network| self.lost.get(network).copied().unwrap_or_default();
        let rank = |network: &Network, queue| (VecDeque::len(queue), lost(network), u64::MAX - oldest(queue));
        let most = self.by_network.iter().max_by_key(|(network, queue)| rank(network, queue));
        let network = most.map(|(network, _)| *network)?;
        let (number, token) = self.by_network.get(&network)?.front().cloned()?;
        token.cancel();
        self.remove(network, number);
        if self.lost.len() >= LOSERS_MAX && !self.lost.contains_key(&network) {
            self.lost.clear();
        }
        let lost = self.lost.entry(network).or_default();
        *lost = lost.saturating_add(1);
        Some(network)
    }

    fn remove(&mut self, network: Network, number: u64) {
        let Some(queue) = self.by_network.get_mut(&network) else { return };
        let before = queue.len();
        queue.retain(|(other, _)| *other != number);
        self.count -= before - queue.len();
        if queue.is_empty() {
            self.by_network.remove(&network);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.strangers.waiting();
        waiting.remove(self.network, self.number);
        self.strangers.0.gauge.set(i64::try_from(waiting.count).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn network(last: u8) -> Network {
        Network::from(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn whoever_holds_most_loses_his_oldest_and_nobody_else_anything() {
        let strangers = Strangers::new(5, IntGauge::new("open", "open").unwrap());
        let honest = strangers.enter(network(1)).0;
        let flood: Vec<_> = (0..100).map(|_| strangers.enter(network(2)).0).collect();
        assert!(!honest.dropped.is_cancelled());
        let open: Vec<_> = flood.iter().map(|place| !place.dropped.is_cancelled()).collect();
        assert!(open[96..].iter().all(|open| *open) && !open[..96].iter().any(|open| *open));
        let (late, dropped) = strangers.enter(network(3));
        assert_eq!(dropped, Some(network(2)));
        drop((flood, late, honest));
        assert_eq!((strangers.waiting().count, strangers.0.gauge.get()), (0, 0));
    }

    #[test]
    fn of_many_who_hold_the_same_those_that_come_again_and_again_go_first() {
        let strangers = Strangers::new(3, IntGauge::new("open", "open").unwrap());
        let mut flood: Vec<_> = (0..20).flat_map(|_| 2..=6).map(|last| strangers.enter(network(last)).0).collect();
        let honest = strangers.enter(network(1)).0;
        flood.extend((0..20).flat_map(|_| 2..=6).map(|last| strangers.enter(network(last)).0));
        assert!(!honest.dropped.is_cancelled());
    }

    #[test]
    fn of_many_who_hold_the_same_the_one_that_is_longest_there_goes() {
        let strangers = Strangers::new(3, IntGauge::new("open", "open").unwrap());
        let places: Vec<_> = (1..=6).map(|last| strangers.enter(network(last)).0).collect();
        let open: Vec<_> = places.iter().map(|place| !place.dropped.is_cancelled()).collect();
        assert_eq!(open, [false, false, false, true, true, true]);
    }
}
