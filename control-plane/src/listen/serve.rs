//! Accepting connections and serving gRPC on them, until told to stop.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tower::Layer as _;

use super::{
    Acceptor, AdminSocket, Audience, FlightMetrics, RoomMetrics, SOCKET_CONNECTIONS_MAX,
    activity::{Activity, Silence},
    admin::Desk,
    descriptors::Connections,
    flight::Airspace,
    gate::{Gate, Gated},
    peer::{Certified, Peer},
    refusals::{HandshakeRefusal, Refusals},
    room::{Guest, Room, Seat},
};
use crate::{
    access::Access,
    audit::{Holder, Repeats},
    authority::Authority,
    config,
    limit::Shares,
    store::Store,
    telemetry::{RpcSpans, RpcSpansLayer},
};

/// Calls at a time on one connection; on one of a stranger, who has nothing to call but his enrolment.
const CALLS_MAX: u32 = 256;
const STRANGERS_CALLS_MAX: u32 = 4;

/// What a stranger may send before it is read, in bytes: an enrolment fits in.
const STRANGERS_WINDOW_BYTES: u32 = 64 * 1024;

/// Requests and their bytes at a time at a listener for admins: of some dozen of them, one may apply 32 MiB of policy.
const ADMIN_REQUESTS_MAX: u32 = 1_024;
const ADMIN_REQUEST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Metadata of one call, in bytes.
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;

/// Silence after which a connection is asked for a sign of life, in seconds, and how long the answer may take.
const KEEP_ALIVE_S: u64 = 20;
const KEEP_ALIVE_WAIT_S: u64 = 10;

/// How long running calls may take to end after the stop, in seconds.
pub(super) const DRAIN_S_MAX: u64 = 5;

/// Pause after the system refused a connection, in milliseconds: as a rule file descriptors ran out, and some must close.
const ACCEPT_PAUSE_MS: u64 = 100;

/// What a listener needs besides its socket.
#[derive(Clone)]
pub struct Serving {
    /// As the configuration names it.
    pub name: &'static str,
    /// Whom it is for.
    pub audience: Audience,
    /// What it serves.
    pub routes: Routes,
    /// Knows certificates.
    pub authority: Authority,
    /// Puts them on record.
    pub refusals: Refusals,
    /// What admins may do.
    pub access: Arc<Access>,
    /// Puts on record what they were refused, and what they read.
    pub repeats: Repeats,
    /// Where changes wait.
    pub store: Store,
    /// Who may take how much.
    pub shares: config::Shares,
    /// Connections that it may have, if it listens on the network.
    pub connections: Connections,
    /// What it counts.
    pub metrics: (RoomMetrics, FlightMetrics),
    /// Ends it.
    pub stopping: CancellationToken,
}

/// A socket with how to tell who comes in by it.
pub enum Listener {
    /// Over the network.
    Tls {
        /// The socket.
        tcp: TcpListener,
        /// Of the handshakes.
        acceptor: Acceptor,
    },
    /// On this machine.
    Local(AdminSocket),
}

/// Binds a TCP address.
///
/// # Errors
/// When the address is taken or not ours; the message names it.
pub async fn bind(name: &str, address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen for {name} on {address}: {error}")))
}

impl Listener {
    /// Serves until the stop; then lets running calls end, within a limit.
    pub async fn serve(self, serving: Serving) {
        let Serving {
            name,
            audience,
            routes,
            authority,
            refusals,
            access,
            repeats,
            store,
            shares,
            connections,
            metrics,
            stopping,
        } = serving;
        let (requests_max, bytes_max) = match audience {
            Audience::Sidecars => (shares.requests_max, shares.request_bytes_max),
            Audience::Admins => (ADMIN_REQUESTS_MAX, ADMIN_REQUEST_BYTES_MAX),
        };
        let (rooms, flights) = metrics;
        let airspace = Airspace::new(name, requests_max, bytes_max, seconds(shares.request_timeout_s), flights);
        let clock = store.clock().clone();
        let desk = Desk { access, repeats, store };
        let gate = Arc::new(Gate { audience, listener: name, authority, refusals: refusals.clone(), desk, airspace });
        let served = Served { gate, routes: RpcSpansLayer.layer(routes.prepare()), shares, stopping: stopping.clone() };
        let tracker = TaskTracker::new();
        match &self {
            Self::Tls { tcp, acceptor } => {
                let room = Room::new(name, connections, &shares, &clock, rooms);
                served.by_network(tcp, acceptor, &room, &refusals, &tracker).await;
            }
            Self::Local(socket) => served.by_socket(socket, &rooms, &refusals, &tracker).await,
        }
        // Nobody new comes in while those inside finish.
        drop(self);
        tracker.close();
        tracker.wait().await;
    }
}

/// The place of a guest whose handshake is done; and the bound, if his share is spent.
fn seated(guest: Guest, peer: &Peer) -> (Seat, Option<&'static str>) {
    match peer.holder() {
        Holder::Stranger(_) => (guest.seated(), None),
        holder => guest.proved(&holder),
    }
}

/// What serves a connection once it is known whose it is.
#[derive(Clone)]
struct Served {
    gate: Arc<Gate>,
    routes: RpcSpans<Routes>,
    shares: config::Shares,
    stopping: CancellationToken,
}

