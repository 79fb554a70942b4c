//! Handing a connection over to a worker that has fewer, before anything is read of it.

use std::{io, net::TcpStream as StdTcpStream, os::unix::net::UnixStream as StdUnixStream, sync::Arc};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

use super::connection_limiter::Admission;
use crate::transport::Io;

/// Connections that wait for the worker that they were handed over to. When there are more, they stay where they came in.
const WAITING_MAX: usize = 64;

/// A connection that was admitted, and of which nothing is read yet.
#[derive(Debug)]
pub(super) struct NewConnection {
    pub(super) admission: Admission,
    pub(super) io: Io,
    /// Where it comes from.
    pub(super) address: Arc<str>,
}

/// A connection on its way from one worker to another.
#[derive(Debug)]
pub(super) struct HandedOver {
    admission: Admission,
    socket: Socket,
    address: Arc<str>,
}

/// A socket that belongs to no runtime.
#[derive(Debug)]
enum Socket {
    Tcp(StdTcpStream),
    Unix(StdUnixStream),
}

/// The ways from the workers of one listener to each other.
#[derive(Debug)]
pub(super) struct Handover(Vec<mpsc::Sender<HandedOver>>);

impl Handover {
    /// For so many workers; also what each of them is handed over.
    pub(super) fn new(workers: usize) -> (Self, Vec<mpsc::Receiver<HandedOver>>) {
        let (senders, receivers) = (0..workers).map(|_| mpsc::channel(WAITING_MAX)).unzip();
        (Self(senders), receivers)
    }

    /// Hands `connection` over to a worker that has fewer, if there is one. Gives back what stays here.
    ///
    /// # Errors
    /// When the socket cannot be taken out of this worker's runtime; it is closed.
    pub(super) fn pass(&self, connection: NewConnection) -> io::Result<Option<NewConnection>> {
        let Some(to) = connection.admission.better_worker() else { return Ok(Some(connection)) };
        let Some(Ok(room)) = self.0.get(to).map(mpsc::Sender::try_reserve) else { return Ok(Some(connection)) };
        let NewConnection { mut admission, io, address } = connection;
        let socket = match io {
            Io::Tcp(tcp) => Socket::Tcp(tcp.into_std()?),
            Io::Unix(unix) => Socket::Unix(unix.into_std()?),
            // Its handshake is done here, and so it stays.
            Io::Tls(_) => return Ok(Some(NewConnection { admission, io, address })),
        };
        admission.passed_to(to);
        room.send(HandedOver { admission, socket, address });
        Ok(None)
    }
}

impl HandedOver {
    /// Takes it into the runtime that this is called in.
    ///
    /// # Errors
    /// When the machine does not let it; the connection is closed.
    pub(super) fn arrive(self) -> io::Result<NewConnection> {
        let io = match self.socket {
            Socket::Tcp(tcp) => Io::Tcp(TcpStream::from_std(tcp)?),
            Socket::Unix(unix) => Io::Unix(UnixStream::from_std(unix)?),
        };
        Ok(NewConnection { admission: self.admission, io, address: self.address })
    }
}
