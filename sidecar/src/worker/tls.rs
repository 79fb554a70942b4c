//! A TLS session, driven by hand: one large read feeds rustls from memory, and what it sealed is written in one system call.

use std::{
    io::{self, BufRead as _, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::Connection;
use tokio::{io::AsyncWrite as _, net::TcpStream};
use tokio_rustls::TlsStream;

use super::wire::{Arrived, Left, Sink, poll_read};

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
            if let Err(problem) = self.session.process_new_packets() {
                // The other end is told by an alert; whether it arrives makes no difference.
                let _ = self.flush(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, problem)));
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

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{PrivatePkcs8KeyDer, ServerName},
        version::TLS13,
    };
    use tokio::net::TcpListener;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::{
        trust::tls::provider,
        worker::{io::Io, wire::Wire},
    };

    /// Both ends of a connection, over TLS or not.
    async fn ends(tls: bool) -> (Wire, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
        let (server, _) = listener.accept().await.expect("accepts");
        if !tls {
            return (Io::Tcp(client).into(), Io::Tcp(server).into());
        }
        let made = rcgen::generate_simple_self_signed(vec!["end.test".to_owned()]).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let accept = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()))
            .expect("a server");
        let connect = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (acceptor, connector) = (TlsAcceptor::from(Arc::new(accept)), TlsConnector::from(Arc::new(connect)));
        let name = ServerName::try_from("end.test").expect("a name");
        let (client, server) = tokio::join!(connector.connect(name, client), acceptor.accept(server));
        let (client, server) = (client.expect("a handshake"), server.expect("a handshake"));
        (Io::Tls(Box::new(client.into())).into(), Io::Tls(Box::new(server.into())).into())
    }

    /// Says all of `says` and then goodbye, and hears until the other end has said goodbye.
    async fn talk(mut wire: Wire, says: &[u8]) -> Vec<u8> {
        let (mut said, mut heard, mut buffer) = (0, Vec::new(), vec![0; 64 * 1024]);
        let mut ended = wire.read_ahead(|bytes| heard.extend_from_slice(bytes)).expect("it is whole") == Arrived::End;
        poll_fn(|cx| {
            let left = wire.write(cx, &says[said..]).expect("it can be written");
            said += left.taken;
            assert!(left.blocked || said == says.len());
            while !ended {
                match wire.poll_read(cx, &mut buffer, |bytes| heard.extend_from_slice(bytes)) {
                    Poll::Ready(arrived) => ended = arrived.expect("it is whole") == Arrived::End,
                    Poll::Pending => break,
                }
            }
            let done = !left.blocked && wire.poll_finish(cx).is_ready();
            if done && ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        heard
    }

    #[tokio::test]
    async fn everything_arrives_both_ways_however_full_the_sockets_are() {
        let bytes = |seed: u8, count: usize| (0..count).map(|at| (at % 251) as u8 ^ seed).collect::<Vec<u8>>();
        for tls in [false, true] {
            for (there, back) in [(0, 1), (1, 16_384), (16_385, 65_537), (9_000_000, 7_000_001)] {
                let (client, server) = ends(tls).await;
                let (says, answers) = (bytes(1, there), bytes(2, back));
                let (heard, understood) = tokio::join!(talk(client, &says), talk(server, &answers));
                assert!(heard == answers && understood == says, "{tls} {there} {back}");
            }
        }
    }
}
