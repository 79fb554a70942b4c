//! Somewhere a call can be taken: its links, and how it has been doing.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chapar_core::policy::PeerCertificate;
use h2::client::SendRequest;
use thiserror::Error;
use tokio::sync::Notify;

use super::{
    Towards,
    dial::{Dial, DialError},
    link::{Keepalive, Link},
    standing::Standing,
};
use crate::{config::Limits, metrics::Metrics};

/// How long a call waits for room when every link is full, unless its own deadline is nearer.
const SEAT_WAIT_MAX: Duration = Duration::from_secs(10);

/// Limits of the links of one place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaceLimits {
    pub(crate) links_max: usize,
    pub(crate) calls_per_link_max: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) call_window_bytes: u32,
    pub(crate) connection_window_bytes: u32,
    pub(crate) frame_bytes_max: u32,
    pub(crate) header_list_bytes_max: u32,
    pub(super) keepalive: Option<Keepalive>,
}

impl PlaceLimits {
    /// As configured. Only other sidecars are probed by PING: ordinary gRPC servers close connections that ping more often
    /// than every five minutes (`too_many_pings`), and are watched by health checks instead.
    pub(crate) fn new(limits: &Limits, towards: Towards) -> Self {
        let probed = (limits.keepalive_interval(), limits.keepalive_timeout());
        Self {
            links_max: limits.connections_per_endpoint_max,
            calls_per_link_max: usize::try_from(limits.calls_per_connection_max).unwrap_or(usize::MAX),
            connect_timeout: limits.connect_timeout(),
            idle_timeout: limits.idle_timeout(),
            call_window_bytes: limits.call_window_bytes,
            connection_window_bytes: limits.connection_window_bytes,
            frame_bytes_max: limits.frame_bytes_max,
            header_list_bytes_max: limits.header_list_bytes_max,
            keepalive: (towards == Towards::Peer).then_some(probed),
        }
    }
}

/// Somewhere a call can be taken.
#[derive(Debug)]
pub(crate) struct Place {
    dial: Dial,
    towards: Towards,
    address: Arc<str>,
    authority: Box<str>,
    limits: PlaceLimits,
    links: Mutex<Vec<Arc<Link>>>,
    /// Held by whoever connects, so that a burst of calls opens one link and not one each.
    connecting: tokio::sync::Mutex<()>,
    seat_freed: Notify,
    in_flight: AtomicUsize,
    standing: Mutex<Standing>,
    /// What health checks say; true until one says otherwise.
    well: AtomicBool,
    metrics: Arc<Metrics>,
}

/// Why there is no room for a call.
#[derive(Debug, Error)]
pub(crate) enum SeatError {
    /// The place was not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Every link is full, and stayed so.
    #[error("all {0} connections are full")]
    Full(usize),
}

/// Room for one call on one link; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    place: Arc<Place>,
    link: Arc<Link>,
}

