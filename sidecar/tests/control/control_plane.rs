//! A control plane as a test wants it to behave, on a real socket with real TLS.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use aws_lc_rs::digest::{SHA256, digest};
use chapar_core::{identity::SpiffeId, time::Timestamp};
use chapar_proto::{
    token::EnrolmentToken,
    v1::{
        self, enrolment_service_server as enrolment, follow_request::Message, registration_service_server as registration,
        snapshot_service_server as snapshot,
    },
};
use chapar_sidecar::{clock::Clock, config::Config, trust::peer_certificate};
use futures_util::Stream;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use prost::Message as _;
use rustls::{ServerConfig, pki_types::CertificateDer, server::WebPkiClientVerifier};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_stream::{StreamExt as _, wrappers::WatchStream};
use tonic::{Code, Request, Response, Status, Streaming, transport::Server};

use crate::{
    NOW,
    authority::{Authority, HOUR_MS},
};

/// What the control plane saw, and how it shall answer.
pub(crate) struct StageContext {
    pub(crate) authority: Authority,
    /// Certificates begin at this time and last a day.
    pub(crate) issue_from: Timestamp,
    /// Answers every enrolment and renewal so, instead of serving it.
    pub(crate) refuse_credentials: Option<Status>,
    pub(crate) enrolments: Vec<v1::EnrolRequest>,
    /// Serial numbers of the certificates that asked for renewal.
    pub(crate) renewals: Vec<String>,
    pub(crate) hellos: Vec<v1::Hello>,
    pub(crate) acks: Vec<v1::Ack>,
    pub(crate) registrations: Vec<v1::RegisterRequest>,
    /// Answers that many exports with UNAVAILABLE first.
    pub(crate) exports_to_fail: usize,
    /// Reasons to deny every certificate but the one with this serial number.
    pub(crate) deny: Vec<(&'static str, String)>,
    /// Ends the streams that are open.
    pub(crate) streams: tokio_util::sync::CancellationToken,
    pub(crate) exports: Vec<ExportTraceServiceRequest>,
}

impl StageContext {
    /// What calls and losses became, without the checkpoints.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.exports.iter().flat_map(records).collect()
    }

    pub(crate) fn checkpoints(&self) -> Vec<Span> {
        self.exports.iter().flat_map(all_spans).filter(|span| span.name == CHECKPOINT).collect()
    }
}

const CHECKPOINT: &str = "chapar.checkpoint";

/// The spans of one export without its checkpoint.
pub(crate) fn records(export: &ExportTraceServiceRequest) -> Vec<Span> {
    all_spans(export).into_iter().filter(|span| span.name != CHECKPOINT).collect()
}

/// Each with what its scope says.
fn all_spans(export: &ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = export.resource_spans.iter().flat_map(|of| &of.scope_spans);
    let whole = scopes.flat_map(|of| {
        let shared = of.scope.as_ref().map_or(&[][..], |scope| &scope.attributes);
        of.spans.iter().map(move |span| Span { attributes: [&span.attributes, shared].concat(), ..span.clone() })
    });
    whole.collect()
}

pub(crate) struct ControlPlane {
    pub(crate) address: SocketAddr,
    context: Arc<Mutex<StageContext>>,
    /// Raised by everything that happens at the context.
    events: Arc<watch::Sender<u64>>,
    /// The newest update; every stream sends it, and each that follows.
    updates: watch::Sender<Option<v1::Update>>,
    pub(crate) clock: Clock,
    server: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Service {
    context: Arc<Mutex<StageContext>>,
    events: Arc<watch::Sender<u64>>,
    updates: watch::Sender<Option<v1::Update>>,
}

impl Service {
    fn note<T>(&self, note: impl FnOnce(&mut StageContext) -> T) -> T {
        let noted = note(&mut self.context.lock().unwrap());
        self.events.send_modify(|events| *events += 1);
        noted
    }

