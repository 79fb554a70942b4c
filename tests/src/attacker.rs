//! Who pretends to be somebody else: certificates as an attacker makes or steals them, and connections that show them.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use chapar_proto::v1::{EnrolRequest, enrolment_service_client::EnrolmentServiceClient};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    SerialNumber,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime, pem::PemObject as _};
use time::OffsetDateTime;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

use crate::control_plane::ControlPlane;

/// Life of a certificate that is meant to be valid now.
const LIFE: Duration = Duration::from_secs(3_600);
/// How long an attacker waits for an answer: a refused handshake may look like silence.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// What an attacker shows: a chain of certificates, and the key of its leaf.
#[derive(Debug)]
pub struct Disguise {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Disguise {
    /// Nobody vouches for it but itself.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn self_signed(uri: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = leaf(&[uri], OffsetDateTime::now_utc() + LIFE)?.self_signed(&key)?;
        Ok(Self { chain: vec![certificate.der().clone()], key: key.serialize_der().into() })
    }

    /// Made by an authority of the attacker's own, which bears the real one's name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn of_a_namesake(uri: &str) -> Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, crate::control_plane::TRUST_DOMAIN);
        subject.push(DnType::CommonName, "issuing-1");
        authority.distinguished_name = subject;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        Self::signed(&leaf(&[uri], OffsetDateTime::now_utc() + LIFE)?, &issuer, certificate.der().clone())
    }

    /// Made with the issuing key of the control plane whose state is in `folder`: worse than any thief without that key could
    /// do. `uris` are the names in it.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn by_stolen_authority(folder: &Path, uris: &[&str]) -> Result<Self> {
        Self::by_stolen_authority_until(folder, uris, OffsetDateTime::now_utc() + LIFE)
    }

    /// The same, with the end of its life.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn by_stolen_authority_until(folder: &Path, uris: &[&str], not_after: OffsetDateTime) -> Result<Self> {
        Self::by_stolen_issuer(&folder.join("authority"), "issuing-1", leaf(uris, not_after)?)
    }

    /// Made with the key of the issuing CA `name`, and bears the serial number of a certificate that somebody else holds, in
    /// lowercase hex. `authority` is a copy of the control plane's folder of that name.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn double(authority: &Path, name: &str, uri: &str, serial: &str) -> Result<Self> {
        let mut params = leaf(&[uri], OffsetDateTime::now_utc() + LIFE)?;
        let bytes = (0..serial.len()).step_by(2).map(|at| Ok(u8::from_str_radix(serial.get(at..at + 2).context("hex")?, 16)?));
        params.serial_number = Some(SerialNumber::from(bytes.collect::<Result<Vec<u8>>>()?));
        Self::by_stolen_issuer(authority, name, params)
    }

    fn by_stolen_issuer(authority: &Path, name: &str, params: CertificateParams) -> Result<Self> {
        let key = KeyPair::from_pem(&fs::read_to_string(authority.join(format!("{name}.key"))).context("the issuing key")?)?;
        let certificate = CertificateDer::from_pem_file(authority.join(format!("{name}.pem")))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, &key)?;
        Self::signed(&params, &issuer, certificate.clone())
    }

    /// The key and certificate of a real sidecar, out of its state folder.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn stolen_from(state: &Path) -> Result<Self> {
        let pem = fs::read(state.join("credentials.pem")).context("the sidecar's credentials")?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>()?;
        Ok(Self { chain, key: PrivatePkcs8KeyDer::from_pem_slice(&pem)? })
    }

    /// What [`Disguise::write`] wrote.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(chain: &Path, key: &Path) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(&fs::read(chain)?).collect::<Result<_, _>>()?;
        Ok(Self { chain, key: PrivatePkcs8KeyDer::from_pem_slice(&fs::read(key)?)? })
    }

    /// No disguise at all: enrolled with a token, as the sidecar `uri` would be.
    ///
    /// # Errors
    /// When the control plane refuses it.
    pub async fn enrolled(plane: &ControlPlane, agency: &str, uri: &str) -> Result<Self> {
        let (csr_der, key) = signing_request(uri)?;
        let mut enrolment = EnrolmentServiceClient::new(channel(plane.address("sidecars"), None)?);
        let request = EnrolRequest { token: plane.token(agency).await?, csr_der, sidecar: String::new() };
        let credentials = enrolment.enrol(request).await?.into_inner().credentials.context("credentials are set")?;
        Ok(Self::issued(credentials.chain_der, &key))
    }

    /// What the control plane issued to this key.
    #[must_use]
    pub fn issued(chain_der: Vec<Vec<u8>>, key: &KeyPair) -> Self {
        Self { chain: chain_der.into_iter().map(CertificateDer::from).collect(), key: key.serialize_der().into() }
    }

    fn signed<K: rcgen::SigningKey>(
        params: &CertificateParams,
        issuer: &Issuer<'_, K>,
        issuer_der: CertificateDer<'static>,
    ) -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, issuer)?;
        Ok(Self { chain: vec![certificate.der().clone(), issuer_der], key: key.serialize_der().into() })
    }

    /// Writes what it shows for a program of somebody else's: the chain, and the key, each PEM.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, chain: &Path, key: &Path) -> Result<()> {
        let certificates = self.chain.iter().map(|der| armoured("CERTIFICATE", der)).collect::<String>();
        fs::write(chain, certificates)?;
        fs::write(key, armoured("PRIVATE KEY", self.key.secret_pkcs8_der()))?;
        Ok(())
    }

    /// Serial number of its leaf, lowercase hex.
    ///
    /// # Errors
    /// When the leaf is no certificate.
    pub fn serial(&self) -> Result<String> {
        let (_, leaf) = x509_parser::parse_x509_certificate(self.chain.first().context("a chain has a leaf")?)?;
        Ok(leaf.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn shown(&self) -> Result<Arc<SingleCertAndKey>> {
        let key = provider().key_provider.load_private_key(self.key.clone_key().into())?;
        Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(self.chain.clone(), key))))
    }
}

