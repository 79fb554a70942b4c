//! The echo service: a server that does as its caller says.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::{
    StreamExt as _,
    wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream},
};
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{KeyAndValueRef, MetadataMap},
    transport::server::Connected,
};

use pb::{AboutRequest, EchoRequest, EchoResponse, echo_service_server::EchoService, echo_service_server::EchoServiceServer};

/// The generated code.
pub mod pb {
    #![allow(missing_docs)]
    tonic::include_proto!("chapar.test.v1");
}

/// The passport that an agency hands in for it.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.binpb"));
/// Full name of the gRPC service.
pub const GRPC_SERVICE: &str = "chapar.test.v1.EchoService";
/// Largest message of the tests, both ways.
pub const MESSAGE_BYTES_MAX: usize = 128 << 20;

/// A running echo server; ends when dropped.
#[derive(Debug)]
pub struct EchoServer {
    address: String,
    cancelled: tokio::sync::watch::Receiver<u64>,
    served: Served,
    task: JoinHandle<()>,
}

/// How often each call reached the server, by its tracking ID.
type Served = Arc<Mutex<HashMap<String, u32>>>;

impl EchoServer {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        Self::start_at("127.0.0.1:0").await
    }

    /// Starts one at `address`: `host:port`, or `unix:/path`.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start_at(address: &str) -> Result<Self> {
        if let Some(path) = address.strip_prefix("unix:") {
            let listener = UnixListener::bind(path)?;
            return Ok(Self::serve(address.to_owned(), UnixListenerStream::new(listener)).await);
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok(Self::serve(address, TcpListenerStream::new(listener)).await)
    }

    async fn serve<I, IO>(address: String, incoming: I) -> Self
    where
        I: Stream<Item = std::io::Result<IO>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let (count, cancelled) = tokio::sync::watch::channel(0);
        let served = Served::default();
        let service = EchoServiceServer::new(Echo { cancelled: count, served: Arc::clone(&served) })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip)
            .send_compressed(tonic::codec::CompressionEncoding::Gzip);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<EchoServiceServer<Echo>>().await;
        let server = tonic::transport::Server::builder().add_service(service).add_service(health_service);
        let task = tokio::spawn(async move {
            if let Err(error) = server.serve_with_incoming(incoming).await {
                tracing::error!(%error, "the echo server ended");
            }
        });
        Self { address, cancelled, served, task }
    }

    /// host:port, or unix:/path.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How often each call, by its tracking ID, has reached this server since this was last asked.
    #[must_use]
    pub fn take_served(&self) -> HashMap<String, u32> {
        std::mem::take(&mut *self.served.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many calls' callers went away before the answer; changes as it happens.
    #[must_use]
    pub fn cancelled(&self) -> tokio::sync::watch::Receiver<u64> {
        self.cancelled.clone()
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The service itself.
#[derive(Debug)]
pub struct Echo {
    cancelled: tokio::sync::watch::Sender<u64>,
    served: Served,
}

impl Echo {
    /// Counts a call, and answers its metadata for the caller to look at.
    fn begun(&self, metadata: &MetadataMap) -> Vec<String> {
        if let Some(id) = metadata.get("chapar-call-id").and_then(|id| id.to_str().ok()) {
            *self.served.lock().unwrap_or_else(PoisonError::into_inner).entry(id.to_owned()).or_default() += 1;
        }
        listed(metadata)
    }
}

/// Counts a call whose future is dropped before it was answered.
struct Unanswered<'a>(Option<&'a tokio::sync::watch::Sender<u64>>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.send_modify(|count| *count += 1);
        }
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<EchoResponse, Status>> + Send>>;

#[tonic::async_trait]
impl EchoService for Echo {
    type ServerStreamStream = Answers;
    type BidiStreamStream = Answers;
    type PushedStream = Answers;

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let metadata = self.begun(request.metadata());
        let echo = echoed_metadata(request.metadata());
        let ask = request.into_inner();
        let mut unanswered = Unanswered(Some(&self.cancelled));
        tokio::time::sleep(Duration::from_millis(ask.delay_ms)).await;
        unanswered.0 = None;
        ends_well(&ask)?;
        let mut response = Response::new(answer(&ask, 0, metadata));
        *response.metadata_mut() = echo;
        Ok(response)
    }

    async fn client_stream(&self, request: Request<Streaming<EchoRequest>>) -> Result<Response<EchoResponse>, Status> {
        let metadata = self.begun(request.metadata());
        let mut asks = request.into_inner();
        let mut whole = EchoResponse { metadata, ..Default::default() };
        let mut unanswered = Unanswered(Some(&self.cancelled));
        while let Some(ask) = asks.next().await {
            let ask = ask?;
            ends_well(&ask)?;
            whole.payload.extend_from_slice(&ask.payload);
            whole.sequence += 1;
        }
        unanswered.0 = None;
        Ok(Response::new(whole))
    }

    async fn server_stream(&self, request: Request<EchoRequest>) -> Result<Response<Answers>, Status> {
        let metadata = self.begun(request.metadata());
        let ask = request.into_inner();
        let (sender, receiver) = mpsc::channel(16);
        let cancelled = self.cancelled.clone();
        tokio::spawn(async move {
            let mut sequence = 0;
            while ask.answers == 0 || sequence < ask.answers {
                if sender.send(Ok(answer(&ask, sequence, metadata.clone()))).await.is_err() {
                    cancelled.send_modify(|count| *count += 1);
                    return;
                }
                sequence += 1;
                tokio::time::sleep(Duration::from_millis(ask.delay_ms)).await;
            }
            if let Err(status) = ends_well(&ask) {
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn bidi_stream(&self, request: Request<Streaming<EchoRequest>>) -> Result<Response<Answers>, Status> {
        let metadata = self.begun(request.metadata());
        let mut asks = request.into_inner();
        let (sender, receiver) = mpsc::channel(16);
        let cancelled = self.cancelled.clone();
        tokio::spawn(async move {
            let mut sequence = 0;
            while let Some(ask) = asks.next().await {
                let answered = match ask {
                    Ok(ask) => ends_well(&ask).map(|()| answer(&ask, sequence, metadata.clone())),
                    Err(status) => Err(status),
                };
                let ended = answered.is_err();
                if sender.send(answered).await.is_err() || ended {
                    cancelled.send_modify(|count| *count += 1);
                    return;
                }
                sequence += 1;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn about(&self, request: Request<AboutRequest>) -> Result<Response<EchoResponse>, Status> {
        self.unary(request.map(|ask| EchoRequest { payload: ask.payload, ..Default::default() })).await
    }

    async fn pushed(&self, request: Request<EchoRequest>) -> Result<Response<Answers>, Status> {
        self.server_stream(request).await
    }

    async fn unlisted(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        self.unary(request).await
    }
}

fn answer(ask: &EchoRequest, sequence: u64, metadata: Vec<String>) -> EchoResponse {
    let filler_bytes = usize::try_from(ask.filler_bytes).unwrap_or(usize::MAX).min(MESSAGE_BYTES_MAX);
    EchoResponse { payload: ask.payload.clone(), filler: vec![0x5a; filler_bytes], sequence, metadata }
}

fn ends_well(ask: &EchoRequest) -> Result<(), Status> {
    match i32::try_from(ask.status).map(Code::from_i32) {
        Ok(Code::Ok) => Ok(()),
        Ok(code) => Err(Status::with_details(code, ask.status_message.clone(), ask.status_details.clone().into())),
        Err(_) => Err(Status::invalid_argument("status is no gRPC status")),
    }
}

/// What came in, for the caller to look at.
fn listed(metadata: &MetadataMap) -> Vec<String> {
    metadata
        .iter()
        .map(|entry| match entry {
            KeyAndValueRef::Ascii(key, value) => {
                format!("{key}: {}", value.to_str().unwrap_or("?"))
            }
            KeyAndValueRef::Binary(key, value) => {
                format!("{key}: {}", BASE64_STANDARD.encode(value.to_bytes().unwrap_or_default()))
            }
        })
        .collect()
}

/// Metadata named `echo-*` goes back with the answer.
fn echoed_metadata(metadata: &MetadataMap) -> MetadataMap {
    let mut echo = MetadataMap::new();
    for entry in metadata.iter() {
        match entry {
            KeyAndValueRef::Ascii(key, value) if key.as_str().starts_with("echo-") => {
                echo.append(key, value.clone());
            }
            KeyAndValueRef::Binary(key, value) if key.as_str().starts_with("echo-") => {
                echo.append_bin(key, value.clone());
            }
            KeyAndValueRef::Ascii(..) | KeyAndValueRef::Binary(..) => {}
        }
    }
    echo
}
