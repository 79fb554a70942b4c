//! The load generator: one thread, no task and no allocation a call, every answer compared byte by byte.

mod connection;
mod pace;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use mio::{Events, Interest, Poll, Token, net::TcpStream, unix::SourceFd};
use socket2::{Domain, Socket, Type};

use self::{connection::Connection, pace::Pace};
use super::{fields::Field, histogram::Histogram, link::Link, message::Message};

const PACE: Token = Token(usize::MAX);
/// Errors after which a run is given up: something is wrong with the set-up, and the rest would be errors too.
const ERRORS_MAX: u64 = 10_000;
/// How long calls under way may take once the time is over.
const LAST_CALLS_LIMIT: Duration = Duration::from_secs(10);

/// How calls follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Manner {
    /// Each stream's next call begins when its last one has ended.
    Closed,
    /// Calls begin by the clock, so many a second, however long they take; latency counts from when a call was due.
    Offered(u32),
    /// Each call on a connection of its own.
    Fresh,
    /// One long call a stream; each message is answered before the next is sent, and counts as a call.
    Dialogue,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the proxy, or the server itself, listens for plain HTTP/2.
    pub address: SocketAddr,
    /// Value of `:path` of unary calls.
    pub unary: String,
    /// Value of `:path` of bidirectional streams.
    pub dialogue: String,
    /// Further metadata of each call.
    pub metadata: Vec<(&'static str, String)>,
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Connections.
    pub connections: usize,
    /// Calls at a time on each.
    pub streams: usize,
    /// See [`Manner`].
    pub manner: Manner,
    /// Time before counting begins.
    pub warm_up: Duration,
    /// Time for which is counted.
    pub length: Duration,
}

/// What came of it, in the counted time.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Calls (or messages of a dialogue) that were answered rightly.
    pub calls: u64,
    /// Calls that were not; counted over the whole run.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// Seconds that were counted.
    pub seconds: f64,
    /// Their latencies.
    pub latencies: Histogram,
}

/// What all connections of a run share.
pub(super) struct Run {
    pub(super) manner: Manner,
    pub(super) message: Message,
    pub(super) fields: Vec<Field>,
    /// The stamp of the next message.
    pub(super) stamp: u64,
    /// Calls are counted.
    pub(super) counts: bool,
    /// No further calls are begun.
    pub(super) over: bool,
    pub(super) tally: Tally,
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let path = if plan.manner == Manner::Dialogue { &plan.dialogue } else { &plan.unary };
        let mut fields = vec![
            Field::known(4, path),
            Field::known(1, &plan.address.to_string()),
            Field::named("te", "trailers"),
            Field::known(31, "application/grpc"),
            Field::known(58, "chapar-benchmark"),
        ];
        fields.extend(plan.metadata.iter().map(|(name, value)| Field::named(name, value)));
        let message = Message::new(plan.message_bytes);
        Self { manner: plan.manner, message, fields, stamp: 0, counts: false, over: false, tally: Tally::default() }
    }

    pub(super) fn answered(&mut self, began: Instant) {
        if self.counts {
            self.tally.calls += 1;
            self.tally.latencies.add(began.elapsed());
        }
    }

    pub(super) fn failed(&mut self, why: impl FnOnce() -> String) {
        self.tally.errors += 1;
        self.tally.first_error.get_or_insert_with(why);
    }
}

/// Makes the calls of `plan`; `counted` is called when counting begins (`true`) and ends (`false`).
///
/// # Errors
/// When no connection can be had, or errors outnumber any use.
pub fn run(plan: &Plan, counted: &mut dyn FnMut(bool)) -> Result<Tally> {
    let mut generator = Generator::new(plan)?;
    generator.open_all()?;
    let began = Instant::now();
    generator.until(began + plan.warm_up)?;
    generator.run.counts = true;
    counted(true);
    let from = Instant::now();
    generator.until(from + plan.length)?;
    counted(false);
    generator.run.tally.seconds = from.elapsed().as_secs_f64();
    generator.run.counts = false;
    generator.run.over = true;
    generator.finish()?;
    Ok(generator.run.tally)
}

struct Generator<'a> {
    plan: &'a Plan,
    run: Run,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    pace: Option<Pace>,
    /// The connection that the next call by the clock takes.
    turn: usize,
    /// Connections opened from addresses of their own.
    opened: u32,
}

