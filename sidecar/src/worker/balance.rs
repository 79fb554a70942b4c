//! Which worker a connection is for: the one that has the fewest. The kernel divides connections over the listeners by a hash of their
//! addresses, and of two links both may well come to one worker. gRPC's connections last, so they would stay there.

use std::{
    io,
    net::TcpStream as StdTcpStream,
    os::unix::net::UnixStream as StdUnixStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

use super::{door::Admitted, io::Io};

/// Connections that wait for the worker that they were passed to. When there are more, they stay where they came in.
const PASSED_MAX: usize = 64;
/// As long as somebody has fewer than so many, nobody has two more. Beyond, few more are no reason to pass one on: connections that
/// are opened for one call would go back and forth.
const EXACT_BELOW: usize = 2;

/// How many connections of one listener each worker has.
#[derive(Debug)]
pub(super) struct Balance(Vec<Share>);

#[derive(Debug)]
struct Share {
    connections: AtomicUsize,
    queue: mpsc::Sender<Passed>,
}

/// A connection on its way from one worker to another.
#[derive(Debug)]
pub(super) struct Passed {
    admitted: Admitted,
    socket: Socket,
    address: Arc<str>,
}

/// A socket that belongs to no runtime.
#[derive(Debug)]
enum Socket {
    Tcp(StdTcpStream),
    Unix(StdUnixStream),
}

/// A connection that was let in and is not greeted yet: its socket, and where it comes from.
pub(super) type Newcomer = (Admitted, Io, Arc<str>);

impl Balance {
    /// For so many workers; also what each of them is passed.
    pub(super) fn of(workers: usize) -> (Self, Vec<mpsc::Receiver<Passed>>) {
        let (shares, queues) = (0..workers)
            .map(|_| mpsc::channel(PASSED_MAX))
            .map(|(queue, passed)| (Share { connections: AtomicUsize::new(0), queue }, passed))
            .unzip();
        (Self(shares), queues)
    }

    /// A worker has one more.
    pub(super) fn enter(&self, worker: usize) {
        if let Some(share) = self.0.get(worker) {
            share.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A worker has one less.
    pub(super) fn leave(&self, worker: usize) {
        if let Some(share) = self.0.get(worker) {
            share.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Who should have the connection that `worker` was the last to enter. `None`: it stays.
    fn lighter(&self, worker: usize) -> Option<usize> {
        let load = |share: &Share| share.connections.load(Ordering::Relaxed);
        let own = load(self.0.get(worker)?);
        let (lightest, least) = self.0.iter().map(load).enumerate().min_by_key(|(_, load)| *load)?;
        let slack = if least < EXACT_BELOW { 0 } else { 1 + least / 8 };
        (own > least + 1 + slack).then_some(lightest)
    }

    /// Passes a connection to a worker that has fewer, if there is one. Gives back what stays here.
    ///
    /// # Errors
    /// When the socket cannot be taken out of this worker's runtime; it is closed.
    pub(super) fn pass(&self, (mut admitted, io, address): Newcomer) -> io::Result<Option<Newcomer>> {
        let Some((to, share)) = self.lighter(admitted.worker()).and_then(|to| Some((to, self.0.get(to)?))) else {
            return Ok(Some((admitted, io, address)));
        };
        let Ok(room) = share.queue.try_reserve() else { return Ok(Some((admitted, io, address))) };
        let socket = match io {
            Io::Tcp(tcp) => Socket::Tcp(tcp.into_std()?),
            Io::Unix(unix) => Socket::Unix(unix.into_std()?),
            // It was greeted already.
            Io::Tls(_) => return Ok(Some((admitted, io, address))),
        };
        admitted.passed_to(to);
        room.send(Passed { admitted, socket, address });
        Ok(None)
    }
}

impl Passed {
    /// Takes it into the runtime that this is called in.
    ///
    /// # Errors
    /// When the machine does not let it; the connection is closed.
    pub(super) fn arrive(self) -> io::Result<Newcomer> {
        let io = match self.socket {
            Socket::Tcp(tcp) => Io::Tcp(TcpStream::from_std(tcp)?),
            Socket::Unix(unix) => Io::Unix(UnixStream::from_std(unix)?),
        };
        Ok((self.admitted, io, self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(loads: &[usize]) -> Balance {
        let (balance, _) = Balance::of(loads.len());
        for (worker, load) in loads.iter().enumerate() {
            (0..*load).for_each(|_| balance.enter(worker));
        }
        balance
    }

    #[test]
    fn a_connection_is_for_the_worker_with_the_fewest() {
        for (loads, of_first) in [
            (&[1, 0][..], None),
            (&[2, 0], Some(1)),
            (&[2, 1], None),
            (&[5, 4, 3], None),
            (&[6, 4, 3], Some(2)),
            (&[3, 1], Some(1)),
            (&[4, 2], None),
            (&[6, 4], None),
            (&[7, 4], Some(1)),
            (&[100, 90], None),
            (&[104, 90], Some(1)),
            (&[9], None),
        ] {
            assert_eq!(of(loads).lighter(0), of_first, "{loads:?}");
        }
    }

    #[test]
    fn who_left_is_no_load() {
        let balance = of(&[2, 0]);
        balance.leave(0);
        assert_eq!(balance.lighter(0), None);
    }
}
