//! A control plane in this process with a clock wound by hand, and clients that speak to it over real TLS.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chapar_control_plane::{
    app::App,
    audit,
    clock::{Clock, date_of},
    config::Config,
    page::Page,
    resources::{Agency, Title},
    store::AuditFilter,
};
use chapar_core::time::Timestamp;
use chapar_proto::{
    admin::v1::{CreateTokenRequest, token_service_client::TokenServiceClient},
    rpc,
    token::EnrolmentToken,
    v1::{Credentials, EnrolRequest, RenewRequest, enrolment_service_client::EnrolmentServiceClient},
};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio::net::{TcpStream, UnixStream};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

pub const TRUST_DOMAIN: &str = "exchange.example";
pub const POST: &str = "spiffe://exchange.example/agency/post/sidecar/main";

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub clock: Clock,
    pub app: App,
}

/// A key, and what the authority says that it is.
pub struct Identity {
    pub key: KeyPair,
    pub chain: Vec<Vec<u8>>,
    pub roots: Vec<Vec<u8>>,
}

impl Bench {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(START_MS));
        let app = App::start(config(folder.path()), clock.clone()).await.unwrap();
        let mut tx = app.store().write().await.unwrap();
        let title = Title { fa: String::new(), en: String::new() };
        for name in ["post", "cra"] {
            tx.put_agency(name, &Agency { title: title.clone(), roles: Vec::new(), part_of: None }).await.unwrap();
        }
        tx.commit().await.unwrap();
        Self { folder, clock, app }
    }

    pub fn authority_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("state/authority").join(name)
    }

    pub fn address(&self, listener: &str) -> String {
        self.app.addresses()[listener].clone()
    }

    /// A channel to the admin socket.
    pub fn local(&self) -> Channel {
        let socket = self.address("adminSocket");
        Endpoint::from_static("http://control-plane").connect_with_connector_lazy(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
    }

    /// A channel to a TLS listener, that trusts exactly these roots, with this identity or none.
    pub fn channel(&self, listener: &str, roots: Roots, identity: Option<&Identity>) -> Channel {
        let (address, tls) = (self.address(listener), tokio_rustls::TlsConnector::from(Arc::new(self.tls(roots, identity))));
        Endpoint::from_static("http://control-plane").connect_with_connector_lazy(tower::service_fn(move |_| {
            let (address, tls) = (address.clone(), tls.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("control-plane").unwrap();
                tls.connect(name, stream).await.map(TokioIo::new)
            }
        }))
    }

    fn tls(&self, roots: Roots, identity: Option<&Identity>) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Arc::new(Verifier { roots, clock: self.clock.clone() });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        config
    }

    pub async fn token(&self, agency: &str) -> EnrolmentToken {
        let asked = CreateTokenRequest { agency: agency.to_owned(), ..Default::default() };
        let made = TokenServiceClient::new(self.local()).create_token(asked).await.unwrap().into_inner();
        EnrolmentToken::parse(&made.token).unwrap()
    }

    /// Enrols as a sidecar does: knowing nothing but the token.
    pub async fn enrol(&self, agency: &str) -> Identity {
        let token = self.token(agency).await;
        let key = KeyPair::generate().unwrap();
        let channel = self.channel("sidecars", Roots::WithFingerprint(token.root_sha256), None);
        let request = EnrolRequest { token: token.to_string(), csr_der: csr(&key, &[]), sidecar: String::new() };
        let answer = EnrolmentServiceClient::new(channel).enrol(request).await.unwrap().into_inner();
        Identity::of(key, answer.credentials.unwrap())
    }

    /// A channel of a sidecar with its own roots.
    pub fn as_sidecar(&self, identity: &Identity) -> EnrolmentServiceClient<Channel> {
        EnrolmentServiceClient::new(self.channel("sidecars", Roots::These(identity.roots.clone()), Some(identity)))
    }

    /// A leaf with these URI names, signed with the issuing CA's own key: what a thief of that key could make.
    pub fn forged(&self, names: &[&str], not_after: Timestamp) -> Identity {
        let ca_key = KeyPair::from_pem(&std::fs::read_to_string(self.authority_file("issuing-1.key")).unwrap()).unwrap();
        let current = self.app.authority().current();
        let ca = current.issuing.chain[0].clone();
        let issuer = rcgen::Issuer::from_ca_cert_der(&ca, &ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(names, self.clock.now().plus_ms(-172_800_000), not_after).signed_by(&key, &issuer).unwrap();
        let chain = vec![certificate.der().to_vec(), ca.to_vec()];
        Identity { key, chain, roots: current.roots_der() }
    }

    pub fn self_signed(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = leaf(&[name], self.clock.now().plus_ms(-1_000), self.clock.now().plus_ms(3_600_000));
        let chain = vec![params.self_signed(&key).unwrap().der().to_vec()];
        Identity { key, chain, roots: self.app.authority().current().roots_der() }
    }

    /// Reasons of the refusals with this action, oldest first.
    pub async fn refusals(&self, action: &str) -> Vec<String> {
        let filter = AuditFilter { action_prefix: action.to_owned(), ..Default::default() };
        let page = Page { size: 1_000, after: None };
        let (entries, _) = audit::list(self.app.store(), &filter, &page).await.unwrap();
        entries.into_iter().rev().filter(|entry| !entry.succeeded).map(|entry| entry.reason).collect()
    }

    /// Waits until there are so many such refusals: the server writes them after it has hung up.
    pub async fn refusals_once(&self, action: &str, count: usize) -> Vec<String> {
        for _ in 0..500 {
            let refusals = self.refusals(action).await;
            if refusals.len() >= count {
                return refusals;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} refusals {action} were expected: {:?}", self.refusals(action).await);
    }
}

pub fn config(folder: &Path) -> Config {
    let text = format!(
        "trustDomain: {TRUST_DOMAIN}\nstateDir: {}/state\n\
         listen: {{sidecars: \"127.0.0.1:0\", admin: \"127.0.0.1:0\", http: \"127.0.0.1:0\"}}\n",
        folder.display()
    );
    let file = folder.join("control-plane.yaml");
    std::fs::write(&file, text).unwrap();
    Config::read(&file).unwrap()
}

impl Identity {
    pub fn of(key: KeyPair, credentials: Credentials) -> Self {
        Self { key, chain: credentials.chain_der, roots: credentials.bundle.unwrap().roots_der }
    }

    pub fn serial(&self) -> String {
        let (_, leaf) = x509_parser::parse_x509_certificate(&self.chain[0]).unwrap();
        data_encoding::HEXLOWER.encode(leaf.raw_serial())
    }
}

pub fn csr(key: &KeyPair, names: &[&str]) -> Vec<u8> {
    leaf(names, Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(START_MS))
        .serialize_request(key)
        .map(|request| request.der().to_vec())
        .unwrap()
}

pub fn renewal(key: &KeyPair) -> RenewRequest {
    RenewRequest { csr_der: csr(key, &[]) }
}

fn leaf(names: &[&str], not_before: Timestamp, not_after: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.iter().map(|name| SanType::URI((*name).try_into().unwrap())).collect();
    params.not_before = date_of(not_before);
    params.not_after = date_of(not_after);
    params
}

/// The stable reason in a status.
pub fn reason(status: &Status) -> String {
    let Ok(details) = rpc::Status::decode(status.details()) else { return String::new() };
    let info = details.details.iter().find(|any| any.type_url.ends_with("google.rpc.ErrorInfo"));
    let Some(info) = info.and_then(|any| rpc::ErrorInfo::decode(any.value.as_slice()).ok()) else { return String::new() };
    assert_eq!(info.domain, "chapar");
    info.reason
}

/// What a client trusts the control plane by.
#[derive(Clone, Debug)]
pub enum Roots {
    These(Vec<Vec<u8>>),
    /// A certificate of the presented chain with this SHA-256, as a token names it.
    WithFingerprint([u8; 32]),
}

#[derive(Debug)]
struct Verifier {
    roots: Roots,
    clock: Clock,
}

impl Verifier {
    fn chains(&self, presented: &[CertificateDer<'_>]) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let roots = match &self.roots {
            Roots::These(roots) => roots.clone(),
            Roots::WithFingerprint(fingerprint) => presented
                .iter()
                .filter(|der| chapar_control_plane::authority::sha256(der) == *fingerprint)
                .map(|der| der.to_vec())
                .collect(),
        };
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(CertificateDer::from(root))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let now = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(self.clock.now().unix_ms()).unwrap()));
        self.chains(intermediates)?.verify_client_cert(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        rustls::crypto::verify_tls13_signature(message, cert, dss, &provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
