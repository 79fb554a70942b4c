//! The sidecar's key, certificate and roots in the state folder.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chapar_core::policy::PeerCertificate;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};

use super::{StateError, StateFolder};
use crate::trust::{Bundle, Credentials, peer_certificate};

/// Private key and chain in one file, so that they can only change together.
const CREDENTIALS_FILE: &str = "credentials.pem";
/// The key and chain before those, until the control plane was seen to know the new ones for long enough.
const FORMER_FILE: &str = "former-credentials.pem";
/// Roots of the sidecar's trust domain.
const BUNDLE_FILE: &str = "bundle.pem";

impl StateFolder {
    /// What an earlier start kept; `None` before the first enrolment.
    ///
    /// # Errors
    /// When a file cannot be read, is open to others, or is damaged.
    pub fn credentials(&self) -> Result<Option<(Credentials, Bundle)>, StateError> {
        let Some((credentials, own)) = self.pair(CREDENTIALS_FILE)? else { return Ok(None) };
        let Some(roots) = self.read(BUNDLE_FILE)? else { return Ok(None) };
        let damaged = |name: &str, problem: String| StateError::Damaged { path: self.file(name), problem };
        let roots = certificates(&roots).map_err(|problem| damaged(BUNDLE_FILE, problem))?;
        let trust_domain = own.spiffe_id.trust_domain().clone();
        Ok(Some((credentials, Bundle { trust_domain, roots })))
    }

    /// The key and chain before those that are kept; `None`: there are none.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others, or is damaged.
    pub fn former_credentials(&self) -> Result<Option<Credentials>, StateError> {
        Ok(self.pair(FORMER_FILE)?.map(|(credentials, _)| credentials))
    }

    fn pair(&self, name: &str) -> Result<Option<(Credentials, PeerCertificate)>, StateError> {
        let Some(pem) = self.read(name)? else { return Ok(None) };
        let damaged = |problem: String| StateError::Damaged { path: self.file(name), problem };
        let key = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|error| damaged(error.to_string()))?;
        let chain = certificates(&pem).map_err(damaged)?;
        let own = peer_certificate(&chain).map_err(|problem| damaged(problem.to_string()))?;
        Ok(Some((Credentials { key, chain }, own)))
    }

    /// Keeps the key and its chain.
    ///
    /// # Errors
    /// When they cannot be written; the earlier ones are then still there.
    pub fn keep_credentials(&self, credentials: &Credentials) -> Result<(), StateError> {
        self.keep_pair(CREDENTIALS_FILE, credentials)
    }

    /// Keeps the key and chain that were in use before.
    ///
    /// # Errors
    /// As [`StateFolder::keep_credentials`].
    pub fn keep_former_credentials(&self, former: &Credentials) -> Result<(), StateError> {
        self.keep_pair(FORMER_FILE, former)
    }

    fn keep_pair(&self, name: &str, credentials: &Credentials) -> Result<(), StateError> {
        let mut pem = block("PRIVATE KEY", credentials.key.secret_pkcs8_der());
        for certificate in &credentials.chain {
            pem.push_str(&block("CERTIFICATE", certificate));
        }
        self.write(name, pem.as_bytes())
    }

    /// Keeps the roots.
    ///
    /// # Errors
    /// When they cannot be written; the earlier ones are then still there.
    pub fn keep_bundle(&self, bundle: &Bundle) -> Result<(), StateError> {
        let pem: String = bundle.roots.iter().map(|root| block("CERTIFICATE", root)).collect();
        self.write(BUNDLE_FILE, pem.as_bytes())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// One block of RFC 7468: base64 in lines of 64 characters.
fn block(label: &str, der: &[u8]) -> String {
    const BYTES_PER_LINE: usize = 48;
    let lines: String = der.chunks(BYTES_PER_LINE).map(|line| STANDARD.encode(line) + "\n").collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}
