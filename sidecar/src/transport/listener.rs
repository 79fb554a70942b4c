//! Listening sockets: one a worker on the same port, so that the kernel divides the connections over the workers.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::io::Io;
use crate::config::BindAddress;

/// Mode of a Unix socket: the sidecar's user and group. Whoever may connect speaks for the agency.
const SOCKET_MODE: u32 = 0o660;
/// Connections that the kernel holds for a worker until it accepts them. A burst of a thousand clients fits.
const BACKLOG: u32 = 1_024;

/// A listener that is bound and not served yet: a socket for each worker.
#[derive(Debug)]
pub(crate) struct Bound {
    sockets: Vec<Socket>,
    address: String,
    /// The file of a Unix socket, which is taken away when the listener closes.
    path: Option<PathBuf>,
}

/// One worker's share of a listener.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(StdTcpListener),
    Unix(StdUnixListener, PathBuf),
}

/// A share that is being served.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, Arc<str>),
}

impl Bound {
    /// Binds `address` for so many workers; port 0 picks a free one. Needs a tokio runtime.
    ///
    /// # Errors
    /// When it is taken, or not this machine's.
    pub(crate) fn bind(address: &BindAddress, workers: usize) -> io::Result<Self> {
        match address {
            BindAddress::Tcp(address) => Self::tcp(*address, workers),
            BindAddress::Unix(path) => Self::unix(path, workers),
        }
    }

    /// Binds a TCP port.
    ///
    /// # Errors
    /// As [`Bound::bind`].
    pub(crate) fn tcp(address: SocketAddr, workers: usize) -> io::Result<Self> {
        if address.port() != 0 {
            // Sockets that share a port do not mind others on it, also those of another process: whether somebody is there
            // is seen by a socket that does not share.
            drop(StdTcpListener::bind(address)?);
        }
        let mut sockets = Vec::with_capacity(workers);
        let mut at = address;
        for _ in 0..workers {
            let socket = shared(at)?;
            at = socket.local_addr()?;
            sockets.push(Socket::Tcp(socket));
        }
        Ok(Self { sockets, address: at.to_string(), path: None })
    }

    fn unix(path: &Path, workers: usize) -> io::Result<Self> {
        // A socket that an earlier run left behind is in the way; anything else there is somebody's file.
        if let Ok(found) = std::fs::symlink_metadata(path)
            && found.file_type().is_socket()
            && StdUnixStream::connect(path).is_err()
        {
            std::fs::remove_file(path)?;
        }
        let listener = StdUnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
        // Unix sockets cannot share an address: the workers share the socket.
        let share = |_| Ok(Socket::Unix(listener.try_clone()?, path.to_owned()));
        let sockets = (0..workers).map(share).collect::<io::Result<_>>()?;
        Ok(Self { sockets, address: format!("unix:{}", path.display()), path: Some(path.to_owned()) })
    }

    /// Where it is bound, with the port that was picked.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The file to take away when nobody listens any more.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The share of one more worker.
    pub(crate) fn take(&mut self) -> Option<Socket> {
        self.sockets.pop()
    }
}

fn shared(address: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

impl Socket {
    /// Begins to listen in the runtime that this is called in.
    pub(crate) fn listen(self) -> io::Result<Listening> {
        Ok(match self {
            Self::Tcp(tcp) => Listening::Tcp(TcpListener::from_std(tcp)?),
            Self::Unix(unix, path) => Listening::Unix(UnixListener::from_std(unix)?, format!("unix:{}", path.display()).into()),
        })
    }
}

impl Listening {
    /// The next connection, and where it comes from.
    pub(crate) async fn accept(&self) -> io::Result<(Io, Arc<str>)> {
        match self {
            Self::Tcp(tcp) => {
                let (tcp, from) = tcp.accept().await?;
                // Frames are gathered before they are written; waiting for more would only add latency.
                tcp.set_nodelay(true)?;
                Ok((Io::Tcp(tcp), from.to_string().into()))
            }
            Self::Unix(unix, path) => {
                let (unix, _) = unix.accept().await?;
                Ok((Io::Unix(unix), Arc::clone(path)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn workers_share_a_port_and_nobody_else_gets_it() {
        let bound = Bound::tcp("127.0.0.1:0".parse().expect("an address"), 3).expect("binds");
        let address: SocketAddr = bound.address().parse().expect("an address");
        assert_ne!(address.port(), 0);
        assert_eq!(bound.sockets.len(), 3);
        let taken = Bound::tcp(address, 1).map(|bound| bound.address().to_owned());
        assert_eq!(taken.map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse));
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outbound.sock");
        drop(StdUnixListener::bind(&path).expect("binds"));
        let bound = Bound::bind(&BindAddress::Unix(path.clone()), 2).expect("takes the place of the one left behind");
        assert_eq!(bound.sockets.len(), 2);
        assert!(Bound::bind(&BindAddress::Unix(path), 1).is_err(), "somebody listens there");
        let file = folder.path().join("file");
        std::fs::write(&file, "mine").expect("writes");
        assert!(Bound::bind(&BindAddress::Unix(file.clone()), 1).is_err());
        assert!(file.exists());
    }
}
