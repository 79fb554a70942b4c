//! Reading from a socket and writing to it without waiting: what has room or is there now, and a waker for the rest.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Bytes, which were handed on.
    Bytes,
    /// The other end sends nothing more.
    End,
}

/// How far one writing got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Bytes that need not be handed in again.
    pub(crate) taken: usize,
    /// The socket is full: the waker of the writing's context is woken when it has room again.
    pub(crate) blocked: bool,
}

/// Reads once from the socket itself. A read that does not fill the buffer costs no second system call to learn that there
/// is no more.
pub(super) fn poll_read(stream: Pin<&mut impl AsyncRead>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut into = ReadBuf::new(buffer);
    ready!(stream.poll_read(cx, &mut into))?;
    Poll::Ready(Ok(into.filled().len()))
}

/// Writes as much of `bytes` as the socket takes.
///
/// # Errors
/// When the connection is broken.
pub(super) fn write_all(sink: &mut impl io::Write, bytes: &[u8]) -> io::Result<Left> {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match sink.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => taken += len,
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => return Ok(Left { taken, blocked: true }),
            Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
            Err(broken) => return Err(broken),
        }
    }
    Ok(Left { taken, blocked: false })
}

/// A socket as a blocking writer sees it that never blocks: where it would, the context's waker is registered.
pub(super) struct Sink<'s, 'c, 'w, S> {
    pub(super) stream: Pin<&'s mut S>,
    pub(super) cx: &'c mut Context<'w>,
}

impl<S: AsyncWrite> io::Write for Sink<'_, '_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(self.stream.as_mut().poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        now(self.stream.as_mut().poll_write_vectored(self.cx, pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        // Sockets hold nothing back.
        Ok(())
    }
}

fn now(polled: Poll<io::Result<usize>>) -> io::Result<usize> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