/// PEM (RFC 7468), in one long line: its readers take it.
fn armoured(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn leaf(uris: &[&str], not_after: OffsetDateTime) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = uris.iter().map(|uri| Ok(SanType::URI((*uri).try_into()?))).collect::<Result<_>>()?;
    params.not_before = not_after - 2 * LIFE;
    params.not_after = not_after;
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A request for a certificate of `uri`, DER, and its key.
///
/// # Errors
/// When it cannot be made.
pub fn signing_request(uri: &str) -> Result<(Vec<u8>, KeyPair)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    Ok((params.serialize_request(&key)?.der().to_vec(), key))
}

/// As [`channel`], for streams that last: no request has a deadline.
///
/// # Errors
/// When the disguise cannot be worn.
pub fn lasting_channel(address: &str, disguise: &Disguise) -> Result<Channel> {
    channel_by(Endpoint::from_static("http://victim.invalid"), Ipv4Addr::UNSPECIFIED, address, Some(disguise))
}

/// A channel to the TLS listener at `address`, whoever that is, that shows `disguise`. Every request has a deadline.
///
/// # Errors
/// When the disguise cannot be worn.
pub fn channel(address: &str, disguise: Option<&Disguise>) -> Result<Channel> {
    channel_from(Ipv4Addr::UNSPECIFIED, address, disguise)
}

/// The same, from the address `source` of this machine; unspecified: whichever the system takes.
///
/// # Errors
/// When the disguise cannot be worn.
pub fn channel_from(source: Ipv4Addr, address: &str, disguise: Option<&Disguise>) -> Result<Channel> {
    channel_by(Endpoint::from_static("http://victim.invalid").timeout(ANSWER_LIMIT), source, address, disguise)
}

fn channel_by(endpoint: Endpoint, source: Ipv4Addr, address: &str, disguise: Option<&Disguise>) -> Result<Channel> {
    let (connector, address) = (connector(disguise)?, address.parse::<SocketAddr>()?);
    Ok(endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let socket = TcpSocket::new_v4()?;
            socket.bind((source, 0).into())?;
            handshake(&connector, socket.connect(address).await?).await.map(TokioIo::new)
        }
    })))
}

/// TLS over `tcp` that shows `disguise`, for bytes written by hand.
///
/// # Errors
/// When the disguise cannot be worn, or the handshake fails.
pub async fn connect(tcp: TcpStream, disguise: Option<&Disguise>) -> Result<TlsStream<TcpStream>> {
    Ok(handshake(&connector(disguise)?, tcp).await?)
}

fn connector(disguise: Option<&Disguise>) -> Result<TlsConnector> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
        .with_no_client_auth();
    if let Some(disguise) = disguise {
        config.client_auth_cert_resolver = disguise.shown()?;
    }
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn handshake(connector: &TlsConnector, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("victim.invalid").map_err(io::Error::other)?;
    connector.connect(name, tcp).await
}

/// Takes connections as `disguise` says, and lets everyone in.
///
/// # Errors
/// When the disguise cannot be worn.
pub fn acceptor(disguise: &Disguise) -> Result<TlsAcceptor> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(disguise.shown()?);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Believes every server: the attacker does not care whom it attacks.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A server that answers where somebody else is expected. It lets everyone in and listens; ends when dropped.
#[derive(Debug)]
pub struct Impostor {
    address: String,
    visits: watch::Receiver<u64>,
    heard: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Impostor {
    /// Answers at `address` (port 0: a free one) as `disguise` says.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(address: &str, disguise: &Disguise) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("bind {address}"))?;
        let address = listener.local_addr()?.to_string();
        let acceptor = acceptor(disguise)?;
        let ((visited, visits), (hearing, heard)) = (watch::channel(0), watch::channel(0));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                visited.send_modify(|count| *count += 1);
                tokio::spawn(overhear(acceptor.clone(), tcp, hearing.clone()));
            }
        });
        Ok(Self { address, visits, heard, task })
    }

    /// host:port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many connected.
    #[must_use]
    pub fn visits(&self) -> u64 {
        *self.visits.borrow()
    }

    /// How many bytes it was told after a handshake: what its victims would not have said had they known.
    #[must_use]
    pub fn heard_bytes(&self) -> u64 {
        *self.heard.borrow()
    }

    /// Gives the address up: when this returns, another can have it.
    pub async fn leave(mut self) {
        self.task.abort();
        // That it was cancelled is what was asked for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn overhear(acceptor: TlsAcceptor, tcp: TcpStream, hearing: watch::Sender<u64>) {
    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
    let mut buffer = [0; 1_024];
    while let Ok(bytes @ 1..) = tls.read(&mut buffer).await {
        hearing.send_modify(|count| *count += u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}
