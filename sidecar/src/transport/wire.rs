//! What carries one connection's bytes: TCP or a Unix socket as it is, or TLS over TCP.
//!
//! Reading goes through one buffer that all connections of the worker share: what was read is handed on before the next
//! connection reads, so that an idle connection holds no buffer of its own.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::AsyncWrite as _,
    net::{TcpStream, UnixStream},
};

use super::{
    io::Io,
    socket::{Arrived, Left, Sink, poll_read, write_all},
    tls::Tls,
};

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

impl Wire {
    /// Reads once, through `buffer`, and hands what has come to `sink`, piece by piece.
    pub(crate) fn poll_read(
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
    pub(crate) fn read_ahead(&mut self, sink: impl FnMut(&[u8])) -> io::Result<Arrived> {
        match self {
            Self::Tls(tls) => tls.hand_on(sink),
            Self::Tcp(_) | Self::Unix(_) => Ok(Arrived::Bytes),
        }
    }

    /// Whether there is something to write although nobody handed anything in: answers of TLS itself.
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.wants_write(),
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }

    /// Writes as much of `bytes` as the socket takes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<Left> {
        match self {
            Self::Tls(tls) => tls.write(cx, bytes),
            Self::Tcp(tcp) => write_all(&mut Sink { stream: Pin::new(tcp), cx }, bytes),
            Self::Unix(unix) => write_all(&mut Sink { stream: Pin::new(unix), cx }, bytes),
        }
    }

    /// Says that nothing more is sent: `close_notify` where TLS is spoken, then the end of the stream. Ready when it is said.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(tls) => tls.poll_finish(cx),
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }

    /// Reads from the socket what nobody will look at.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
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
    use crate::trust::tls::provider;

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
