//! One request of the OTLP trace service, whose message is bytes already.

use std::{sync::Arc, time::Duration};

use bytes::BufMut as _;
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic::{
    Code, Request, Response, Status,
    client::Grpc,
    codec::{BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// The one method of the service.
const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Bytes that gRPC puts before a message.
const PREFIX_BYTES: usize = 5;

/// An `ExportTraceServiceRequest`: what goes before the spans, and the spans. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Export {
    pub(super) head: Arc<[u8]>,
    pub(super) spans: Arc<Vec<u8>>,
}

impl Export {
    fn message_bytes(&self) -> usize {
        self.head.len() + self.spans.len()
    }
}

/// Sends `export` over `channel`.
///
/// # Errors
/// The control plane's status, or that of a connection which cannot be had; `DEADLINE_EXCEEDED` after `time_max`.
pub(super) async fn send(
    channel: Channel,
    export: Export,
    gzip: bool,
    time_max: Duration,
) -> Result<ExportTraceServiceResponse, Status> {
    let request = async move {
        let mut grpc = Grpc::new(channel);
        if gzip {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        // A channel that cannot connect says so here.
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec = AsBytes { message_bytes: export.message_bytes() };
        grpc.unary(Request::new(export), PathAndQuery::from_static(PATH), codec).await.map(Response::into_inner)
    };
    match tokio::time::timeout(time_max, request).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Status::new(Code::DeadlineExceeded, "the control plane does not answer")),
    }
}

/// Writes bytes as they are.
#[derive(Clone, Copy)]
struct AsBytes {
    message_bytes: usize,
}

impl Codec for AsBytes {
    type Encode = Export;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for AsBytes {
    type Item = Export;
    type Error = Status;

    fn encode(&mut self, export: Export, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&export.head);
        to.put_slice(&export.spans);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        // The buffer has its size at once: it would be doubled and copied, time after time, on its way to a whole export.
        let bytes = self.message_bytes + PREFIX_BYTES;
        BufferSettings::new(bytes, bytes)
    }
}

impl Decoder for AsBytes {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<ExportTraceServiceResponse>, Status> {
        let answer = ExportTraceServiceResponse::decode(from);
        answer.map(Some).map_err(|error| Status::new(Code::Internal, error.to_string()))
    }
}
