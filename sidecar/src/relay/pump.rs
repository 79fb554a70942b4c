//! Moving one direction of a call: frames in, frames out, no faster than the receiver takes them.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;

use super::messages::Meter;

/// Chunks moved before other calls on the same worker get a turn.
const CHUNKS_A_TURN: u32 = 64;
/// Bytes of a request that are kept for a second attempt: the default frame times four, more than most inquiries have.
const REPLAY_BYTES_MAX: usize = 64 * 1024;
/// Chunks that they may come in, so that tiny frames cannot make the keeping cost more than what is kept.
const REPLAY_CHUNKS_MAX: usize = 64;

/// One direction of a call.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) meter: Meter,
    step: Step,
    replay: Replay,
    trailers_taken: bool,
}

#[derive(Debug)]
enum Step {
    /// Waiting for bytes.
    Read,
    /// Holding bytes that the receiver has not taken yet; `last` if nothing follows them.
    Write { chunk: Bytes, last: bool, window_bytes: usize },
    /// All bytes are out, trailers may follow.
    Trailers,
    /// Everything is out.
    Done,
}

/// How a direction ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With its data: END_STREAM has been sent on.
    WithData,
    /// With these trailers, or with none; neither has been sent on.
    WithTrailers(Option<HeaderMap>),
}

/// Which end broke.
#[derive(Debug)]
pub(super) enum Broken {
    /// The end that bytes come from.
    Source(h2::Error),
    /// The end that bytes go to; it wants no more.
    Sink,
}

impl Pump {
    /// A direction at its beginning, of which nothing is kept.
    pub(super) fn once() -> Self {
        Self::new(false)
    }

    /// A direction at its beginning; what flows is kept for a second attempt, until `forget` or until it is too much.
    pub(super) fn replayable() -> Self {
        Self::new(true)
    }

    fn new(keeping: bool) -> Self {
        let replay = Replay { chunks: Vec::new(), bytes: 0, keeping, next: 0 };
        Self { meter: Meter::default(), step: Step::Read, replay, trailers_taken: false }
    }

    /// Goes back to the beginning, if everything that has flowed so far can be sent again.
    pub(super) fn rewind(&mut self, source: &mut RecvStream) -> bool {
        if !self.replay.keeping || self.trailers_taken {
            return false;
        }
        // What was read but not handed on is among what was kept; the sender's window is opened for it all the same.
        if let Step::Write { window_bytes, .. } = self.step {
            let _ = source.flow_control().release_capacity(window_bytes);
        }
        self.replay.next = 0;
        self.step = Step::Read;
        true
    }

    /// Whether nothing has flowed yet.
    pub(super) const fn is_fresh(&self) -> bool {
        matches!(self.step, Step::Read) && self.meter.flow().bytes == 0
    }

    /// No second attempt will be made.
    pub(super) fn forget(&mut self) {
        self.replay.forget();
    }

    /// Moves what can be moved. Ready once, at the end.
    pub(super) fn poll(
        &mut self,
        source: &mut RecvStream,
        sink: &mut SendStream<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ended, Broken>> {
        for _ in 0..CHUNKS_A_TURN {
            match &mut self.step {
                Step::Read => {
                    if let Some(next) = ready!(self.poll_chunk(source, cx)) {
                        let (chunk, window_bytes) = next?;
                        let last = source.is_end_stream() && self.replay.is_at_end();
                        self.step = Step::Write { chunk, last, window_bytes };
                    } else {
                        self.step = Step::Trailers;
                    }
                }
                Step::Write { chunk, last, window_bytes } => {
                    if !ready!(write(chunk, *last, window_bytes, source, sink, cx))? {
                        continue;
                    }
                    if *last {
                        self.step = Step::Done;
                        return Poll::Ready(Ok(Ended::WithData));
                    }
                    self.step = Step::Read;
                }
                Step::Trailers => {
                    let trailers = ready!(source.poll_trailers(cx)).map_err(Broken::Source)?;
                    self.trailers_taken = trailers.is_some();
                    self.step = Step::Done;
                    return Poll::Ready(Ok(Ended::WithTrailers(trailers)));
                }
                Step::Done => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The next chunk, and how many bytes of the source's window it occupies.
    #[allow(clippy::type_complexity)]
    fn poll_chunk(&mut self, source: &mut RecvStream, cx: &mut Context<'_>) -> Poll<Option<Result<(Bytes, usize), Broken>>> {
        if let Some(chunk) = self.replay.again() {
            return Poll::Ready(Some(Ok((chunk, 0))));
        }
        match ready!(source.poll_data(cx)) {
            Some(Ok(chunk)) => {
                self.meter.count(&chunk);
                self.replay.keep(&chunk);
                let window_bytes = chunk.len();
                Poll::Ready(Some(Ok((chunk, window_bytes))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(Broken::Source(error)))),
            None => Poll::Ready(None),
        }
    }
}

/// Hands on as much of `chunk` as the receiver has room for; true when nothing is left of it. The sender's window is opened
/// by as much as was handed on, so that a slow receiver slows the sender down.
fn write(
    chunk: &mut Bytes,
    last: bool,
    window_bytes: &mut usize,
    source: &mut RecvStream,
    sink: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<bool, Broken>> {
    if chunk.is_empty() {
        if last {
            sink.send_data(Bytes::new(), true).map_err(|_| Broken::Sink)?;
        }
        return Poll::Ready(Ok(true));
    }
    sink.reserve_capacity(chunk.len());
    let mut room = sink.capacity();
    // `poll_capacity` tells of changes only: what is there already must be looked at first.
    while room == 0 {
        room = match ready!(sink.poll_capacity(cx)) {
            Some(Ok(room)) => room,
            Some(Err(_)) | None => return Poll::Ready(Err(Broken::Sink)),
        };
    }
    let part = chunk.split_to(room.min(chunk.len()));
    let released = part.len().min(*window_bytes);
    *window_bytes -= released;
    let end = last && chunk.is_empty();
    sink.send_data(part, end).map_err(|_| Broken::Sink)?;
    // Fails only when the source's stream is gone, which its next read tells.
    let _ = source.flow_control().release_capacity(released);
    Poll::Ready(Ok(chunk.is_empty()))
}

/// What has flowed, kept for a second attempt while it is little.
#[derive(Debug)]
struct Replay {
    chunks: Vec<Bytes>,
    bytes: usize,
    /// False: nothing further is kept, and what is held goes out once more at most.
    keeping: bool,
    next: usize,
}

impl Replay {
    fn keep(&mut self, chunk: &Bytes) {
        if !self.keeping || chunk.is_empty() {
            return;
        }
        self.bytes += chunk.len();
        if self.bytes > REPLAY_BYTES_MAX || self.chunks.len() >= REPLAY_CHUNKS_MAX {
            self.forget();
            return;
        }
        self.chunks.push(chunk.clone());
        self.next = self.chunks.len();
    }

    fn again(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.get(self.next)?.clone();
        self.next += 1;
        if !self.keeping && self.is_at_end() {
            self.chunks = Vec::new();
        }
        Some(chunk)
    }

    fn is_at_end(&self) -> bool {
        self.next >= self.chunks.len()
    }

    fn forget(&mut self) {
        self.keeping = false;
        if self.is_at_end() {
            self.chunks = Vec::new();
        }
    }
}
