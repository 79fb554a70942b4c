//! What carries one connection's bytes: TCP or a Unix socket as it is, or TLS over TCP.
//!
//! Reading goes through one buffer that all connections of the worker share: what was read is handed on before the next
//! connection reads, so that an idle connection holds no buffer of its own.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::{io::Io, tls::Tls};

/// One connection, whatever it is made of.
#[derive(Debug)]
pub(crate) enum Wire {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP, its handshake done.
    Tls(Box<Tls>),
}

/// What one reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Bytes, which were handed on.
    Bytes,
    /// The other end sends nothing more.
    End,
}

/// How far one writing got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// Bytes that need not be handed in again.
    pub(super) taken: usize,
    /// The socket is full: the waker of the writing's context is woken when it has room again.
    pub(super) blocked: bool,
}

impl Wire {
    /// Reads once, through `buffer`, and hands what has come to `sink`, piece by piece.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Poll<io::Result<Arrived>> {
        let len = ready!(match self {
            Self::Tls(tls) => return tls.poll_read(cx, buffer, sink),
            Self::Tcp(tcp) => poll_read(Pin::new(tcp), cx, buffer),
            Self::Unix(unix) => poll_read(Pin::new(unix), cx, buffer),
        })?;
        match buffer.get(..len) {
            Some([]) | None => Poll::Ready(Ok(Arrived::End)),
            Some(bytes) => {
                sink(bytes);
                Poll::Ready(Ok(Arrived::Bytes))
            }
        }
    }

    /// Hands what came along with the end of a TLS handshake to `sink`; nothing for the others.
    ///
    /// # Errors
    /// When the session is broken.
    pub(super) fn read_ahead(&mut self, sink: impl FnMut(&[u8])) -> io::Result<Arrived> {
        match self {
            Self::Tls(tls) => tls.hand_on(sink),
            Self::Tcp(_) | Self::Unix(_) => Ok(Arrived::Bytes),
        }
    }

    /// Whether there is something to write although nobody handed anything in: answers of TLS itself.
    pub(super) fn wants_write(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.wants_write(),
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }

    /// Writes as much of `bytes` as the socket takes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<Left> {
        match self {
            Self::Tls(tls) => tls.write(cx, bytes),
            Self::Tcp(tcp) => write_all(&mut Sink { stream: Pin::new(tcp), cx }, bytes),
            Self::Unix(unix) => write_all(&mut Sink { stream: Pin::new(unix), cx }, bytes),
        }
    }

    /// Says that nothing more is sent: `close_notify` where TLS is spoken, then the end of the stream. Ready when it is said.
    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(tls) => tls.poll_finish(cx),
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }

    /// Reads from the socket what nobody will look at.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tls(tls) => poll_read(Pin::new(tls.tcp()), cx, buffer),
            Self::Tcp(tcp) => poll_read(Pin::new(tcp), cx, buffer),
            Self::Unix(unix) => poll_read(Pin::new(unix), cx, buffer),
        }
    }
}

impl From<Io> for Wire {
    fn from(io: Io) -> Self {
        match io {
            Io::Tcp(tcp) => Self::Tcp(tcp),
            Io::Unix(unix) => Self::Unix(unix),
            Io::Tls(tls) => Self::Tls(Box::new(Tls::from(*tls))),
        }
    }
}

/// Reads once from the socket itself. A read that does not fill the buffer costs no second system call to learn that there
/// is no more.
pub(super) fn poll_read(stream: Pin<&mut impl AsyncRead>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut into = ReadBuf::new(buffer);
    ready!(stream.poll_read(cx, &mut into))?;
    Poll::Ready(Ok(into.filled().len()))
}

fn write_all(sink: &mut impl io::Write, bytes: &[u8]) -> io::Result<Left> {
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
