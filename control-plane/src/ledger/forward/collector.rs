//! A collector, over gRPC or HTTP.

use std::{fs, io, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient,
};
use prost::Message as _;
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{
    config::{Forward, ForwardProtocol},
    store::StoreError,
};

/// Where OTLP over HTTP takes traces (OTLP specification, OTLP/HTTP request).
const TRACES_PATH: &str = "/v1/traces";

/// Largest answer that is read, in bytes: a partial success is a number and a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Spans were not forwarded; they are tried again.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The configuration must be put right.
    #[error("the collector's endpoint {0} cannot be used")]
    Endpoint(Uri, #[source] tonic::transport::Error),
    /// The file that the configuration names must be put right.
    #[error("cannot read the collector's root certificates")]
    Roots(#[source] io::Error),
    /// The configuration must be put right.
    #[error("a collector with https is reached over gRPC only; use protocol: grpc, or http:// through a proxy on this machine")]
    HttpsUnsupported,
    /// The collector is busy or broken.
    #[error("the collector did not take the spans: {0}")]
    Refused(String),
    /// Nobody answers there.
    #[error("the collector cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than it may.
    #[error("the collector did not answer in time")]
    Late,
    /// The operator must act.
    #[error("the ledger cannot be read")]
    Ledger(#[from] StoreError),
}

/// How much of an export was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Whole,
    /// All but so many, which would be refused again.
    But(u64),
}

#[derive(Debug)]
pub(super) enum Collector {
    Grpc { channel: Channel, timeout: Duration },
    Http { client: Box<Client<HttpConnector, Full<Bytes>>>, uri: Uri, timeout: Duration },
}

impl Collector {
    pub(super) fn new(config: &Forward) -> Result<Self, ForwardError> {
        let timeout = Duration::from_secs(config.timeout_s.into());
        match config.protocol {
            ForwardProtocol::Grpc => Self::grpc(config, timeout),
            ForwardProtocol::Http if config.endpoint.scheme_str() == Some("https") => Err(ForwardError::HttpsUnsupported),
            ForwardProtocol::Http => {
                let mut parts = config.endpoint.clone().into_parts();
                if config.endpoint.path() == "/" {
                    parts.path_and_query = Some(PathAndQuery::from_static(TRACES_PATH));
                }
                // The parts are those of an address, with a path.
                let uri = Uri::from_parts(parts).unwrap_or_else(|_| config.endpoint.clone());
                Ok(Self::Http { client: Box::new(Client::builder(TokioExecutor::new()).build_http()), uri, timeout })
            }
        }
    }

    fn grpc(config: &Forward, timeout: Duration) -> Result<Self, ForwardError> {
        let unusable = |source| ForwardError::Endpoint(config.endpoint.clone(), source);
        let mut endpoint = Endpoint::from(config.endpoint.clone()).timeout(timeout).connect_timeout(timeout);
        if let Some(file) = &config.ca_file {
            let roots = fs::read(file).map_err(ForwardError::Roots)?;
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots));
            endpoint = endpoint.tls_config(tls).map_err(unusable)?;
        }
        Ok(Self::Grpc { channel: endpoint.connect_lazy(), timeout })
    }

    /// Sends an export.
    ///
    /// # Errors
    /// When it may be sent again. What would be refused again is told as [`Taken::But`].
    pub(super) async fn send(&self, export: &ExportTraceServiceRequest) -> Result<Taken, ForwardError> {
        match self {
            Self::Grpc { channel, timeout } => {
                let mut client = TraceServiceClient::new(channel.clone());
                let answer =
                    tokio::time::timeout(*timeout, client.export(export.clone())).await.map_err(|_| ForwardError::Late)?;
                match answer {
                    Ok(answer) => Ok(taken(&answer.into_inner())),
                    Err(status) => refused(&status, export),
                }
            }
            Self::Http { client, uri, timeout } => {
                let sent = tokio::time::timeout(*timeout, post(client, uri, export));
                sent.await.map_err(|_| ForwardError::Late)?
            }
        }
    }
}

async fn post(
    client: &Client<HttpConnector, Full<Bytes>>,
    uri: &Uri,
    export: &ExportTraceServiceRequest,
) -> Result<Taken, ForwardError> {
    let unreachable = |error: Box<dyn std::error::Error + Send + Sync>| ForwardError::Unreachable(error);
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri.clone())
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .body(Full::new(Bytes::from(export.encode_to_vec())))
        .map_err(|error| unreachable(error.into()))?;
    let answer = client.request(request).await.map_err(|error| unreachable(error.into()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(unreachable)?.to_bytes();
    if status.is_success() {
        return Ok(ExportTraceServiceResponse::decode(body).map_or(Taken::Whole, |answer| taken(&answer)));
    }
    // OTLP: of the statuses, these are worth another try.
    let again =
        [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
    if again.contains(&status) {
        return Err(ForwardError::Refused(status.to_string()));
    }
    tracing::error!(%status, "the collector refuses spans for good");
    Ok(Taken::But(count(export)))
}

fn taken(answer: &ExportTraceServiceResponse) -> Taken {
    match &answer.partial_success {
        Some(partial) if partial.rejected_spans > 0 => {
            tracing::error!(
                error = partial.error_message,
                spans = partial.rejected_spans,
                "the collector refuses spans for good"
            );
            Taken::But(u64::try_from(partial.rejected_spans).unwrap_or_default())
        }
        _ => Taken::Whole,
    }
}

/// OTLP: of the codes, these are worth another try.
fn refused(status: &Status, export: &ExportTraceServiceRequest) -> Result<Taken, ForwardError> {
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::Unknown
        | Code::DataLoss => Err(ForwardError::Refused(format!("{:?}: {}", status.code(), status.message()))),
        code => {
            tracing::error!(?code, error = status.message(), "the collector refuses spans for good");
            Ok(Taken::But(count(export)))
        }
    }
}

fn count(export: &ExportTraceServiceRequest) -> u64 {
    let scopes = export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.map(|scope| scope.spans.len() as u64).sum()
}
