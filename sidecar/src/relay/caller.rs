//! The end of a stream that leads back to whoever called.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, Response};

/// Where the answer goes. Once the head is out, only trailers or a reset can still tell the caller anything.
#[derive(Debug)]
pub(super) enum Caller {
    /// No head was sent yet.
    Waiting(SendResponse<Bytes>),
    /// The head is out.
    Answering(SendStream<Bytes>),
    /// Everything is out.
    Done,
}

impl Caller {
    /// Ready when the caller has gone.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Waiting(respond) => respond.poll_reset(cx).map(drop),
            Self::Answering(stream) => stream.poll_reset(cx).map(drop),
            Self::Done => Poll::Pending,
        }
    }

    /// Sends the head; `end` says that nothing follows.
    pub(super) fn head(&mut self, head: Response<()>, end: bool) -> Result<(), h2::Error> {
        if let Self::Waiting(respond) = self {
            let stream = respond.send_response(head, end)?;
            *self = if end { Self::Done } else { Self::Answering(stream) };
        }
        Ok(())
    }

    /// Sends the trailers, the last there is.
    pub(super) fn trailers(&mut self, trailers: HeaderMap) -> Result<(), h2::Error> {
        if let Self::Answering(stream) = self {
            stream.send_trailers(trailers)?;
            *self = Self::Done;
        }
        Ok(())
    }

    /// Breaks the stream off.
    pub(super) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Waiting(respond) => respond.send_reset(reason),
            Self::Answering(stream) => stream.send_reset(reason),
            Self::Done => {}
        }
        *self = Self::Done;
    }
}
