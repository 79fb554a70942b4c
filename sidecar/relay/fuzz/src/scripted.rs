//! The relay between two ends that do what the fuzzer says, in order or out of it.

use std::time::{Duration, Instant};

use chapar_relay::{
    ConnectionKey, EndpointConfig, EndpointKey, Event, Limits, Probe, Relay,
    frame::{ErrorCode, FrameHead, HEAD_BYTES, Kind, PREFACE, Settings, flags, put_goaway, put_headers, put_reset, put_settings},
};

use super::{
    gate::ScriptedGate,
    input::Input,
    referee::Referee,
    script::{self, put_message, put_trailers, request, response},
    trace,
};

/// The relay holds no more than this for one connection, whatever its peer does: its output's limit and what one step adds.
const OUTPUT_BYTES_MAX: usize = 8 << 20;

struct End {
    key: ConnectionKey,
    is_link: bool,
    referee: Referee,
    /// Bytes of the output that the referee has seen already.
    looked: usize,
    /// What was sent of a frame that is not whole yet.
    begun: Vec<u8>,
    preface_left: usize,
    next_stream: u32,
    opened: Vec<u32>,
    /// The relay was told that it is gone.
    is_closed: bool,
}

pub struct Script {
    relay: Relay<ScriptedGate>,
    now: Instant,
    ends: Vec<End>,
    endpoints: Vec<EndpointKey>,
    dials: Vec<EndpointKey>,
    /// Frames arrive in pieces of so many bytes.
    piece_bytes: usize,
}

pub fn run(bytes: &[u8]) {
    let input = &mut Input::new(bytes);
    let choice = input.byte();
    let orderly = input.byte();
    let mut script = Script::new(choice, if orderly & 4 == 0 { usize::MAX } else { 1 + usize::from(orderly >> 3) });
    script.accept(orderly & 1 == 0);
    while !input.is_empty() {
        script.step(input);
        script.look();
        if orderly & 2 == 0 {
            script.drain_outputs(usize::MAX);
        }
    }
    script.end();
}

impl Script {
    fn new(choice: u8, piece_bytes: usize) -> Self {
        let limits = Limits {
            calls_per_connection_max: if choice & 1 == 0 { 4 } else { 100 },
            replay_bytes_max: if choice & 2 == 0 { 0 } else { 64 },
            first_message_bytes_max: 1_000,
            transformed_message_bytes_max: 1_000,
            pending_per_endpoint_max: 3,
            connections_per_endpoint_max: 2,
            call_window_bytes: 65_535,
            connection_window_bytes: if choice & 4 == 0 { 65_535 } else { 1 << 20 },
            output_bytes_soft_max: if choice & 8 == 0 { 256 } else { 1 << 16 },
            output_bytes_hard_max: 1 << 18,
            // One reset at once on a link, the others by and by.
            relayed_resets_max: if choice & 64 == 0 { Limits::default().relayed_resets_max } else { 2 },
            ..Limits::default()
        };
        let now = Instant::now();
        let mut relay = Relay::new(ScriptedGate::default(), limits, 1, now);
        let config = EndpointConfig { https: choice & 16 == 0, authority: "server", probe: Probe::Ping };
        let endpoints: Vec<_> = (0..1 + (choice >> 5 & 1)).map(|_| relay.endpoints(now).add((), &config)).collect();
        relay.gate_mut().endpoints.clone_from(&endpoints);
        Self { relay, now, ends: Vec::new(), endpoints, dials: Vec::new(), piece_bytes }
    }

    fn accept(&mut self, orderly: bool) {
        let key = self.relay.accept((), Probe::Ping, self.now);
        self.begin(key, false, orderly);
    }

