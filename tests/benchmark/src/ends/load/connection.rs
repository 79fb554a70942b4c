//! One connection of the load generator, and the calls on it.

use std::{collections::VecDeque, ops::Range, time::Instant};

use anyhow::{Result, bail, ensure};
use mio::Registry;

use super::{
    super::{
        fields::{self, Writer},
        frame::{self, flag, kind, setting},
        link::{Event, Link, STREAM_WINDOW_BYTES},
    },
    Manner, Run,
};

/// One call under way.
#[derive(Debug)]
struct Call {
    stream: u32,
    /// When it began, or was due; of a dialogue: when its message was sent.
    began: Instant,
    stamp: u64,
    sent: usize,
    /// Bytes of the stream's window that are used.
    used: i64,
    answered: usize,
    headed: bool,
    /// This end has said all.
    said_all: bool,
}

/// A connection.
pub(super) struct Connection {
    link: Link,
    writer: Writer,
    next_stream: u32,
    calls: Vec<Call>,
    /// Calls to begin as soon as the other end has introduced itself, or has room.
    waiting: VecDeque<Instant>,
    /// The other end takes no further calls.
    leaving: bool,
    closed: bool,
}

impl Connection {
    pub(super) fn new(mut link: Link, slots: usize, began: Instant, run: &Run) -> Self {
        link.output.extend_from_slice(frame::PREFACE);
        link.introduce(&[
            // Answers then refer to nothing before them, and can be judged by themselves.
            (setting::HEADER_TABLE_SIZE, 0),
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
        ]);
        let mut writer = Writer::new(run.fields.len());
        if run.manner == Manner::Fresh {
            writer.keep_nothing();
        }
        let waiting = std::iter::repeat_n(began, slots).collect();
        Self { link, writer, next_stream: 1, calls: Vec::with_capacity(slots), waiting, leaving: false, closed: false }
    }

    /// Calls under way or waiting.
    pub(super) fn calls(&self) -> usize {
        self.calls.len() + self.waiting.len()
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.closed && !self.calls.is_empty()
    }

    /// Whether another connection must take its place.
    pub(super) fn is_spent(&self, run: &Run) -> bool {
        let done = self.calls.is_empty() && (self.leaving || (run.manner == Manner::Fresh && self.waiting.is_empty()));
        !self.closed && done
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.calls.clear();
        self.waiting.clear();
    }

    pub(super) fn leave(&mut self, registry: &Registry) {
        self.link.leave(registry);
    }

    /// Lets dialogues end: nothing more is said on them.
    pub(super) fn say_goodbye(&mut self, run: &Run) {
        self.waiting.clear();
        if run.manner == Manner::Dialogue {
            for call in &mut self.calls {
                if call.sent == run.message.bytes() && !call.said_all {
                    call.said_all = true;
                    frame::put_head(&mut self.link.output, 0, kind::DATA, flag::END_STREAM, call.stream);
                }
            }
        }
    }

    /// A call that was due at `due`.
    pub(super) fn begin_at(&mut self, due: Instant, run: &mut Run) {
        self.waiting.push_back(due);
        self.begin_waiting(run);
    }