impl Served {
    /// Lets in who comes over the network, until the stop.
    async fn by_network(&self, tcp: &TcpListener, acceptor: &Acceptor, room: &Room, refusals: &Refusals, tracker: &TaskTracker) {
        let name = self.gate.listener;
        let handshake_max = seconds(self.shares.handshake_timeout_s);
        while let Some(Some(permit)) = self.stopping.run_until_cancelled(room.permit()).await {
            let Some((stream, address)) = accepted(&self.stopping, tcp.accept(), refusals, name).await else { continue };
            let Some(guest) = room.enter(address.ip(), permit) else { continue };
            let (served, acceptor, refusals, dropped) = (self.clone(), acceptor.clone(), refusals.clone(), guest.dropped());
            tracker.spawn(async move {
                match dropped.run_until_cancelled(shaken(&acceptor, stream, handshake_max)).await {
                    Some(Ok(stream)) => {
                        let peer = peer_of(&stream, address, served.gate.authority.trust_domain());
                        served.serve(stream, seated(guest, &peer), peer).await;
                    }
                    Some(Err(refusal)) => {
                        // The place is free before the refusal is on record, which may take its time.
                        drop(guest);
                        refusals.handshake(name, address, refusal).await;
                    }
                    None => {}
                }
            });
        }
    }

    /// Lets in who comes by the socket, until the stop.
    async fn by_socket(&self, socket: &AdminSocket, rooms: &RoomMetrics, refusals: &Refusals, tracker: &TaskTracker) {
        let name = self.gate.listener;
        let seats = Shares::new(SOCKET_CONNECTIONS_MAX.into(), rooms.of(name, SOCKET_CONNECTIONS_MAX));
        while !self.stopping.is_cancelled() {
            let Some((stream, _)) = accepted(&self.stopping, socket.listener.accept(), refusals, name).await else { continue };
            let Ok(credentials) = stream.peer_cred() else { continue };
            let peer = Peer::Local { uid: credentials.uid() };
            let Some(share) = seats.take(&peer.holder(), 1) else {
                rooms.turned_away();
                continue;
            };
            let served = self.clone();
            tracker.spawn(async move { served.serve(stream, (Seat::of(share), None), peer).await });
        }
    }

    async fn serve<S>(self, stream: S, (seat, spent): (Seat, Option<&'static str>), peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { gate, routes, shares, stopping } = self;
        let listener = gate.listener;
        let (seat, activity) = (Arc::new(seat), Activity::new());
        let http = protocol(&peer);
        let gated = Gated::new(gate, peer, (seat.clone(), spent), activity.clone(), routes);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), gated));
        let dropped = seat.dropped();
        let (first, idle) = (seconds(shares.first_request_timeout_s), seconds(shares.idle_timeout_s));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = dropped.cancelled() => return,
            silence = activity.silent(first, if spent.is_some() { first } else { idle }) => {
                tracing::debug!(listener, ?silence, "ends a silent connection");
                if silence == Silence::First {
                    return;
                }
                None
            }
            () = stopping.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                timeout(Duration::from_secs(DRAIN_S_MAX), connection).await.unwrap_or_else(|_| {
                    tracing::debug!(listener, "ended a connection that did not end by itself");
                    Ok(())
                })
            }
        };
        if let Err(error) = ended {
            tracing::debug!(listener, %error, "a connection broke");
        }
    }
}

fn protocol(peer: &Peer) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(KEEP_ALIVE_S))
        .keep_alive_timeout(Duration::from_secs(KEEP_ALIVE_WAIT_S));
    match peer {
        Peer::Anonymous { .. } => http
            .max_concurrent_streams(STRANGERS_CALLS_MAX)
            .initial_connection_window_size(STRANGERS_WINDOW_BYTES)
            .initial_stream_window_size(STRANGERS_WINDOW_BYTES),
        Peer::Certified { .. } | Peer::Local { .. } => http.max_concurrent_streams(CALLS_MAX),
    };
    http
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

pub(super) async fn accepted<S>(
    stopping: &CancellationToken,
    next: impl Future<Output = io::Result<S>>,
    refusals: &Refusals,
    name: &'static str,
) -> Option<S> {
    match stopping.run_until_cancelled(next).await? {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            refusals.not_accepted(name, &error);
            sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            None
        }
    }
}

type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

async fn shaken(acceptor: &Acceptor, stream: TcpStream, time_max: Duration) -> Result<TlsStream, HandshakeRefusal> {
    // Calls are small and wait for their answer: nothing is gained by holding bytes back.
    stream.set_nodelay(true).map_err(|error| HandshakeRefusal::from_error(&error))?;
    match timeout(time_max, acceptor.tls.accept(stream)).await {
        Ok(shaken) => shaken.map_err(|error| HandshakeRefusal::from_error(&error)),
        Err(_) => Err(HandshakeRefusal::timed_out()),
    }
}

fn peer_of(stream: &TlsStream, address: SocketAddr, own: &chapar_core::identity::TrustDomain) -> Peer {
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    // The verifier read the same certificate the same way; should that ever differ, its holder is nobody.
    match leaf.and_then(|leaf| Certified::read(leaf, own).ok()) {
        Some(certificate) => Peer::Certified { certificate, address },
        None => Peer::Anonymous { address },
    }
}