    fn admitted(&self, serial: &str) -> Result<(), Status> {
        let context = self.context.lock().unwrap();
        match context.deny.iter().find(|(_, known)| known != serial) {
            Some((reason, _)) => Err(refusal(Code::PermissionDenied, reason)),
            None => Ok(()),
        }
    }
}

impl ControlPlane {
    pub(crate) async fn start() -> Self {
        let context = StageContext {
            authority: Authority::new("exchange.example"),
            issue_from: NOW,
            refuse_credentials: None,
            enrolments: Vec::new(),
            renewals: Vec::new(),
            hellos: Vec::new(),
            acks: Vec::new(),
            registrations: Vec::new(),
            exports_to_fail: 0,
            deny: Vec::new(),
            streams: tokio_util::sync::CancellationToken::new(),
            exports: Vec::new(),
        };
        let mut control_plane = Self {
            address: ([127, 0, 0, 1], 0).into(),
            context: Arc::new(Mutex::new(context)),
            events: Arc::new(watch::Sender::new(0)),
            updates: watch::Sender::new(None),
            clock: Clock::wound(NOW),
            server: None,
        };
        control_plane.open().await;
        control_plane
    }

    pub(crate) fn context(&self) -> MutexGuard<'_, StageContext> {
        self.context.lock().unwrap()
    }

    /// Returns once `seen` finds at the context what it looks for.
    pub(crate) async fn until<T>(&self, what: &str, mut seen: impl FnMut(&StageContext) -> Option<T>) -> T {
        let mut events = self.events.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = seen(&self.context()) {
                    return found;
                }
                events.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
    }

    /// Ends every stream; who follows comes again.
    pub(crate) fn end_streams(&self) {
        self.context().streams.cancel();
        self.context().streams = tokio_util::sync::CancellationToken::new();
    }

    pub(crate) fn send(&self, update: v1::Update) {
        self.updates.send_replace(Some(update));
    }

    /// Closes every connection and the listener, as `kill -9` would.
    pub(crate) async fn kill(&mut self) {
        let server = self.server.take().unwrap();
        server.abort();
        let _ = server.await;
    }