impl Place {
    /// A place, not connected to yet. `address` is for people and records, `authority` for requests.
    pub(crate) fn new(
        dial: Dial,
        towards: Towards,
        address: Arc<str>,
        authority: &str,
        limits: PlaceLimits,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            dial,
            towards,
            address,
            authority: authority.into(),
            limits,
            links: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            seat_freed: Notify::new(),
            in_flight: AtomicUsize::new(0),
            standing: Mutex::default(),
            well: AtomicBool::new(true),
            metrics: Arc::clone(metrics),
        }
    }

    /// As people write it.
    pub(crate) const fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// `:scheme` and `:authority` of requests.
    pub(crate) fn origin(&self) -> (&'static str, &str) {
        (self.dial.scheme(), &self.authority)
    }

    /// Calls under way there.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it is worth trying: neither left out for failing, nor unwell.
    pub(crate) fn is_available(&self) -> bool {
        self.is_well() && !self.is_ejected()
    }

    /// What the last health check said.
    pub(crate) fn is_well(&self) -> bool {
        self.well.load(Ordering::Relaxed)
    }

    /// Whether it is left out for failing.
    pub(crate) fn is_ejected(&self) -> bool {
        self.standing().is_ejected(Instant::now())
    }

    /// Puts down what a health check found.
    pub(crate) fn found(&self, well: bool) {
        self.well.store(well, Ordering::Relaxed);
    }

    /// Room for one call: on an open link, or on a new one, or on the first that has some again.
    pub(crate) async fn seat(self: &Arc<Self>) -> Result<Seat, SeatError> {
        let give_up = tokio::time::Instant::now() + SEAT_WAIT_MAX;
        loop {
            let freed = self.seat_freed.notified();
            tokio::pin!(freed);
            // From here on a seat that is given back is noticed, also before it is waited for.
            freed.as_mut().enable();
            if let Some(seat) = self.seat_on_open_link() {
                return Ok(seat);
            }
            if let Some(seat) = self.seat_on_new_link().await? {
                return Ok(seat);
            }
            if tokio::time::timeout_at(give_up, freed).await.is_err() {
                return Err(SeatError::Full(self.limits.links_max));
            }
        }
    }

    fn seat_on_open_link(self: &Arc<Self>) -> Option<Seat> {
        let generation = self.dial.generation();
        let links = self.links();
        // The first that has room, so that the links which a burst opened fall idle again and are closed.
        let link = links.iter().find(|link| link.is_of(generation) && link.reserve())?;
        Some(self.seated(Arc::clone(link)))
    }

    async fn seat_on_new_link(self: &Arc<Self>) -> Result<Option<Seat>, SeatError> {
        let _alone = self.connecting.lock().await;
        // Whoever connected meanwhile may have left room.
        if let Some(seat) = self.seat_on_open_link() {
            return Ok(Some(seat));
        }
        self.tidy();
        if self.links().len() >= self.limits.links_max {
            return Ok(None);
        }
        let open = self.metrics.links(self.towards.as_str());
        let opening = Link::open(&self.dial, &self.limits, open);
        let opened = match tokio::time::timeout(self.limits.connect_timeout, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(DialError::TimedOut(self.limits.connect_timeout.as_millis())),
        };
        match opened {
            Ok(link) => {
                let link = Arc::new(link);
                let reserved = link.reserve();
                self.links().push(Arc::clone(&link));
                // More calls than one may have waited for this link.
                self.seat_freed.notify_waiters();
                Ok(reserved.then(|| self.seated(link)))
            }
            Err(error) => {
                self.eject(&error);
                Err(error.into())
            }
        }
    }

    fn seated(self: &Arc<Self>, link: Arc<Link>) -> Seat {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Seat { place: Arc::clone(self), link }
    }

    /// A call there was answered.
    pub(crate) fn answered(&self) {
        self.standing().answered();
    }

    /// A call there was lost.
    pub(crate) fn lost(&self, error: &h2::Error) {
        let enough = self.standing().lost();
        if enough {
            self.eject(error);
        }
    }

    fn eject(&self, why: &dyn std::error::Error) {
        let time = self.standing().eject(Instant::now());
        self.metrics.ejection(self.towards.as_str());
        tracing::info!(address = %self.address, time_ms = time.as_millis(), problem = %why, "place left out for a while");
    }

    /// Lets go of links that are closed, outdated by new credentials, or idle. Calls on them go on.
    pub(crate) fn tidy(&self) {
        let generation = self.dial.generation();
        self.links().retain(|link| {
            let keep = !link.is_closed() && link.is_of(generation) && link.idle_for() < self.limits.idle_timeout;
            if !keep {
                link.retire();
            }
            keep
        });
    }

    /// Lets go of the links on which the other end showed `certificate`. Calls on them go on.
    pub(crate) fn retire_links_to(&self, certificate: &PeerCertificate) {
        self.links().retain(|link| {
            let keep = link.peer().is_none_or(|peer| peer.serial != certificate.serial);
            if !keep {
                link.retire();
            }
            keep
        });
    }

    /// Lets go of every link. Calls on them go on.
    pub(crate) fn hang_up(&self) {
        for link in self.links().drain(..) {
            link.retire();
        }
    }

    fn links(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Where it is.
    pub(crate) const fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> Option<&Arc<PeerCertificate>> {
        self.link.peer()
    }

    /// What sends a request over its link.
    pub(crate) fn sender(&self) -> SendRequest<Bytes> {
        self.link.sender()
    }

    /// The link takes no further calls.
    pub(crate) fn retire_link(&self) {
        self.link.retire();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.place.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.link.release();
        self.place.seat_freed.notify_one();
    }
}
