//! The agency's own server in the benchmark: it sends every message back, and costs as little as possible.
//!
//! It reads no header: each whole gRPC message of a stream is answered by the same message, and the end of the stream by
//! `grpc-status: 0`. The echo service's request and answer carry the payload in the same field, so that this is a true answer of
//! that service. An empty message can only come from a health check, and is answered "serving".

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    io,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Result, ensure};
use mio::{Events, Interest, Poll, Token, net::TcpListener};

use super::{
    fields::{Field, Writer},
    frame::{self, flag, kind, setting},
    link::{Event, Link, STREAM_WINDOW_BYTES},
};

const LISTENER: Token = Token(usize::MAX);
/// Streams that it takes at a time on one connection.
const STREAMS_MAX: u32 = 4_096;
/// Bytes before a gRPC message: a flag and the length.
const PREFIX_BYTES: usize = 5;
/// `grpc.health.v1.HealthCheckResponse{status: SERVING}` as a gRPC message.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];
/// Buffers of ended streams that a connection keeps for the next ones.
const SPARE_BODIES_MAX: usize = 64;

const CONTENT_TYPE: usize = 0;
const GRPC_STATUS: usize = 1;

/// Starts the server on a thread of its own, which ends with the process.
///
/// # Errors
/// When no port can be had.
pub fn start() -> Result<SocketAddr> {
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.local_addr()?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    std::thread::Builder::new().name("upstream".to_owned()).spawn(move || {
        let server = Server { listener, connections: Vec::new(), fields: fields() };
        if let Err(error) = server.run(&mut poll) {
            eprintln!("the benchmark's server ended: {error:#}");
        }
    })?;
    Ok(address)
}

fn fields() -> [Field; 2] {
    [Field::known(31, "application/grpc"), Field::named("grpc-status", "0")]
}

struct Server {
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    fields: [Field; 2],
}

impl Server {
    fn run(mut self, poll: &mut Poll) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            if let Err(error) = poll.poll(&mut events, None)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept(poll)?;
                } else if let Some(place) = self.connections.get_mut(event.token().0)
                    && let Some(connection) = place
                    && connection.progress(&self.fields, event.is_readable(), event.is_read_closed()).is_err()
                {
                    connection.link.leave(poll.registry());
                    *place = None;
                }
            }
        }
    }

    fn accept(&mut self, poll: &Poll) -> Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let at = self.connections.iter().position(Option::is_none).unwrap_or(self.connections.len());
            let connection = Connection::new(Link::new(socket, poll.registry(), Token(at))?);
            match self.connections.get_mut(at) {
                Some(place) => *place = Some(connection),
                None => self.connections.push(Some(connection)),
            }
        }
    }
}

struct Connection {
    link: Link,
    prefaced: bool,
    writer: Writer,
    streams: Streams,
    spare: Vec<Vec<u8>>,
}

type Streams = HashMap<u32, Stream, BuildHasherDefault<OddHasher>>;

/// Stream numbers count up by two: they spread by themselves.
#[derive(Default)]
struct OddHasher(u64);

