//! The listeners: sockets, limits on connections, TLS, and the first bytes.
//!
//! An inbound connection whose certificate does not stand is ended in the handshake, and that goes on record. A certificate
//! that was revoked is let in, and each of its calls is refused with the reason: a caller that is told why stops asking.

mod admission;
mod handshake;
mod preface;

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream, UnixListener};

use self::admission::{Admission, Admitted};
use crate::{
    config::BindAddress,
    metrics::Listener,
    places::Io,
    relay::{self, Engine, Origin},
};

/// How long the listener rests when the machine has no room for another connection (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Mode of a Unix socket: the sidecar's user and group. Whoever may connect speaks for the agency.
const SOCKET_MODE: u32 = 0o660;

/// A socket that is bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    address: String,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Bound {
    /// Binds `address`.
    ///
    /// # Errors
    /// When it is taken, or not this machine's.
    pub async fn bind(address: &BindAddress) -> io::Result<Self> {
        match address {
            BindAddress::Tcp(address) => Self::tcp(*address).await,
            BindAddress::Unix(path) => Self::unix(path),
        }
    }

    /// Binds a TCP port; 0 picks a free one.
    ///
    /// # Errors
    /// As [`Bound::bind`].
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok(Self { socket: Socket::Tcp(listener), address })
    }

    fn unix(path: &Path) -> io::Result<Self> {
        // A socket that an earlier run left behind is in the way; anything else there is somebody's file.
        if let Ok(found) = std::fs::symlink_metadata(path)
            && found.file_type().is_socket()
            && std::os::unix::net::UnixStream::connect(path).is_err()
        {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
        Ok(Self { socket: Socket::Unix(listener, path.to_owned()), address: format!("unix:{}", path.display()) })
    }

    /// Where it is bound, with the port that was picked.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Serves the agency's own applications until the engine drains.
pub async fn serve_outbound(engine: Arc<Engine>, bound: Bound) {
    let door = Arc::new(Admission::new(&engine, Listener::Outbound));
    accept(&engine, bound, door, |engine, admitted, io, address| async move {
        speak(engine, &admitted, io, Origin::Application, address).await;
    })
    .await;
}

/// Serves other sidecars until the engine drains.
pub async fn serve_inbound(engine: Arc<Engine>, bound: Bound) {
    let door = Arc::new(Admission::new(&engine, Listener::Inbound));
    accept(&engine, bound, door, |engine, mut admitted, io, address| async move {
        let Io::Tcp(tcp) = io else { return };
        let Some((tls, peer)) = handshake::accept(&engine, tcp, &address).await else { return };
        if admitted.identified(&peer.spiffe_id) {
            speak(engine, &admitted, Io::Tls(Box::new(tls)), Origin::Sidecar(Arc::new(peer)), address).await;
        }
    })
    .await;
}

async fn accept<F>(
    engine: &Arc<Engine>,
    bound: Bound,
    door: Arc<Admission>,
    serve: impl Fn(Arc<Engine>, Admitted, Io, Arc<str>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut draining = engine.draining();
    loop {
        let accepted = tokio::select! {
            accepted = bound.socket.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok((io, address)) => {
                if let Some(admitted) = door.admit() {
                    tokio::spawn(serve(Arc::clone(engine), admitted, io, address));
                }
            }
            Err(problem) => {
                tracing::warn!(listener = door.listener().as_str(), %problem, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if let Socket::Unix(_, path) = &bound.socket {
        let _ = std::fs::remove_file(path);
    }
}

async fn speak(engine: Arc<Engine>, admitted: &Admitted, io: Io, origin: Origin, address: Arc<str>) {
    let opened = tokio::time::timeout(engine.limits.handshake_timeout(), preface::expect(io)).await;
    let io = match opened {
        Ok(Ok(io)) => io,
        Ok(Err(problem)) => return admitted.ended_early(problem.as_str()),
        Err(_) => return admitted.ended_early("silent"),
    };
    if let Err(error) = relay::serve(engine, io, origin, address).await {
        tracing::debug!(%error, "connection ended");
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<(Io, Arc<str>)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, from): (TcpStream, SocketAddr) = listener.accept().await?;
                // Frames are gathered before they are written; waiting for more would only add latency.
                tcp.set_nodelay(true)?;
                Ok((Io::Tcp(tcp), from.to_string().into()))
            }
            Self::Unix(listener, path) => {
                let (unix, _) = listener.accept().await?;
                Ok((Io::Unix(unix), format!("unix:{}", path.display()).into()))
            }
        }
    }
}
