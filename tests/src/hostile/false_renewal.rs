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
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{net::TcpListener, sync::mpsc};
use tonic::{Request, Response, Status};

use crate::{
    attacker::{self, Disguise},
    control_plane::TRUST_DOMAIN,
};

/// Takes the control plane's place until a sidecar has asked for a renewal and was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FalseRenewal {
    /// Where the control plane was, host:port.
    pub address: String,
    /// A copy of the control plane's folder of keys.
    pub authority: PathBuf,
}

impl FalseRenewal {
    /// That a renewal was answered.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) async fn run(self) -> Result<Value> {
        let uri = format!("spiffe://{TRUST_DOMAIN}/control-plane");
        let acceptor = attacker::acceptor(&Disguise::double(&self.authority, "issuing-1", &uri, "1234")?)?;
        let listener = TcpListener::bind(&self.address).await.with_context(|| format!("bind {}", self.address))?;
        let (answered, mut answers) = mpsc::channel(1);
        let service = EnrolmentServiceServer::new(FalseAuthority { authority: Arc::new(self.authority), answered });
        loop {
            tokio::select! {
                _ = answers.recv() => return Ok(json!({ "answered": true })),
                accepted = listener.accept() => {
                    let (acceptor, service) = (acceptor.clone(), service.clone());
                    let (tcp, _) = accepted?;
                    tokio::spawn(async move {
                        let Ok(tls) = acceptor.accept(tcp).await else { return };
                        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        // How the victim takes it shows at the victim.
                        let _ = http.serve_connection(TokioIo::new(tls), TowerToHyperService::new(service)).await;
                    });
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
struct FalseAuthority {
    authority: Arc<PathBuf>,
    answered: mpsc::Sender<()>,
}

impl FalseAuthority {
    fn credentials(&self, csr_der: Vec<u8>) -> Result<Credentials> {
        let issuer_der = CertificateDer::from_pem_file(self.authority.join("issuing-1.pem"))?;
        let key = KeyPair::from_pem(&std::fs::read_to_string(self.authority.join("issuing-1.key"))?)?;
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
        // The answer has to be on its way before this process ends.
        let answered = self.answered.clone();
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            answered.send(()).await
        });
        Ok(Response::new(RenewResponse { credentials: Some(credentials) }))
    }
}