    /// Listens (again), at the same address as before.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(self.tls());
        let service = Service { context: self.context.clone(), events: self.events.clone(), updates: self.updates.clone() };
        let connections = futures_util::stream::unfold((listener, acceptor), |(listener, acceptor)| async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    return Some((Ok::<_, std::io::Error>(stream), (listener, acceptor)));
                }
            }
        });
        self.server = Some(tokio::spawn(async move {
            Server::builder()
                .add_service(enrolment::EnrolmentServiceServer::new(service.clone()))
                .add_service(registration::RegistrationServiceServer::new(service.clone()))
                .add_service(snapshot::SnapshotServiceServer::new(service.clone()))
                .add_service(TraceServiceServer::new(service).accept_compressed(tonic::codec::CompressionEncoding::Gzip))
                .serve_with_incoming(Box::pin(connections))
                .await
                .unwrap();
        }));
    }

    fn tls(&self) -> Arc<ServerConfig> {
        let context = self.context();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(context.authority.root.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let credentials = context.authority.signer.credentials();
        let chain = [credentials.chain, vec![context.authority.root.der().clone()]].concat();
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(self.clock.clone()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, credentials.key.into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }

    pub(crate) fn token(&self, agency: &str) -> EnrolmentToken {
        EnrolmentToken {
            trust_domain: "exchange.example".to_owned(),
            agency: agency.to_owned(),
            sidecar: None,
            root_sha256: digest(&SHA256, self.context().authority.root.der()).as_ref().try_into().unwrap(),
            id: "t1".to_owned(),
            secret: [7; 32],
        }
    }

    /// Configuration of a sidecar of `agency` with its token, in `folder`.
    pub(crate) fn config(&self, folder: &std::path::Path, agency: &str, more: &str) -> Config {
        std::fs::write(folder.join("token"), self.token(agency).to_string()).unwrap();
        let text = format!(
            "agency: {agency}\nstateDir: state\nlisten: {{outbound: '127.0.0.1:0', inbound: '127.0.0.1:0', admin: '127.0.0.1:0'}}\n\
             controlPlane: {{address: '{}', tokenFile: token, retryMsMin: 5, retryMsMax: 50}}\n{more}",
            self.address
        );
        Config::parse(&folder.join("sidecar.yaml"), &text).unwrap()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }
}

fn peer<T>(request: &Request<T>) -> Result<(SpiffeId, String), Status> {
    let chain = request.peer_certs().ok_or_else(|| Status::unauthenticated("no certificate"))?;
    let chain: Vec<CertificateDer<'static>> = chain.iter().cloned().collect();
    let peer = peer_certificate(&chain).map_err(|problem| Status::unauthenticated(problem.to_string()))?;
    Ok((peer.spiffe_id, peer.serial.to_string()))
}

fn credentials(context: &mut StageContext, csr_der: &[u8], spiffe_id: &str) -> Result<v1::Credentials, Status> {
    if let Some(refusal) = &context.refuse_credentials {
        return Err(refusal.clone());
    }
    let chain = context.authority.sign_request(csr_der, context.issue_from, 24 * HOUR_MS);
    let bundle =
        v1::TrustBundle { trust_domain: "exchange.example".to_owned(), roots_der: vec![context.authority.root.der().to_vec()] };
    Ok(v1::Credentials {
        chain_der: chain.iter().map(|der| der.to_vec()).collect(),
        bundle: Some(bundle),
        spiffe_id: spiffe_id.to_owned(),
        not_before: None,
        not_after: None,
    })
}

#[tonic::async_trait]
impl enrolment::EnrolmentService for Service {
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolResponse>, Status> {
        let request = request.into_inner();
        self.note(|context| {
            let answer = credentials(context, &request.csr_der, "");
            context.enrolments.push(request.clone());
            Ok(Response::new(v1::EnrolResponse { credentials: Some(answer?) }))
        })
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let (spiffe_id, serial) = peer(&request)?;
        self.note(|context| {
            context.renewals.push(serial);
            let answer = credentials(context, &request.get_ref().csr_der, &spiffe_id.to_string())?;
            Ok(Response::new(v1::RenewResponse { credentials: Some(answer) }))
        })
    }
}

#[tonic::async_trait]
impl registration::RegistrationService for Service {
    async fn register(&self, request: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterResponse>, Status> {
        peer(&request)?;
        let request = request.into_inner();
        let services = request.services.iter().map(|service| v1::ServiceRegistration {
            grpc_service: service.grpc_service.clone(),
            state: v1::RegistrationState::Exposed.into(),
            passport_version: String::new(),
            breaks: Vec::new(),
        });
        let response = v1::RegisterResponse { services: services.collect() };
        self.note(|context| context.registrations.push(request.clone()));
        Ok(Response::new(response))
    }
}

#[tonic::async_trait]
impl snapshot::SnapshotService for Service {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<v1::FollowResponse, Status>> + Send>>;

    async fn follow(&self, request: Request<Streaming<v1::FollowRequest>>) -> Result<Response<Self::FollowStream>, Status> {
        let (_, serial) = peer(&request)?;
        self.admitted(&serial)?;
        let mut said = request.into_inner();
        let service = self.clone();
        let ended = self.note(|context| context.streams.clone());
        tokio::spawn(async move {
            while let Ok(Some(v1::FollowRequest { message: Some(message) })) = said.message().await {
                service.note(|context| match message {
                    Message::Hello(hello) => context.hellos.push(hello),
                    Message::Ack(ack) => context.acks.push(ack),
                });
            }
        });
        let updates = WatchStream::new(self.updates.subscribe())
            .filter_map(|update| Some(Ok(v1::FollowResponse { update: Some(update?) })));
        let (told, telling) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let mut updates = std::pin::pin!(updates);
            while let Some(Some(update)) = ended.run_until_cancelled(updates.next()).await {
                if told.send(update).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(telling))))
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (_, serial) = peer(&request)?;
        self.admitted(&serial)?;
        self.note(|context| {
            if request.get_ref().resource_spans.is_empty() {
                return Ok(Response::new(ExportTraceServiceResponse::default()));
            }
            if context.exports_to_fail > 0 {
                context.exports_to_fail -= 1;
                return Err(Status::unavailable("not now"));
            }
            context.exports.push(request.into_inner());
            Ok(Response::new(ExportTraceServiceResponse::default()))
        })
    }
}

/// A refusal with its stable reason, as the real control plane makes it.
pub(crate) fn refusal(code: Code, reason: &str) -> Status {
    let info = chapar_proto::rpc::ErrorInfo {
        reason: reason.to_owned(),
        domain: "chapar".to_owned(),
        ..chapar_proto::rpc::ErrorInfo::default()
    };
    let detail =
        prost_types::Any { type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(), value: info.encode_to_vec() };
    let details = chapar_proto::rpc::Status { code: code as i32, message: String::new(), details: vec![detail] };
    Status::with_details(code, "refused", details.encode_to_vec().into())
}
