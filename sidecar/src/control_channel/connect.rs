//! How a connection to the control plane is made.

use std::{io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::{
    config::{self, HostPort},
    trust::nominal_server_name,
};

/// How long the answer to a probe of a silent connection may take: some round trips of a slow control_channel.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that may be in flight on the snapshot's stream: a whole snapshot of some thousand grants in one go.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// A lazy connection; `tls` is asked at every (re)connection, so that it shows the certificate of that moment.
pub fn channel(config: &config::ControlPlane, tls: impl Fn() -> Arc<ClientConfig> + Clone + Send + 'static) -> Channel {
    let address = config.address.clone();
    // With a connector of its own tonic wants http:// although the connection is TLS. The nominal name stands in for the
    // address, which may be one that a URI cannot hold.
    let endpoint = Endpoint::from_static("http://control-plane.chapar.invalid")
        .connect_timeout(config.connect_timeout())
        .http2_keep_alive_interval(config.keepalive())
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES * 2);
    endpoint.connect_with_connector_lazy(service_fn(move |_| {
        let (address, tls) = (address.clone(), tls.clone());
        async move { connect(&address, tls()).await.map(TokioIo::new) }
    }))
}

async fn connect(address: &HostPort, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect((address.host(), address.port())).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(tls).connect(nominal_server_name(), stream).await
}
