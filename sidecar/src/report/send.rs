//! One request of the OTLP trace service, whose message is bytes already.

use std::{convert::Infallible, iter, sync::Arc, time::Duration};

use bytes::Bytes;
use chapar_proto::encoded::{Encoded, SendEncoded, TRACE_EXPORT_PATH};
use futures_util::stream;
use http::{header, uri::PathAndQuery};
use http_body::Frame;
use http_body_util::StreamBody;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::{
    Code, Request, Response, Status, Streaming, body::Body, client::Grpc, codec::Codec as _, codec::CompressionEncoding,
    transport::Channel,
};
use tower::{Service as _, ServiceExt as _};

use super::spans::Spans;

/// Sends `export`, which is sealed, over `channel`.
///
/// # Errors
/// The control plane's status, or that of a connection which cannot be had; `DEADLINE_EXCEEDED` after `time_max`.
pub(super) async fn send(
    channel: Channel,
    export: Arc<Spans>,
    gzip: bool,
    time_max: Duration,
) -> Result<ExportTraceServiceResponse, Status> {
    let request = async move { if gzip { compressed(channel, export).await } else { plain(channel, export).await } };
    match tokio::time::timeout(time_max, request).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Status::new(Code::DeadlineExceeded, "the control plane does not answer")),
    }
}

async fn compressed(channel: Channel, export: Arc<Spans>) -> Result<ExportTraceServiceResponse, Status> {
    let mut grpc = Grpc::new(channel).send_compressed(CompressionEncoding::Gzip);
    // A channel that cannot connect says so here.
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let codec = SendEncoded::new(&export);
    grpc.unary(Request::new(export), PathAndQuery::from_static(TRACE_EXPORT_PATH), codec).await.map(Response::into_inner)
}

/// Sends the export from where it lies. A codec would have it copied into one buffer first, as long as all of it.
async fn plain(mut channel: Channel, export: Arc<Spans>) -> Result<ExportTraceServiceResponse, Status> {
    let mut codec = SendEncoded::<_, ExportTraceServiceResponse>::new(&export);
    let request = http::Request::post(TRACE_EXPORT_PATH)
        .header(header::TE, "trailers")
        .header(header::CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE)
        .body(Body::new(StreamBody::new(stream::iter(frames(export)))))
        .map_err(|error| Status::from_error(error.into()))?;
    let ready = channel.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let response = ready.call(request).await.map_err(|error| Status::from_error(error.into()))?;
    let (head, body) = response.into_parts();
    if let Some(refusal) = Status::from_header_map(&head.headers).filter(|status| status.code() != Code::Ok) {
        return Err(refusal);
    }
    let mut answers = Streaming::new_response(codec.decoder(), body, head.status, None, None);
    let answer = answers.message().await?;
    // The status comes behind it.
    answers.trailers().await?;
    answer.ok_or_else(|| Status::internal("the control plane ended without an answer"))
}

/// A gRPC message: not compressed, so many bytes, and they.
fn frames(export: Arc<Spans>) -> impl Iterator<Item = Result<Frame<Bytes>, Infallible>> {
    let bytes: usize = export.pieces().map(<[u8]>::len).sum();
    let mut prefix = vec![0];
    // An export has 4 MiB at most, since gRPC servers take no more.
    prefix.extend_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes());
    let pieces: Vec<_> =
        (0..export.pieces().count()).map(|number| Bytes::from_owner(Piece { export: Arc::clone(&export), number })).collect();
    iter::once(Bytes::from(prefix)).chain(pieces).map(|piece| Ok(Frame::data(piece)))
}

/// A piece of an export, which keeps all of it.
struct Piece {
    export: Arc<Spans>,
    number: usize,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.export.pieces().nth(self.number).unwrap_or_default()
    }
}
