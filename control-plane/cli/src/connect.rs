//! The connection: a Unix socket on the control plane's own machine, or mutual TLS over the network.

mod tls;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{failure::Failure, input::Span};

/// Where a control plane on this machine listens unless its configuration says otherwise.
const ENDPOINT_DEFAULT: &str = "unix:///var/lib/chapar-control-plane/admin.sock";

/// Longest wait for a connection with its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Goes into `:authority` where the socket has no host of its own.
const AUTHORITY: &str = "http://control-plane";

/// How to reach the control plane.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Admin listener: unix:///path/admin.sock, or https://host:port with --cert, --key and --ca
    #[arg(long, global = true, env = "CHAPAR_ENDPOINT", default_value = ENDPOINT_DEFAULT, value_name = "URL")]
    pub(crate) endpoint: String,
    /// Admin certificate with its issuers, PEM, as `chapar admin-cert issue` writes it
    #[arg(long, global = true, env = "CHAPAR_CERT", value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Private key of the admin certificate, PEM
    #[arg(long, global = true, env = "CHAPAR_KEY", value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Roots of the exchange, PEM
    #[arg(long, global = true, env = "CHAPAR_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Longest wait for one answer, such as 500ms, 30s, 2m
    #[arg(long, global = true, env = "CHAPAR_TIMEOUT", default_value = "30s", value_name = "SPAN")]
    pub(crate) timeout: Span,
}

/// Where the admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Socket(PathBuf),
    Network { host: String, port: u16 },
}

/// Connects now, so that an unreachable control plane is told from a refused request.
pub(crate) async fn open(connection: &ConnectionArgs) -> Result<Channel, Failure> {
    match Target::parse(&connection.endpoint).map_err(Failure::Input)? {
        Target::Socket(path) => open_socket(&connection.endpoint, path).await,
        Target::Network { host, port } => open_network(connection, host, port).await,
    }
}

impl Target {
    fn parse(endpoint: &str) -> Result<Self, String> {
        let expected =
            || format!("the endpoint `{endpoint}` is neither unix:///path/admin.sock nor https://host:port; see --endpoint");
        if let Some(path) = endpoint.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(expected()) } else { Ok(Self::Socket(PathBuf::from(path))) };
        }
        let uri: Uri = endpoint.parse().map_err(|_| expected())?;
        match (uri.scheme_str(), uri.host(), uri.port_u16()) {
            (Some("https"), Some(host), Some(port)) if matches!(uri.path(), "" | "/") => {
                // A literal IPv6 address stands in brackets in a URL, and nowhere else.
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                Ok(Self::Network { host, port })
            }
            (Some("http"), ..) => Err(format!("`{endpoint}` would send admin requests in the clear: use https://")),
            _ => Err(expected()),
        }
    }
}

async fn open_socket(endpoint: &str, path: PathBuf) -> Result<Channel, Failure> {
    let connector = service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let dialler = Endpoint::from_static(AUTHORITY).connect_timeout(CONNECT_TIMEOUT);
    dialler.connect_with_connector(connector).await.map_err(|error| {
        let cause = root_cause(&error);
        let hint = match cause.kind {
            Some(std::io::ErrorKind::PermissionDenied) => {
                "the socket belongs to the user that runs the control plane: run as that user, or over the network with --cert, --key and --ca"
            }
            Some(std::io::ErrorKind::ConnectionRefused) => {
                "the socket is there, and nobody answers: start the control plane with `chapar-control-plane --config FILE`"
            }
            _ => {
                "start the control plane with `chapar-control-plane --config FILE`, or name another with --endpoint or CHAPAR_ENDPOINT"
            }
        };
        Failure::Unreachable { endpoint: endpoint.to_owned(), cause: cause.text, hint }
    })
}

async fn open_network(connection: &ConnectionArgs, host: String, port: u16) -> Result<Channel, Failure> {
    let tls = TlsConnector::from(tls::config(connection)?);
    let name = ServerName::try_from(host.clone())
        .map_err(|_| Failure::Input(format!("`{host}` in the endpoint is neither a host name nor an address")))?;
    let connector = service_fn(move |_: Uri| {
        let (tls, name, host) = (tls.clone(), name.clone(), host.clone());
        async move {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tls.connect(name, tcp).await.map(TokioIo::new)
        }
    });
    let dialler = Endpoint::from_static(AUTHORITY).connect_timeout(CONNECT_TIMEOUT);
    dialler.connect_with_connector(connector).await.map_err(|error| {
        let cause = root_cause(&error);
        let hint = if cause.is_tls {
            "the two ends do not trust each other: --ca must hold the exchange's roots (`chapar ca show --pem`), and --cert an admin certificate in force"
        } else {
            "is `listen.admin` set in the control plane's configuration, and is the port open from here?"
        };
        Failure::Unreachable { endpoint: connection.endpoint.clone(), cause: cause.text, hint }
    })
}

/// What lies at the bottom of an error, since "transport error" helps nobody.
struct Cause {
    text: String,
    kind: Option<std::io::ErrorKind>,
    is_tls: bool,
}

fn root_cause(error: &dyn std::error::Error) -> Cause {
    let mut cause = Cause { text: error.to_string(), kind: None, is_tls: false };
    let mut next = error.source();
    while let Some(error) = next {
        cause.text = error.to_string();
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            cause.kind = Some(io.kind());
            // rustls hides in an I/O error without being its source.
            cause.is_tls |= io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        }
        next = error.source();
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sockets_and_addresses() {
        assert_eq!(Target::parse("unix:///run/admin.sock"), Ok(Target::Socket("/run/admin.sock".into())));
        assert_eq!(Target::parse("unix:./admin.sock"), Ok(Target::Socket("./admin.sock".into())));
        let network = |host: &str| Ok(Target::Network { host: host.to_owned(), port: 15444 });
        assert_eq!(Target::parse("https://nix.example:15444"), network("nix.example"));
        assert_eq!(Target::parse("https://[::1]:15444/"), network("::1"));
    }

    #[test]
    fn refuses_what_names_no_place_or_an_open_one() {
        for wrong in ["", "unix:", "unix://", "nix.example:15444", "https://nix.example", "https://nix.example:1/x"] {
            assert!(Target::parse(wrong).unwrap_err().contains("--endpoint"), "{wrong}");
        }
        assert!(Target::parse("http://nix.example:15444").unwrap_err().contains("in the clear"));
    }
}