impl Hasher for OddHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u32(&mut self, stream: u32) {
        self.0 = u64::from(stream >> 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[derive(Default)]
struct Stream {
    /// What was received and not yet dropped.
    body: Vec<u8>,
    /// Where the first message that is not yet whole begins.
    whole: usize,
    /// How much was sent back.
    sent: usize,
    /// Bytes of the stream's window that are used.
    used: i64,
    headed: bool,
    ended: bool,
}

impl Connection {
    fn new(mut link: Link) -> Self {
        link.introduce(&[(setting::MAX_CONCURRENT_STREAMS, STREAMS_MAX), (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES)]);
        Self { link, prefaced: false, writer: Writer::new(2), streams: Streams::default(), spare: Vec::new() }
    }

    /// An end that was told along with the last bytes is not told again: `closed` has it read to the end.
    fn progress(&mut self, fields: &[Field; 2], readable: bool, closed: bool) -> Result<()> {
        let mut more = readable || closed;
        while more {
            more = self.link.receive()? || (closed && !self.link.ended);
            if !self.prefaced {
                match self.link.take_exactly(frame::PREFACE) {
                    Some(same) => ensure!(same, "no HTTP/2"),
                    None => break,
                }
                self.prefaced = true;
            }
            while let Some(event) = self.link.event()? {
                self.react(fields, event);
            }
        }
        while self.link.flush()? {
            self.send_all(fields);
        }
        ensure!(!self.link.ended, "the other end is gone");
        Ok(())
    }

    fn react(&mut self, fields: &[Field; 2], event: Event) {
        match event {
            Event::Headers { stream, end, .. } => {
                let entry = self.streams.entry(stream).or_default();
                entry.ended |= end;
                if entry.body.capacity() == 0 {
                    entry.body = self.spare.pop().unwrap_or_default();
                }
                if end {
                    self.send(fields, stream);
                }
            }
            Event::Data { stream, bytes, end } => {
                if let Some(entry) = self.streams.get_mut(&stream) {
                    entry.take(self.link.bytes(bytes), end);
                    self.send(fields, stream);
                }
            }
            Event::Reset { stream, .. } => drop(self.streams.remove(&stream)),
            Event::Window { stream, by } => {
                if let Some(entry) = self.streams.get_mut(&stream) {
                    entry.used -= i64::from(by);
                    self.send(fields, stream);
                }
            }
            Event::Room => {
                self.writer.table_bytes(self.link.peer.table_bytes);
                self.send_all(fields);
            }
            Event::GoAway { .. } => {}
        }
    }

    fn send_all(&mut self, fields: &[Field; 2]) {
        let waiting: Vec<u32> =
            self.streams.iter().filter(|(_, stream)| stream.sent < stream.whole).map(|(number, _)| *number).collect();
        for number in waiting {
            self.send(fields, number);
        }
    }

    /// Sends back what may be sent of `number`, and its end after the last of it.
    fn send(&mut self, fields: &[Field; 2], number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if stream.sent < stream.whole && !stream.headed {
            stream.headed = true;
            put_block(&mut self.link.output, &mut self.writer, number, 0, |writer, out| {
                out.push(0x88);
                writer.put(out, CONTENT_TYPE, &fields[CONTENT_TYPE]);
            });
        }
        while stream.sent < stream.whole {
            let length = self.link.room(stream.used).min(stream.whole - stream.sent);
            if length == 0 {
                return;
            }
            frame::put_head(&mut self.link.output, length, kind::DATA, 0, number);
            self.link.output.extend_from_slice(stream.body.get(stream.sent..stream.sent + length).unwrap_or_default());
            self.link.window -= length as i64;
            stream.used += length as i64;
            stream.sent += length;
        }
        if stream.ended {
            let headed = stream.headed;
            put_block(&mut self.link.output, &mut self.writer, number, flag::END_STREAM, |writer, out| {
                if !headed {
                    out.push(0x88);
                    writer.put(out, CONTENT_TYPE, &fields[CONTENT_TYPE]);
                }
                writer.put(out, GRPC_STATUS, &fields[GRPC_STATUS]);
            });
            let ended = self.streams.remove(&number);
            if let Some(mut body) = ended.map(|stream| stream.body).filter(|_| self.spare.len() < SPARE_BODIES_MAX) {
                body.clear();
                self.spare.push(body);
            }
        } else if stream.sent == stream.body.len() {
            stream.body.clear();
            stream.whole = 0;
            stream.sent = 0;
        }
    }
}

impl Stream {
    fn take(&mut self, bytes: &[u8], end: bool) {
        self.body.extend_from_slice(bytes);
        self.ended |= end;
        while let Some(&[_, a, b, c, d]) = self.body.get(self.whole..).and_then(|rest| rest.first_chunk::<PREFIX_BYTES>()) {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            let next = self.whole + PREFIX_BYTES + length;
            if next > self.body.len() {
                // Room at once: a large message would otherwise be moved each time that its buffer grows.
                self.body.reserve(next - self.body.len());
                return;
            }
            if length == 0 {
                self.body.splice(self.whole..next, SERVING.iter().copied());
                self.whole += SERVING.len();
            } else {
                self.whole = next;
            }
        }
    }
}

fn put_block(out: &mut Vec<u8>, writer: &mut Writer, stream: u32, flags: u8, fill: impl FnOnce(&mut Writer, &mut Vec<u8>)) {
    let at = out.len();
    frame::put_head(out, 0, kind::HEADERS, flags | flag::END_HEADERS, stream);
    writer.begin(out);
    fill(writer, out);
    let length = (out.len() - at - frame::HEAD_BYTES) as u32;
    if let Some(place) = out.get_mut(at..at + 3) {
        place.copy_from_slice(&length.to_be_bytes()[1..]);
    }
}
