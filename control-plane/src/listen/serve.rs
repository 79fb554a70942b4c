//! Accepting connections and serving gRPC on them, until told to stop.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tower::Layer as _;

use super::{
    Acceptor, AdminSocket, Audience,
    admin::Desk,
    gate::{Gate, Gated},
    peer::{Certified, Peer},
    refusals::{HandshakeRefusal, Refusals},
};
use crate::{
    access::Access,
    audit::Repeats,
    authority::Authority,
    store::Store,
    telemetry::{RpcSpans, RpcSpansLayer},
};

/// Connections at a time on one listener: several for each of some thousand sidecars. More wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 8_192;

/// How long a client may take for its TLS handshake, in seconds.
const HANDSHAKE_WAIT_S_MAX: u64 = 10;

/// Calls at a time on one connection.
const CALLS_MAX: u32 = 256;

/// Metadata of one call, in bytes.
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;

/// Silence after which a connection is asked for a sign of life, in seconds, and how long the answer may take.
const KEEP_ALIVE_S: u64 = 20;
const KEEP_ALIVE_WAIT_S: u64 = 10;

/// How long running calls may take to end after the stop, in seconds.
const DRAIN_S_MAX: u64 = 5;

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
        let Serving { name, audience, routes, authority, refusals, access, repeats, store, stopping } = serving;
        let trust_domain = authority.trust_domain().clone();
        let desk = Desk { access, repeats, store };
        let gate = Arc::new(Gate { audience, listener: name, authority, refusals: refusals.clone(), desk });
        let served = Connections { gate, routes: RpcSpansLayer.layer(routes.prepare()), stopping: stopping.clone() };
        let capacity = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let connections = TaskTracker::new();

        while let Some(Some(permit)) = stopping.run_until_cancelled(permit(&capacity)).await {
            match &self {
                Self::Tls { tcp, acceptor } => {
                    let Some((stream, address)) = accepted(&stopping, tcp.accept(), name).await else { continue };
                    let (served, acceptor, refusals) = (served.clone(), acceptor.clone(), refusals.clone());
                    let trust_domain = trust_domain.clone();
                    connections.spawn(async move {
                        match shaken(&acceptor, stream).await {
                            Ok(stream) => {
                                let peer = peer_of(&stream, address, &trust_domain);
                                served.serve(stream, peer, permit).await;
                            }
                            Err(refusal) => refusals.handshake(name, address, refusal).await,
                        }
                    });
                }
                Self::Local(socket) => {
                    let Some((stream, _)) = accepted(&stopping, socket.listener.accept(), name).await else { continue };
                    let Ok(credentials) = stream.peer_cred() else { continue };
                    let peer = Peer::Local { uid: credentials.uid() };
                    let served = served.clone();
                    connections.spawn(async move { served.serve(stream, peer, permit).await });
                }
            }
        }
        // Nobody new comes in while those inside finish.
        drop(self);
        connections.close();
        connections.wait().await;
    }
}

/// What serves a connection once it is known whose it is.
#[derive(Clone)]
struct Connections {
    gate: Arc<Gate>,
    routes: RpcSpans<Routes>,
    stopping: CancellationToken,
}

impl Connections {
    async fn serve<S>(self, stream: S, peer: Peer, permit: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(CALLS_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .keep_alive_interval(Duration::from_secs(KEEP_ALIVE_S))
            .keep_alive_timeout(Duration::from_secs(KEEP_ALIVE_WAIT_S));
        let listener = self.gate.listener;
        let connection = http.serve_connection(TokioIo::new(stream), Gated::new(self.gate, peer, self.routes));
        let mut connection = pin!(connection);
        let ended = match self.stopping.run_until_cancelled(connection.as_mut()).await {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                timeout(Duration::from_secs(DRAIN_S_MAX), connection).await.unwrap_or_else(|_| {
                    tracing::warn!(listener, "ended calls that did not end by themselves");
                    Ok(())
                })
            }
        };
        if let Err(error) = ended {
            tracing::debug!(listener, %error, "a connection broke");
        }
        drop(permit);
    }
}

async fn permit(capacity: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    capacity.clone().acquire_owned().await.ok()
}

async fn accepted<S>(stopping: &CancellationToken, next: impl Future<Output = io::Result<S>>, name: &'static str) -> Option<S> {
    match stopping.run_until_cancelled(next).await? {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(listener = name, %error, "the system refused a connection");
            sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            None
        }
    }
}

type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

async fn shaken(acceptor: &Acceptor, stream: TcpStream) -> Result<TlsStream, HandshakeRefusal> {
    // Calls are small and wait for their answer: nothing is gained by holding bytes back.
    stream.set_nodelay(true).map_err(|error| HandshakeRefusal::from_error(&error))?;
    match timeout(Duration::from_secs(HANDSHAKE_WAIT_S_MAX), acceptor.tls.accept(stream)).await {
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
