//! What one worker holds: the relay, and the sockets that feed it and that it feeds.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use chapar_relay::{CloseReason, ConnectionKey, Relay};

use super::connections::{Connections, Counted};
use crate::{
    gate::Gate,
    transport::{Arrived, Wire},
};

/// Bytes that are read from a socket at a time, through one buffer for all connections of the worker: as much as a socket
/// commonly holds under load, in one system call.
const READ_BYTES: usize = 64 * 1024;
/// As much is read at a time from a connection that brings calls by the hundred: some hundred heads.
const READ_BYTES_OF_MANY_CALLS: usize = 4 * 1024;
/// Reads from one connection before the others get their turn.
const READS_A_TURN: usize = 4;
/// Calls that one connection opens before the others get their turn. A call that is refused takes little of its connection, and as
/// much of the worker as another.
const CALLS_A_TURN: u64 = 128;

/// The worker's own; nothing of it is shared with other threads.
#[derive(Debug)]
pub(super) struct State {
    pub(super) relay: Relay<Gate>,
    pub(super) connections: Connections,
    /// Connections whose sockets have room again.
    pub(super) unblocked: Vec<ConnectionKey>,
    buffer: Box<[u8]>,
}

/// A connection that is done with; what is left of it need not be waited for by anyone.
#[derive(Debug)]
pub(super) enum Gone {
    /// The relay closed it: the last bytes should still reach the other end.
    Closed(Wire),
    /// It broke, or the other end closed it.
    Broken,
}

impl State {
    pub(super) fn new(relay: Relay<Gate>) -> Self {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Self { relay, connections: Connections::default(), unblocked: Vec::new(), buffer }
    }

    /// Takes a connection in whose relay end is `key`, with what was read of it already.
    pub(super) fn begin(&mut self, key: ConnectionKey, mut wire: Wire, counted: Counted, now: Instant) {
        // What breaks here breaks again at the first real read.
        let _ = wire.read_ahead(|bytes| self.relay.received(key, bytes, now));
        self.connections.insert(key, wire, counted);
    }

    /// Reads what has come from `key`. Ready when the connection is gone.
    pub(super) fn poll_read(&mut self, key: ConnectionKey, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let calls_before = self.relay.counters().calls;
        for _ in 0..READS_A_TURN {
            let opened = self.relay.counters().calls - calls_before;
            let Some(connection) = self.connections.find(key) else { return Poll::Ready(()) };
            if opened >= CALLS_A_TURN {
                connection.brings_many_calls = true;
                break;
            }
            if !connection.waker.will_wake(cx.waker()) {
                connection.waker.clone_from(cx.waker());
            }
            if std::mem::take(&mut connection.blocked) {
                self.unblocked.push(key);
            }
            if self.relay.closing(key).is_some() {
                // What it still says is read and thrown away while it lingers.
                return Poll::Pending;
            }
            let relay = &mut self.relay;
            let read_max = if connection.brings_many_calls { READ_BYTES_OF_MANY_CALLS } else { READ_BYTES };
            let buffer = self.buffer.get_mut(..read_max).unwrap_or_default();
            match connection.wire.poll_read(cx, buffer, |bytes| relay.received(key, bytes, now)) {
                Poll::Pending => {
                    // It has no more than can be read at once.
                    connection.brings_many_calls = false;
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Arrived::Bytes)) => {}
                Poll::Ready(Ok(Arrived::End) | Err(_)) => {
                    self.end(key, now);
                    return Poll::Ready(());
                }
            }
        }
        // There may be more, after the others.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The next connection that there may be something to write to.
    pub(super) fn next_to_write(&mut self) -> Option<ConnectionKey> {
        match self.unblocked.pop() {
            Some(key) => Some(key),
            None => self.relay.next_dirty(),
        }
    }

    /// Writes what there is for `key`; gives it back when that was the last.
    pub(super) fn write(&mut self, key: ConnectionKey, now: Instant) -> Option<(Gone, Option<CloseReason>)> {
        loop {
            // Before anybody can learn that a call has ended, the call is on record. Nothing is done when nothing waits.
            self.relay.gate_mut().commit();
            let connection = self.connections.find(key)?;
            let output = self.relay.output(key);
            let idle = output.is_empty() && !connection.wire.wants_write();
            if idle || connection.blocked {
                let why = self.relay.closing(key).filter(|_| output.is_empty())?;
                return self.end(key, now).map(|wire| (Gone::Closed(wire), Some(why)));
            }
            let mut cx = Context::from_waker(&connection.waker);
            match connection.wire.write(&mut cx, output) {
                Ok(left) => {
                    connection.blocked = left.blocked;
                    if left.taken > 0 {
                        self.relay.written(key, left.taken, now);
                    } else if !left.blocked {
                        // TLS had something of its own to say, and has said it.
                        continue;
                    }
                }
                Err(_) => {
                    let why = self.relay.closing(key);
                    self.end(key, now);
                    return Some((Gone::Broken, why));
                }
            }
        }
    }

    /// The connection is no longer: its calls learn of it, and its socket is given back.
    pub(super) fn end(&mut self, key: ConnectionKey, now: Instant) -> Option<Wire> {
        let connection = self.connections.remove(key)?;
        self.relay.closed(key, now);
        Some(connection.wire)
    }
}
