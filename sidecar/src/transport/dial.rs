//! Connecting to an endpoint.

use std::{io, path::PathBuf, sync::Arc};

use chapar_core::{identity::SpiffeId, policy::PeerCertificate};
use rustls::{ClientConfig, pki_types::ServerName};
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::io::Io;
use crate::trust::{HandshakeProblem, PeerProblem, Trust, nominal_server_name};

/// How an endpoint is reached.
#[derive(Debug, Clone)]
pub(crate) enum DialTarget {
    /// By mutual TLS; who answers must be `expected`.
    Peer { address: Arc<str>, expected: SpiffeId, trust: Trust },
    /// By TCP without TLS.
    Plain { host: String, port: u16 },
    /// By TLS with an ordinary server certificate.
    Tls { host: String, port: u16, name: ServerName<'static>, config: Arc<ClientConfig> },
    /// By a Unix socket.
    Unix { path: PathBuf },
}

/// Why an endpoint was not reached.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    /// Nobody answered.
    #[error("cannot connect: {0}")]
    Unreachable(#[from] io::Error),
    /// Somebody answered, and the handshake came to nothing.
    #[error("{0}")]
    Handshake(HandshakeProblem),
    /// The server speaks TLS but not HTTP/2.
    #[error("the server does not offer HTTP/2 (ALPN h2)")]
    NotHttp2,
    /// It took too long.
    #[error("no answer within {0} ms")]
    TimedOut(u128),
}

impl DialError {
    /// Whether somebody answered who is not who was expected.
    pub(crate) const fn is_identity_mismatch(&self) -> bool {
        match self {
            Self::Handshake(HandshakeProblem::Peer(problem)) => {
                !matches!(problem, PeerProblem::Expired | PeerProblem::NotYetValid)
            }
            _ => false,
        }
    }
}

/// Who is at the other end of a connection that was dialled.
#[derive(Debug)]
pub(crate) enum FarEnd {
    /// A sidecar of another agency, with this certificate, which was verified.
    Sidecar(PeerCertificate),
    /// The agency's own server.
    OwnServer,
}

/// An open connection, and who is at its other end.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) io: Io,
    pub(crate) far_end: FarEnd,
}

impl DialTarget {
    /// Connects, once. The caller sets the time limit.
    pub(crate) async fn connect(&self) -> Result<Dialled, DialError> {
        match self {
            Self::Peer { address, expected, trust } => {
                let tcp = tcp(TcpStream::connect(&**address).await)?;
                peer(tcp, expected, trust).await
            }
            Self::Plain { host, port } => {
                let tcp = tcp(TcpStream::connect((host.as_str(), *port)).await)?;
                Ok(Dialled { io: Io::Tcp(tcp), far_end: FarEnd::OwnServer })
            }
            Self::Tls { host, port, name, config } => {
                let tcp = tcp(TcpStream::connect((host.as_str(), *port)).await)?;
                let connector = TlsConnector::from(Arc::clone(config));
                let tls = connector.connect(name.clone(), tcp).await.map_err(|error| handshake(&error))?;
                if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err(DialError::NotHttp2);
                }
                Ok(Dialled { io: Io::Tls(Box::new(tls.into())), far_end: FarEnd::OwnServer })
            }
            Self::Unix { path } => {
                let unix = UnixStream::connect(path).await?;
                Ok(Dialled { io: Io::Unix(unix), far_end: FarEnd::OwnServer })
            }
        }
    }

    /// The generation of the credentials that a connection would be made with now; a later one outdates it.
    pub(crate) fn generation(&self) -> u64 {
        match self {
            Self::Peer { trust, .. } => *trust.generation().borrow(),
            Self::Plain { .. } | Self::Tls { .. } | Self::Unix { .. } => 0,
        }
    }

    /// Whether TLS is spoken.
    pub(crate) const fn is_encrypted(&self) -> bool {
        match self {
            Self::Peer { .. } | Self::Tls { .. } => true,
            Self::Plain { .. } | Self::Unix { .. } => false,
        }
    }
}

async fn peer(tcp: TcpStream, expected: &SpiffeId, trust: &Trust) -> Result<Dialled, DialError> {
    let connector = TlsConnector::from(trust.client_config(expected));
    let tls = connector.connect(nominal_server_name(), tcp).await.map_err(|error| handshake(&error))?;
    let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = trust.peer_certificate(chain).map_err(|problem| DialError::Handshake(problem.into()))?;
    Ok(Dialled { io: Io::Tls(Box::new(tls.into())), far_end: FarEnd::Sidecar(peer) })
}

fn tcp(connected: io::Result<TcpStream>) -> Result<TcpStream, DialError> {
    let tcp = connected?;
    // Frames are gathered before they are written; waiting for more would only add latency.
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

fn handshake(error: &io::Error) -> DialError {
    DialError::Handshake(HandshakeProblem::from_io(error))
}