    fn begin(&mut self, key: ConnectionKey, is_link: bool, orderly: bool) {
        let preface_left = if is_link { 0 } else { PREFACE.len() };
        let (begun, opened) = (Vec::new(), Vec::new());
        let end = End {
            key,
            is_link,
            referee: Referee::new(is_link),
            looked: 0,
            begun,
            preface_left,
            next_stream: 1,
            opened,
            is_closed: false,
        };
        self.ends.push(end);
        let at = self.ends.len() - 1;
        self.look();
        if orderly {
            let mut greeting = if is_link { Vec::new() } else { PREFACE.to_vec() };
            put_settings(&mut greeting, &Settings::default());
            FrameHead::new(Kind::Settings, flags::ACK, 0, 0).put(&mut greeting);
            self.send(at, &greeting);
        }
    }

    /// Sends bytes, up to the end of one frame at a time, so that the referee knows what the relay knew.
    fn send(&mut self, at: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some(end) = self.ends.get_mut(at) else { return };
            let wanted = match FrameHead::read(&end.begun) {
                _ if end.preface_left > 0 => end.preface_left,
                Some(head) => head.frame_bytes() - end.begun.len(),
                None => HEAD_BYTES - end.begun.len(),
            };
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if end.preface_left > 0 {
                if !PREFACE[PREFACE.len() - end.preface_left..].starts_with(part) {
                    end.referee.break_law();
                }
                end.preface_left -= part.len();
            } else {
                end.begun.extend_from_slice(part);
                if let Some(head) = FrameHead::read(&end.begun).filter(|head| head.frame_bytes() == end.begun.len()) {
                    end.referee.sending(&head, &end.begun[HEAD_BYTES..]);
                    end.begun.clear();
                }
            }
            let key = end.key;
            for piece in part.chunks(self.piece_bytes) {
                if self.relay.closing(key).is_none() {
                    self.relay.received(key, piece, self.now);
                }
            }
            self.look();
        }
    }

    /// Serves what the relay asks for, and shows the referees what it wrote.
    fn look(&mut self) {
        while let Some(event) = self.relay.next_event() {
            if let Event::Dial { endpoint } = event {
                self.dials.push(endpoint);
            }
        }
        while self.relay.next_dirty().is_some() {}
        for end in &mut self.ends {
            let output = self.relay.output(end.key);
            assert!(output.len() <= OUTPUT_BYTES_MAX, "an output is bounded");
            // A closing connection may drop what it could not write.
            if let Some(new) = output.get(end.looked..) {
                end.referee.wrote(new);
                end.looked = output.len();
            }
        }
        let gate = self.relay.gate();
        assert_eq!(gate.opened - gate.closed, self.relay.calls() as u64, "every call that was opened runs, or was closed once");
    }

    fn drain_outputs(&mut self, bytes_max: usize) {
        for at in 0..self.ends.len() {
            let end = &mut self.ends[at];
            let bytes = self.relay.output(end.key).len().min(bytes_max).min(end.looked);
            end.looked -= bytes;
            self.relay.written(end.key, bytes, self.now);
            let key = end.key;
            self.look();
            if self.relay.closing(key).is_some() && self.relay.output(key).is_empty() {
                self.close(at);
            }
        }
        self.ends.retain(|end| !end.is_closed);
    }

    fn close(&mut self, at: usize) {
        if let Some(end) = self.ends.get_mut(at) {
            end.is_closed = true;
            self.relay.closed(end.key, self.now);
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let operation = input.byte();
        trace!("operation {}", operation & 0x3f);
        let at = usize::from(operation >> 6) % self.ends.len().max(1);
        match operation & 0x3f {
            0..=39 => {
                let Some(end) = self.ends.get_mut(at) else { return self.accept(true) };
                let frame = if end.is_link { end.answer(operation & 0x3f, input) } else { end.ask(operation & 0x3f, input) };
                self.send(at, &frame);
            }
            40..=43 => {
                let bytes = input.string();
                self.send(at, bytes);
            }
            44..=47 => self.dialled(input.byte()),
            48 if self.ends.len() < 8 => self.accept(input.byte() & 7 != 0),
            49 => self.close(at),
            50 => {
                self.now += Duration::from_millis(u64::from(input.word()));
                self.relay.tick(self.now);
            }
            51 => {
                if let Some(then) = self.relay.next_timer() {
                    self.now = self.now.max(then);
                    self.relay.tick(self.now);
                }
            }
            52 => self.drain_outputs(usize::from(input.word())),
            53 => {
                let yes = input.byte() & 1 == 0;
                if let Some(call) = self.relay.gate_mut().awaiting.pop() {
                    self.relay.running(self.now).answer(call, yes);
                }
            }
            54 => {
                self.relay.running(self.now).start_recheck();
                while self.relay.running(self.now).continue_recheck(1) {}
            }
            55..=63 => self.manage(operation & 0x3f, at, input),
            _ => {}
        }
    }

    fn manage(&mut self, operation: u8, at: usize, input: &mut Input<'_>) {
        let endpoint = self.endpoints[usize::from(input.byte()) % self.endpoints.len()];
        match operation {
            55 => self.relay.endpoints(self.now).keep_open(endpoint, input.byte() & 1 == 0),
            56 => self.relay.endpoints(self.now).retire_connections(endpoint),
            57 => self.relay.endpoints(self.now).set_healthy(endpoint, input.byte() & 1 == 0),
            58 => {
                if let Some(end) = self.ends.get(at) {
                    self.relay.retire(end.key, self.now);
                }
            }
            59 => self.relay.running(self.now).cut_all(),
            60 if input.byte() & 7 == 0 => self.relay.drain(self.now),
            61 if input.byte() & 7 == 0 => self.relay.endpoints(self.now).remove(endpoint),
            _ => {}
        }
    }

    fn dialled(&mut self, how: u8) {
        let Some(endpoint) = self.dials.pop() else { return };
        if how & 7 == 7 {
            self.relay.dial_failed(endpoint, (), self.now);
        } else if let Some(key) = self.relay.dialled(endpoint, (), self.now) {
            self.begin(key, true, how & 3 != 3);
        }
    }

    /// Whatever happened, everything ends: no call is left, none was closed twice or never.
    fn end(mut self) {
        for endpoint in std::mem::take(&mut self.dials) {
            self.relay.dial_failed(endpoint, (), self.now);
        }
        for at in 0..self.ends.len() {
            self.close(at);
            self.look();
        }
        self.relay.running(self.now).cut_all();
        self.look();
        assert_eq!(self.relay.calls(), 0, "no call outlives its connections");
        assert_eq!(self.relay.connections(), 0);
    }
}

