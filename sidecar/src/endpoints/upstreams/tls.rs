//! TLS to the agency's own server: ordinary server certificates, checked against the CA that the operator names.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::TLS13,
};
use thiserror::Error;

use crate::{
    config::{HostPort, Service},
    trust::tls::provider,
};

/// TLS to an upstream cannot be set up; the operator must correct the service's `tls` section.
#[derive(Debug, Error)]
pub enum UpstreamTlsError {
    /// A file is missing or is no PEM.
    #[error("services[name={service}].tls: cannot read {file}: {problem}", file = file.display())]
    File {
        /// The service.
        service: String,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The files do not fit together.
    #[error("services[name={service}].tls: {problem}")]
    Unusable {
        /// The service.
        service: String,
        /// What is wrong.
        problem: String,
    },
}

/// The configuration for connections to `at`, and the name that its certificate must carry.
pub(super) fn client(service: &Service, at: &HostPort) -> Result<(Arc<ClientConfig>, ServerName<'static>), UpstreamTlsError> {
    let unusable = |problem: String| UpstreamTlsError::Unusable { service: service.name.clone(), problem };
    let mut roots = RootCertStore::empty();
    let ca_file = service.tls.ca_file.as_deref().ok_or_else(|| unusable("caFile must be set".to_owned()))?;
    for root in certificates(service, ca_file)? {
        roots.add(root).map_err(|problem| unusable(format!("{}: {problem}", ca_file.display())))?;
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|problem| unusable(problem.to_string()))?
        .with_root_certificates(roots);
    let mut config = match (&service.tls.cert_file, &service.tls.key_file) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(service, certificate)?, private_key(service, key)?)
            .map_err(|problem| unusable(problem.to_string()))?,
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    let name = service.tls.server_name.clone().unwrap_or_else(|| at.host().to_owned());
    let name = ServerName::try_from(name).map_err(|problem| unusable(format!("serverName: {problem}")))?;
    Ok((Arc::new(config), name))
}

fn certificates(service: &Service, file: &Path) -> Result<Vec<CertificateDer<'static>>, UpstreamTlsError> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|problem| unreadable(service, file, &problem))?;
    if certificates.is_empty() {
        return Err(unreadable(service, file, &"it holds no certificate (PEM)"));
    }
    Ok(certificates)
}

fn private_key(service: &Service, file: &Path) -> Result<PrivateKeyDer<'static>, UpstreamTlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|problem| unreadable(service, file, &problem))
}

fn unreadable(service: &Service, file: &Path, problem: &dyn std::fmt::Display) -> UpstreamTlsError {
    UpstreamTlsError::File { service: service.name.clone(), file: file.to_owned(), problem: problem.to_string() }
}
