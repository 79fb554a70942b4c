//! A TLS session, driven by hand: one large read feeds rustls from memory, and what it sealed is written in one system call.

use std::{
    io::{self, BufRead as _, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::Connection;
use tokio::{io::AsyncWrite as _, net::TcpStream};
use tokio_rustls::TlsStream;

use super::socket::{Arrived, Left, Sink, poll_read};

/// Sealed bytes that wait for the socket at most, in bytes. Enough to fill a socket's buffer in one system call; what the
/// socket does not take stays unsealed with the relay, which counts it.
const SEALED_BYTES_MAX: usize = 256 * 1024;

/// A TLS connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Tls {
    tcp: TcpStream,
    session: Connection,
}

impl Tls {
    pub(super) fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Poll<io::Result<Arrived>> {
        let len = ready!(poll_read(Pin::new(&mut self.tcp), cx, buffer))?;
        let mut sealed = buffer.get(..len).unwrap_or_default();
        if sealed.is_empty() {
            // No close_notify came before: HTTP/2 says itself what is whole, so nothing can be cut off unnoticed.
            return Poll::Ready(Ok(Arrived::End));
        }
        // rustls takes a few KiB at a time and wants to be emptied in between.
        while !sealed.is_empty() {
            if self.session.read_tls(&mut sealed)? == 0 {
                return Poll::Ready(Ok(Arrived::End));
            }
            if let Err(error) = self.session.process_new_packets() {
                // The other end is told by an alert; whether it arrives makes no difference.
                let _ = self.flush(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            if self.hand_on(&mut sink)? == Arrived::End {
                return Poll::Ready(Ok(Arrived::End));
            }
        }
        Poll::Ready(Ok(Arrived::Bytes))
    }

    /// Hands on what has been opened.
    pub(super) fn hand_on(&mut self, mut sink: impl FnMut(&[u8])) -> io::Result<Arrived> {
        let mut reader = self.session.reader();
        loop {
            let len = match reader.fill_buf() {
                Ok([]) => return Ok(Arrived::End),
                Ok(opened) => {
                    sink(opened);
                    opened.len()
                }
                Err(empty) if empty.kind() == io::ErrorKind::WouldBlock => return Ok(Arrived::Bytes),
                Err(broken) => return Err(broken),
            };
            reader.consume(len);
        }
    }

    pub(super) fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    pub(super) fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<Left> {
        let mut taken = 0;
        loop {
            while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
                match self.session.writer().write(rest)? {
                    0 => break,
                    sealed => taken += sealed,
                }
            }
            if self.flush(cx)? {
                return Ok(Left { taken, blocked: true });
            }
            if taken == bytes.len() {
                return Ok(Left { taken, blocked: false });
            }
        }
    }

    /// Writes what is sealed; true when the socket has no room for all of it.
    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Sink { stream: Pin::new(&mut self.tcp), cx }) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(full) if full.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
                Err(broken) => return Err(broken),
            }
        }
        Ok(false)
    }

    /// Says `close_notify`, and then closes this direction; asked again until it is ready.
    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Said once, however often it is asked for.
        self.session.send_close_notify();
        if self.flush(cx)? {
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl From<TlsStream<TcpStream>> for Tls {
    /// Takes the session over from whoever completed the handshake.
    fn from(stream: TlsStream<TcpStream>) -> Self {
        let (tcp, mut session) = match stream {
            TlsStream::Client(stream) => {
                let (tcp, session) = stream.into_inner();
                (tcp, Connection::from(session))
            }
            TlsStream::Server(stream) => {
                let (tcp, session) = stream.into_inner();
                (tcp, Connection::from(session))
            }
        };
        session.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Self { tcp, session }
    }
}