impl<'a> Generator<'a> {
    fn new(plan: &'a Plan) -> Result<Self> {
        let poll = Poll::new()?;
        let pace = match plan.manner {
            Manner::Offered(per_second) => {
                let pace = Pace::new(per_second)?;
                poll.registry().register(&mut SourceFd(&pace.timer().as_raw_fd()), PACE, Interest::READABLE)?;
                Some(pace)
            }
            _ => None,
        };
        let events = Events::with_capacity(1_024);
        Ok(Self { plan, run: Run::new(plan), poll, events, connections: Vec::new(), pace, turn: 0, opened: 0 })
    }

    fn open_all(&mut self) -> Result<()> {
        for number in 0..self.plan.connections {
            let connection = self.open(number)?;
            self.connections.push(connection);
        }
        Ok(())
    }

    fn open(&mut self, number: usize) -> Result<Connection> {
        let began = Instant::now();
        // Blocking, which on loopback is no wait; a refused connection is told here.
        let socket = self.connect().with_context(|| format!("connect to {}", self.plan.address))?;
        socket.set_nonblocking(true)?;
        let link = Link::new(TcpStream::from_std(socket), self.poll.registry(), Token(number))?;
        let slots = if matches!(self.plan.manner, Manner::Offered(_)) { 0 } else { self.plan.streams };
        Ok(Connection::new(link, slots, began, &self.run))
    }

    /// Where each call has a connection of its own, each connection has an address of its own (all of 127/8 is this machine):
    /// one address would run out of ports, since the kernel keeps those of closed connections for a minute.
    fn connect(&mut self) -> io::Result<std::net::TcpStream> {
        if self.plan.manner != Manner::Fresh {
            return std::net::TcpStream::connect(self.plan.address);
        }
        self.opened = self.opened.wrapping_add(1);
        let [_, b, c, d] = self.opened.to_be_bytes();
        let own = Ipv4Addr::new(127, 1 + b % 254, c, d.max(1));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((own, 0)).into())?;
        socket.connect(&self.plan.address.into())?;
        Ok(socket.into())
    }

    fn until(&mut self, end: Instant) -> Result<()> {
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            self.turn_once(end - now)?;
        }
    }

    fn finish(&mut self) -> Result<()> {
        for connection in &mut self.connections {
            connection.say_goodbye(&self.run);
            connection.flush(&mut self.run)?;
        }
        let end = Instant::now() + LAST_CALLS_LIMIT;
        while self.connections.iter().any(Connection::is_busy) {
            let now = Instant::now();
            if now >= end {
                let open: usize = self.connections.iter().map(Connection::calls).sum();
                for _ in 0..open {
                    self.run.failed(|| format!("not answered within {LAST_CALLS_LIMIT:?} of the end"));
                }
                return Ok(());
            }
            self.turn_once(end - now)?;
        }
        Ok(())
    }

    fn turn_once(&mut self, wait: Duration) -> Result<()> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait))
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == PACE {
                continue;
            }
            let number = event.token().0;
            let Some(connection) = self.connections.get_mut(number) else { continue };
            let went = connection.progress(&mut self.run, event.is_readable());
            if let Err(error) = went {
                let lost = connection.calls();
                for _ in 0..lost {
                    self.run.failed(|| format!("{error:#}"));
                }
                self.renew(number)?;
            } else if connection.is_spent(&self.run) {
                self.renew(number)?;
            }
        }
        self.events = events;
        if self.run.tally.errors > ERRORS_MAX {
            bail!("{} errors; the first: {}", self.run.tally.errors, self.run.tally.first_error.as_deref().unwrap_or(""));
        }
        self.begin_due()
    }

    /// A new connection in the place of one that is spent.
    fn renew(&mut self, number: usize) -> Result<()> {
        let again = !self.run.over;
        let fresh = if again { Some(self.open(number)?) } else { None };
        if let Some(place) = self.connections.get_mut(number) {
            place.leave(self.poll.registry());
            match fresh {
                Some(fresh) => *place = fresh,
                None => place.close(),
            }
        }
        Ok(())
    }

    /// Begins what is due by the clock.
    fn begin_due(&mut self) -> Result<()> {
        let Some(pace) = &mut self.pace else { return Ok(()) };
        pace.heard();
        if self.run.over {
            return Ok(());
        }
        let count = self.connections.len();
        while let Some(due) = pace.due() {
            self.turn = (self.turn + 1) % count;
            if let Some(connection) = self.connections.get_mut(self.turn) {
                connection.begin_at(due, &mut self.run);
                connection.flush(&mut self.run)?;
            }
        }
        Ok(())
    }
}
