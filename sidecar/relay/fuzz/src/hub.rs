//! The relay between pipes in memory.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use chapar_relay::{ConnectionKey, EndpointConfig, Event, Limits, Probe, Relay};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::{gate::ScriptedGate, referee::Referee, trace};

struct Wire {
    key: ConnectionKey,
    pipe: DuplexStream,
    referee: Referee,
    looked: usize,
    /// The other end has closed its pipe.
    ended: bool,
}

/// Carries bytes between the relay and pipes; what the relay dials is given to `serve`.
pub struct Hub<S> {
    relay: Relay<ScriptedGate>,
    now: Instant,
    wires: Vec<Wire>,
    pipe_bytes: usize,
    read_bytes: usize,
    serve: S,
}

impl<S: FnMut(DuplexStream)> Hub<S> {
    /// A hub with one connection, at whose other end is the pipe that it returns. The sizes say into how small pieces all is torn.
    pub fn new(limits: Limits, pipe_bytes: usize, read_bytes: usize, serve: S) -> (Self, DuplexStream) {
        let now = Instant::now();
        let mut relay = Relay::new(ScriptedGate::default(), limits, 1, now);
        let endpoint = relay.endpoints(now).add((), &EndpointConfig { https: false, authority: "server", probe: Probe::Never });
        relay.gate_mut().endpoints.push(endpoint);
        let (near, far) = duplex(pipe_bytes);
        let key = relay.accept((), Probe::Never, now);
        let mut hub = Self { relay, now, wires: Vec::new(), pipe_bytes, read_bytes, serve };
        hub.wire(key, near, false);
        (hub, far)
    }

    fn wire(&mut self, key: ConnectionKey, pipe: DuplexStream, is_link: bool) {
        let mut referee = Referee::new(is_link);
        // What the other end says is not looked at, so only what needs no knowledge of it is judged.
        referee.break_law();
        self.wires.push(Wire { key, pipe, referee, looked: 0, ended: false });
    }

    /// One round over all wires; whether anything moved.
    fn round(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        for wire in &mut self.wires {
            let mut space = vec![0; self.read_bytes];
            let mut buffer = ReadBuf::new(&mut space);
            if !wire.ended
                && let Poll::Ready(read) = Pin::new(&mut wire.pipe).poll_read(context, &mut buffer)
            {
                moved = true;
                if read.is_err() || buffer.filled().is_empty() {
                    wire.ended = true;
                    self.relay.closed(wire.key, self.now);
                } else {
                    trace!("{:?} is sent {}", wire.key, buffer.filled().escape_ascii());
                    self.relay.received(wire.key, buffer.filled(), self.now);
                }
            }
            let output = self.relay.output(wire.key);
            if let Some(new) = output.get(wire.looked..) {
                wire.referee.wrote(new);
                wire.looked = output.len();
            }
            if !output.is_empty()
                && let Poll::Ready(written) = Pin::new(&mut wire.pipe).poll_write(context, output)
            {
                moved = true;
                let bytes = written.unwrap_or(output.len());
                wire.looked -= bytes;
                self.relay.written(wire.key, bytes, self.now);
            }
            if self.relay.closing(wire.key).is_some() && self.relay.output(wire.key).is_empty() && !wire.ended {
                moved = true;
                wire.ended = true;
                self.relay.closed(wire.key, self.now);
            }
        }
        let before = self.wires.len();
        self.wires.retain(|wire| !wire.ended);
        while let Some(event) = self.relay.next_event() {
            let Event::Dial { endpoint } = event else { continue };
            let (near, far) = duplex(self.pipe_bytes);
            if let Some(key) = self.relay.dialled(endpoint, (), self.now) {
                self.wire(key, near, true);
                (self.serve)(far);
            }
        }
        while self.relay.next_dirty().is_some() {}
        moved || self.wires.len() != before
    }
}

impl<S: FnMut(DuplexStream) + Unpin> Future for Hub<S> {
    type Output = ();

    /// Ends when all connections have.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        while self.round(context) {}
        if self.wires.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<S> Drop for Hub<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for wire in &self.wires {
            self.relay.closed(wire.key, self.now);
        }
        self.relay.running(self.now).cut_all();
        assert_eq!(self.relay.calls(), 0);
        assert_eq!(self.relay.gate().opened, self.relay.gate().closed);
    }
}
