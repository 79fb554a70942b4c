//! What a certificate says about who holds it.

use std::sync::Arc;

use chapar_core::{identity::SpiffeId, policy::PeerCertificate, time::Timestamp};
use data_encoding::HEXLOWER;
use rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, prelude::FromDer as _, prelude::X509Certificate};

use super::problem::PeerProblem;

/// Reads the identity, the serial number and the end of the leaf of `chain`, and the serial numbers of the rest of it. Says
/// nothing about trust: that is the verifier's, during the handshake.
///
/// All that was shown counts as its issuers, not only the path that was verified: that path is part of it, and an honest
/// peer shows nothing else. So no choice among several paths can leave a revoked issuer out.
///
/// # Errors
/// When there is none, any of it is malformed, or the leaf does not carry exactly one identity.
pub fn peer_certificate(chain: &[CertificateDer<'_>]) -> Result<PeerCertificate, PeerProblem> {
    let leaf = chain.first().ok_or(PeerProblem::NoCertificate)?;
    let certificate = whole(leaf)?;
    Ok(PeerCertificate {
        spiffe_id: identity(&certificate)?,
        serial: hex(certificate.raw_serial()),
        issuers: chain[1..].iter().map(|issuer| Ok(hex(whole(issuer)?.raw_serial()))).collect::<Result<_, _>>()?,
        not_after: Timestamp::from_unix_s(certificate.validity().not_after.timestamp()),
    })
}

fn whole<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PeerProblem> {
    let (rest, certificate) =
        X509Certificate::from_der(certificate).map_err(|error| PeerProblem::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(PeerProblem::Malformed("bytes follow the certificate".to_owned()));
    }
    Ok(certificate)
}

/// When the certificate's validity begins.
///
/// # Errors
/// When it is malformed.
pub fn not_before(certificate: &CertificateDer<'_>) -> Result<Timestamp, PeerProblem> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| PeerProblem::Malformed(error.to_string()))?;
    Ok(Timestamp::from_unix_s(certificate.validity().not_before.timestamp()))
}

fn identity(certificate: &X509Certificate<'_>) -> Result<SpiffeId, PeerProblem> {
    let names = certificate.subject_alternative_name().map_err(|error| PeerProblem::Malformed(error.to_string()))?;
    let names = names.as_ref().map_or(&[][..], |extension| &extension.value.general_names);
    let uris: Vec<&str> =
        names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None }).collect();
    match uris.as_slice() {
        [] => Err(PeerProblem::NoIdentity),
        [one] => one.parse().map_err(PeerProblem::NotAnIdentity),
        several => Err(PeerProblem::SeveralIdentities(several.len())),
    }
}

/// Lowercase hex, two digits a byte: how serial numbers and fingerprints are written.
#[must_use]
pub fn hex(bytes: &[u8]) -> Arc<str> {
    HEXLOWER.encode(bytes).into()
}

/// Hex SHA-256 of the public key of the CA that issued the leaf of `chain`, when the chain holds that CA.
#[must_use]
pub fn issuer_key_sha256(chain: &[CertificateDer<'_>]) -> Option<Arc<str>> {
    let (_, issuer) = X509Certificate::from_der(chain.get(1)?).ok()?;
    Some(hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, issuer.public_key().raw).as_ref()))
}
