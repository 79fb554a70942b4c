//! TLS with whoever connects to the inbound listener: its certificate says who it is.

use std::time::Duration;

use chapar_core::policy::PeerCertificate;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::handshake_pacer::HandshakePacer;
use crate::trust::{HandshakeProblem, Trust};

/// Completes the handshake within `time_max`, step by step as `pacer` lets it. Also says whose certificate was shown.
///
/// # Errors
/// Why there is no session: nothing was carried.
pub(crate) async fn accept(
    tcp: TcpStream,
    trust: &Trust,
    pacer: &HandshakePacer,
    time_max: Duration,
) -> Result<(TlsStream<TcpStream>, PeerCertificate), HandshakeProblem> {
    let acceptor = TlsAcceptor::from(trust.server_config());
    let paced = pacer.pace(acceptor.accept(tcp));
    let tls = match tokio::time::timeout(time_max, paced).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return Err(HandshakeProblem::from_io(&error)),
        Err(_elapsed) => return Err(HandshakeProblem::Broken("it was not completed in time".to_owned())),
    };
    let peer = trust.peer_certificate(tls.get_ref().1.peer_certificates().unwrap_or_default())?;
    Ok((tls.into(), peer))
}