    pub(super) fn progress(&mut self, run: &mut Run, readable: bool) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut more = readable;
        while more {
            more = self.link.receive()?;
            while let Some(event) = self.link.event()? {
                self.react(run, event)?;
            }
        }
        if run.manner == Manner::Fresh {
            self.begin_waiting(run);
        }
        self.flush(run)?;
        ensure!(!self.link.ended || self.is_spent(run), "the connection was closed");
        Ok(())
    }

    pub(super) fn flush(&mut self, run: &mut Run) -> Result<()> {
        while self.link.flush()? {
            self.send_all(run);
        }
        Ok(())
    }

    fn begin_waiting(&mut self, run: &mut Run) {
        let may = (self.link.peer.known || run.manner == Manner::Fresh) && !self.leaving && !run.over;
        while may && self.calls.len() < self.link.peer.streams_max {
            let Some(due) = self.waiting.pop_front() else { return };
            self.begin(run, due);
        }
    }

    fn begin(&mut self, run: &mut Run, due: Instant) {
        let stream = self.next_stream;
        self.next_stream += 2;
        let began = if matches!(run.manner, Manner::Offered(_) | Manner::Fresh) { due } else { Instant::now() };
        let out = &mut self.link.output;
        let at = out.len();
        frame::put_head(out, 0, kind::HEADERS, flag::END_HEADERS, stream);
        self.writer.begin(out);
        // `:method: POST` and `:scheme: http`.
        out.extend_from_slice(&[0x83, 0x86]);
        for (number, field) in run.fields.iter().enumerate() {
            self.writer.put(out, number, field);
        }
        let length = (out.len() - at - frame::HEAD_BYTES) as u32;
        if let Some(place) = out.get_mut(at..at + 3) {
            place.copy_from_slice(&length.to_be_bytes()[1..]);
        }
        run.stamp += 1;
        let call = Call { stream, began, stamp: run.stamp, sent: 0, used: 0, answered: 0, headed: false, said_all: false };
        self.calls.push(call);
        let place = self.calls.len() - 1;
        self.send(run, place);
    }

    fn send_all(&mut self, run: &Run) {
        for place in 0..self.calls.len() {
            self.send(run, place);
        }
    }

    /// Sends what may be sent of a call's message.
    fn send(&mut self, run: &Run, place: usize) {
        let Some(call) = self.calls.get_mut(place) else { return };
        let total = run.message.bytes();
        while call.sent < total {
            let length = self.link.room(call.used).min(total - call.sent);
            if length == 0 {
                return;
            }
            let last = call.sent + length == total && run.manner != Manner::Dialogue;
            let flags = if last { flag::END_STREAM } else { 0 };
            frame::put_head(&mut self.link.output, length, kind::DATA, flags, call.stream);
            run.message.put(&mut self.link.output, call.stamp, call.sent, length);
            self.link.window -= length as i64;
            call.used += length as i64;
            call.sent += length;
            call.said_all = last;
        }
    }

    fn place(&self, stream: u32) -> Option<usize> {
        self.calls.iter().position(|call| call.stream == stream)
    }

    fn react(&mut self, run: &mut Run, event: Event) -> Result<()> {
        match event {
            Event::Headers { stream, block, end } => {
                let Some(place) = self.place(stream) else { return Ok(()) };
                let seen = fields::look_through(self.link.bytes(block))?;
                self.heads(run, place, seen, end);
            }
            Event::Data { stream, bytes, end } => {
                let Some(place) = self.place(stream) else { return Ok(()) };
                self.data(run, place, bytes, end);
            }
            Event::Reset { stream, code } => {
                if let Some(place) = self.place(stream) {
                    self.fail(run, place, || format!("RST_STREAM {code}"));
                }
            }
            Event::Window { stream, by } => {
                if let Some(place) = self.place(stream) {
                    if let Some(call) = self.calls.get_mut(place) {
                        call.used -= i64::from(by);
                    }
                    self.send(run, place);
                }
            }
            Event::Room => {
                self.writer.table_bytes(self.link.peer.table_bytes);
                self.begin_waiting(run);
                self.send_all(run);
            }
            Event::GoAway { last, code } => self.go_away(last, code)?,
        }
        Ok(())
    }

    fn heads(&mut self, run: &mut Run, place: usize, seen: fields::Seen, end: bool) {
        let Some(call) = self.calls.get_mut(place) else { return };
        let first = !call.headed;
        call.headed = true;
        if first && seen.status_200 != Some(true) {
            self.fail(run, place, || format!("an answer that begins with {seen:?}"));
        } else if end {
            let whole = if run.manner == Manner::Dialogue {
                call.said_all && call.answered == 0
            } else {
                call.answered == run.message.bytes()
            };
            let (answered, said_all) = (call.answered, call.said_all);
            if seen.grpc_status_0 == Some(true) && whole {
                let call = self.calls.swap_remove(place);
                if run.manner != Manner::Dialogue {
                    run.answered(call.began);
                }
                self.again(run);
            } else {
                self.fail(run, place, || format!("ended after {answered} bytes (all said: {said_all}) with {seen:?}"));
            }
        }
    }

    fn data(&mut self, run: &mut Run, place: usize, bytes: Range<usize>, end: bool) {
        let Some(call) = self.calls.get_mut(place) else { return };
        let part = self.link.bytes(bytes);
        let right = call.headed && run.message.has(call.stamp, call.answered, part);
        call.answered += part.len();
        if !right || end {
            let (stamp, answered) = (call.stamp, call.answered);
            self.fail(run, place, || format!("a wrong answer to message {stamp}, within its first {answered} bytes"));
        } else if run.manner == Manner::Dialogue && call.answered == run.message.bytes() {
            run.answered(call.began);
            call.answered = 0;
            if run.over {
                if !call.said_all {
                    call.said_all = true;
                    frame::put_head(&mut self.link.output, 0, kind::DATA, flag::END_STREAM, call.stream);
                }
                return;
            }
            run.stamp += 1;
            call.stamp = run.stamp;
            call.began = Instant::now();
            call.sent = 0;
            self.send(run, place);
        }
    }

    /// The next call of a slot.
    fn again(&mut self, run: &mut Run) {
        if matches!(run.manner, Manner::Closed | Manner::Dialogue) && !run.over {
            self.waiting.push_back(Instant::now());
        }
        self.begin_waiting(run);
    }

    fn fail(&mut self, run: &mut Run, place: usize, why: impl FnOnce() -> String) {
        let call = self.calls.swap_remove(place);
        run.failed(why);
        // The other end may still be sending: it shall not.
        frame::put_head(&mut self.link.output, 4, kind::RST_STREAM, 0, call.stream);
        self.link.output.extend_from_slice(&8_u32.to_be_bytes());
        self.again(run);
    }

    /// Calls above `last` were not looked at: they wait for the next connection, and are no errors.
    fn go_away(&mut self, last: u32, code: u32) -> Result<()> {
        if code != 0 {
            bail!("GOAWAY {code}");
        }
        self.leaving = true;
        self.calls.retain(|call| call.stream <= last);
        Ok(())
    }
}
