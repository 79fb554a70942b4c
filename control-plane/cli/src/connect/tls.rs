//! Mutual TLS 1.3 with an admin certificate. The other end must be the control plane of the certificate's own trust
//! domain: by its SPIFFE ID, never by its host name.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    server::ParsedCertificate,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::ConnectionArgs;
use crate::failure::Failure;

/// HTTP/2, the only protocol of gRPC.
const ALPN_HTTP2: &[u8] = b"h2";

pub(crate) fn config(connection: &ConnectionArgs) -> Result<Arc<ClientConfig>, Failure> {
    let (Some(cert), Some(key), Some(ca)) = (&connection.cert, &connection.key, &connection.ca) else {
        return Err(Failure::Input(
            "an https endpoint needs --cert, --key and --ca (or CHAPAR_CERT, CHAPAR_KEY and CHAPAR_CA); \
             `chapar admin-cert issue NAME --out DIR` on the control plane's own machine makes them"
                .to_owned(),
        ));
    };
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| unusable(key, "private key", &cause))?;
    let mut roots = RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).map_err(|cause| unusable(ca, "root certificate", &cause))?;
    }
    let expected = control_plane_of(&chain[0])
        .ok_or_else(|| Failure::Input(format!("{}: not an admin certificate: it carries no single SPIFFE ID", cert.display())))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = ControlPlaneVerifier { roots, expected, provider: provider.clone() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|cause| unusable(cert, "TLS 1.3 configuration", &cause))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)
        .map_err(|cause| unusable(cert, "certificate with that key", &cause))?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    // A resumed session would skip the check of the certificate.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|cause| unusable(path, "certificate", &cause))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|cause| unusable(path, "certificate", &cause))?;
    if certificates.is_empty() {
        return Err(Failure::Input(format!("{}: no certificate (PEM) in this file", path.display())));
    }
    Ok(certificates)
}

fn unusable(path: &Path, what: &str, cause: &dyn std::error::Error) -> Failure {
    Failure::Input(format!("{}: no usable {what}: {cause}", path.display()))
}

/// Identity of the control plane in the trust domain of this certificate.
fn control_plane_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let id = spiffe_id(certificate)?;
    let (trust_domain, _) = id.strip_prefix("spiffe://")?.split_once('/')?;
    Some(format!("spiffe://{trust_domain}/control-plane"))
}

/// The one URI that names the bearer. None: no URI, or several.
fn spiffe_id(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let id = uris.next()?;
    uris.next().is_none().then(|| id.to_owned())
}

/// Accepts the control plane of one trust domain and nobody else.
#[derive(Debug)]
struct ControlPlaneVerifier {
    roots: RootCertStore,
    expected: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ControlPlaneVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        let id = spiffe_id(end_entity);
        if id.as_deref() == Some(self.expected.as_str()) {
            return Ok(ServerCertVerified::assertion());
        }
        let found = id.unwrap_or_else(|| "without a single SPIFFE ID".to_owned());
        Err(rustls::Error::General(format!("the other end is {found}, not {}", self.expected)))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};

    use super::*;

    fn root(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn leaf(root: &CertifiedIssuer<'static, KeyPair>, uris: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, root).unwrap().der().clone()
    }

    /// What the verifier of an admin of exchange.example says to a certificate.
    fn verify(trusted: &CertifiedIssuer<'static, KeyPair>, shown: &CertificateDer<'_>) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der().clone()).unwrap();
        let expected = control_plane_of(&leaf(trusted, &["spiffe://exchange.example/admin/sara"])).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = ControlPlaneVerifier { roots, expected, provider };
        let name = ServerName::try_from("192.0.2.1").unwrap();
        let verified = verifier.verify_server_cert(shown, &[], &name, &[], UnixTime::now());
        verified.map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn accepts_the_control_plane_of_its_own_trust_domain() {
        let root = root("root");
        assert_eq!(verify(&root, &leaf(&root, &["spiffe://exchange.example/control-plane"])), Ok(()));
    }

    #[test]
    fn refuses_every_other_identity() {
        let root = root("root");
        for (uris, said) in [
            (&["spiffe://exchange.example/agency/ipm/sidecar/main"][..], "agency/ipm"),
            (&["spiffe://elsewhere.example/control-plane"], "elsewhere.example"),
            (&["spiffe://exchange.example/control-plane", "spiffe://exchange.example/x"], "without a single"),
            (&[], "without a single"),
        ] {
            let refused = verify(&root, &leaf(&root, uris)).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn refuses_a_control_plane_that_another_root_made() {
        let (trusted, other) = (root("root"), root("root"));
        assert!(verify(&trusted, &leaf(&other, &["spiffe://exchange.example/control-plane"])).is_err());
    }
}
