//! One HTTP/2 connection to a place.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chapar_core::policy::PeerCertificate;
use h2::client::SendRequest;
use prometheus::IntGauge;

use super::{
    Io,
    dial::{Dial, DialError},
    keepalive,
    place::PlaceLimits,
};

/// One open connection and the calls on it.
#[derive(Debug)]
pub(super) struct Link {
    send: SendRequest<Bytes>,
    in_flight: AtomicUsize,
    calls_max: usize,
    closed: Arc<AtomicBool>,
    generation: u64,
    peer: Option<Arc<PeerCertificate>>,
    last_used: Mutex<Instant>,
}

/// Silence after which a connection is probed by PING, and how long the answer may take.
pub(super) type Keepalive = (Duration, Duration);

impl Link {
    /// Connects and begins HTTP/2. `open` counts the connection for as long as it lives.
    pub(super) async fn open(dial: &Dial, limits: &PlaceLimits, open: IntGauge) -> Result<Self, DialError> {
        // Read before connecting: credentials that change meanwhile outdate the connection, never the other way around.
        let generation = dial.generation();
        let dialled = dial.connect().await?;
        let (send, connection) = settings(limits).handshake::<Io, Bytes>(dialled.io).await?;
        let closed = Arc::new(AtomicBool::new(false));
        tokio::spawn(drive(connection, limits.keepalive, Arc::clone(&closed), open));
        Ok(Self {
            send,
            in_flight: AtomicUsize::new(0),
            calls_max: limits.calls_per_link_max,
            closed,
            generation,
            peer: dialled.peer,
            last_used: Mutex::new(Instant::now()),
        })
    }

    pub(super) const fn peer(&self) -> Option<&Arc<PeerCertificate>> {
        self.peer.as_ref()
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.send.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// No further call is sent over it; it closes when its calls have ended and nobody holds it.
    pub(super) fn retire(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) const fn is_of(&self, generation: u64) -> bool {
        self.generation == generation
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(super) fn idle_for(&self) -> Duration {
        if self.in_flight() > 0 {
            return Duration::ZERO;
        }
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Takes room for one call, if the peer's SETTINGS_MAX_CONCURRENT_STREAMS leaves any.
    pub(super) fn reserve(&self) -> bool {
        let calls_max = self.calls_max.min(self.send.current_max_send_streams());
        let more = |calls: usize| (calls < calls_max).then_some(calls + 1);
        !self.is_closed() && self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    pub(super) fn release(&self) {
        if self.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}

fn settings(limits: &PlaceLimits) -> h2::client::Builder {
    let mut settings = h2::client::Builder::new();
    settings
        .enable_push(false)
        .initial_window_size(limits.call_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_frame_size(limits.frame_bytes_max)
        .max_header_list_size(limits.header_list_bytes_max);
    settings
}

async fn drive(
    mut connection: h2::client::Connection<Io, Bytes>,
    keepalive: Option<Keepalive>,
    closed: Arc<AtomicBool>,
    open: IntGauge,
) {
    open.inc();
    let pings = connection.ping_pong();
    let lost = async {
        match (keepalive, pings) {
            (Some((interval, timeout)), Some(pings)) => keepalive::lost(pings, interval, timeout).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "connection to a place ended");
        },
        // Dropping the connection ends its calls as broken.
        () = lost => tracing::info!("connection to a place no longer answers and is closed"),
    }
    closed.store(true, Ordering::Release);
    open.dec();
}