impl End {
    /// A frame of a client.
    fn ask(&mut self, operation: u8, input: &mut Input<'_>) -> Vec<u8> {
        if operation >= 10 || self.opened.is_empty() && operation >= 5 {
            return script::either(operation, input);
        }
        let mut out = Vec::new();
        if operation < 5 {
            let stream = self.next_stream;
            self.next_stream += 2;
            self.opened.push(stream);
            put_headers(&mut out, stream, &request(input), operation == 4, 16_384);
            return out;
        }
        let stream = self.opened[usize::from(input.byte()) % self.opened.len()];
        match operation {
            5..=7 => put_message(&mut out, stream, input, operation == 7),
            8 => put_trailers(&mut out, stream, input),
            _ => put_reset(&mut out, stream, ErrorCode(u32::from(input.byte()))),
        }
        out
    }

    /// A frame of a server.
    fn answer(&mut self, operation: u8, input: &mut Input<'_>) -> Vec<u8> {
        let live: Vec<u32> = self.referee.opened.iter().copied().filter(|stream| self.referee.is_live(*stream)).collect();
        if operation >= 12 || live.is_empty() {
            return script::either(operation, input);
        }
        let mut out = Vec::new();
        let stream = live[usize::from(input.byte()) % live.len()];
        match operation {
            0..=3 => put_headers(&mut out, stream, &response(input), operation == 3, 16_384),
            4..=7 => put_message(&mut out, stream, input, operation == 7),
            8..=9 => put_trailers(&mut out, stream, input),
            10 => put_reset(&mut out, stream, ErrorCode(u32::from(input.byte()))),
            _ => put_goaway(&mut out, u32::from(input.byte()), ErrorCode(u32::from(input.byte())), ""),
        }
        out
    }
}
