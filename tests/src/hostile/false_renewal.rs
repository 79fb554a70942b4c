//! A false control plane, with a stolen issuing key, that answers one renewal with roots of its own.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use chapar_proto::v1::{
    Credentials, EnrolRequest, EnrolResponse, RenewRequest, RenewResponse, TrustBundle,
    enrolment_service_server::{EnrolmentService, EnrolmentServiceServer},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    attacker::{self, Disguise},
    control_plane::TRUST_DOMAIN,
};

/// Takes the control plane's place until a sidecar has asked for a renewal, was answered, has shown what it got, and has come once more
/// with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FalseRenewal {
    /// Where the control plane was, host:port.
    pub address: String,
    /// A copy of the control plane's folder of keys.
    pub authority: PathBuf,
    /// The issuing CA whose key it is.
    pub issuer: String,
    /// Handshakes that victims end before he gives up. 0: he does not.
    pub refusals_max: u32,
}

impl FalseRenewal {
    /// That a renewal was answered and believed; or how many handshakes victims ended.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) async fn run(self) -> Result<Value> {
        let uri = format!("spiffe://{TRUST_DOMAIN}/control-plane");
        let acceptor = attacker::acceptor(&Disguise::double(&self.authority, &self.issuer, &uri, "1234")?)?;
        let listener = TcpListener::bind(&self.address).await.with_context(|| format!("bind {}", self.address))?;
        let stage = watch::Sender::new(Stage::Waiting);
        let authority = FalseAuthority { authority: Arc::new(self.authority), issuer: self.issuer, stage: stage.clone() };
        let service = Routes::new(EnrolmentServiceServer::new(authority.clone())).add_service(TraceServiceServer::new(authority));
        let service = service.prepare();
        let mut stages = stage.subscribe();
        let mut refused = 0;
        let (failed, mut failures) = mpsc::channel(1);
        loop {
            tokio::select! {
                _ = stages.wait_for(|stage| *stage == Stage::ComeAgain) => return Ok(json!({ "answered": true })),
                _ = failures.recv() => {
                    refused += 1;
                    if refused == self.refusals_max {
                        return Ok(json!({ "answered": false, "refused": refused }));
                    }
                }
                accepted = listener.accept() => {
                    let (acceptor, service, stage, failed) = (acceptor.clone(), service.clone(), stage.clone(), failed.clone());
                    let (tcp, _) = accepted?;
                    tokio::spawn(async move {
                        let Ok(tls) = acceptor.accept(tcp).await else {
                            let _ = failed.send(()).await;
                            return;
                        };
                        // Whoever comes now took what it was given: it opens another connection only for that.
                        stage.send_if_modified(|stage| {
                            let comes_again = *stage == Stage::Shown;
                            if comes_again {
                                *stage = Stage::ComeAgain;
                            }
                            comes_again
                        });
                        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        // How the victim takes it shows at the victim.
                        let _ = http.serve_connection(TokioIo::new(tls), TowerToHyperService::new(service)).await;
                    });
                }
            }
        }
    }
}

/// How far a victim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Answered,
    Shown,
    ComeAgain,
}

#[derive(Clone, Debug)]
struct FalseAuthority {
    authority: Arc<PathBuf>,
    issuer: String,
    stage: watch::Sender<Stage>,
}

impl FalseAuthority {
    fn credentials(&self, csr_der: Vec<u8>) -> Result<Credentials> {
        let issuer_der = CertificateDer::from_pem_file(self.authority.join(format!("{}.pem", self.issuer)))?;
        let key = KeyPair::from_pem(&std::fs::read_to_string(self.authority.join(format!("{}.key", self.issuer)))?)?;
        let mut request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))?;
        request.params.not_before = OffsetDateTime::now_utc() - time::Duration::HOUR;
        request.params.not_after = OffsetDateTime::now_utc() + time::Duration::HOUR;
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = request.signed_by(&Issuer::from_ca_cert_der(&issuer_der, &key)?)?;
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = root.self_signed(&KeyPair::generate()?)?;
        // The genuine root is not in a PEM of the thief's: it leaves its own in its place.
        let bundle = TrustBundle { trust_domain: TRUST_DOMAIN.to_owned(), roots_der: vec![root.der().to_vec()] };
        Ok(Credentials { chain_der: vec![leaf.der().to_vec(), issuer_der.to_vec()], bundle: Some(bundle), ..Default::default() })
    }
}

#[tonic::async_trait]
impl EnrolmentService for FalseAuthority {
    async fn enrol(&self, _: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        Err(Status::unavailable("not now"))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let credentials = self.credentials(request.into_inner().csr_der).map_err(|error| Status::internal(error.to_string()))?;
        self.stage.send_if_modified(|stage| {
            let is_first = *stage == Stage::Waiting;
            if is_first {
                *stage = Stage::Answered;
            }
            is_first
        });
        Ok(Response::new(RenewResponse { credentials: Some(credentials) }))
    }
}

#[tonic::async_trait]
impl TraceService for FalseAuthority {
    /// Accepts what a victim shows; records he lets it keep.
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if !request.get_ref().resource_spans.is_empty() {
            return Err(Status::unavailable("not now"));
        }
        self.stage.send_if_modified(|stage| {
            let is_shown = *stage == Stage::Answered;
            if is_shown {
                *stage = Stage::Shown;
            }
            is_shown
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
