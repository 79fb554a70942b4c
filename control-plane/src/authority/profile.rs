//! What each kind of certificate of the exchange looks like: pure, so that it can be checked field by field.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use chapar_core::identity::{SpiffeId, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
};
use time::OffsetDateTime;

use super::error::AuthorityError;
use crate::access;

/// How far `not_before` lies in the past: clocks of agencies' machines may be slow by this much.
pub const BACKDATED: Duration = Duration::from_secs(60);

/// CA certificates below a root: its issuing CA, and below a root that was rotated away the cross-certificates of its successors, one more
/// at each rotation. Six is what rustls-webpki follows, so no chain that our own verifiers accept is cut off.
const ROOT_PATH_LENGTH: u8 = 6;

/// Bytes of a serial number: 128 bits, of which 126 are random (RFC 5280, 4.1.2.2; CA/Browser Forum asks for 64).
const SERIAL_BYTES: usize = 16;

/// From when until when something is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// From now, backdated, for this long; whole seconds, as certificates can say.
    #[must_use]
    pub(super) fn from_now(now: OffsetDateTime, lifetime: Duration) -> Self {
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Self { not_before: now - BACKDATED, not_after: now + lifetime }
    }

    /// The same, but not beyond the end of what vouches for it.
    #[must_use]
    pub(super) fn within(self, issuer_not_after: OffsetDateTime) -> Self {
        Self { not_after: self.not_after.min(issuer_not_after), ..self }
    }
}

/// What a leaf may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafUse {
    /// Sidecars and the control plane: both ends of a connection.
    ServerAndClient,
    /// Admins.
    ClientOnly,
}

/// A root, self-signed.
///
/// # Errors
/// When there are no random numbers.
pub(super) fn root(trust_domain: &TrustDomain, name: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = authority(trust_domain, name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(ROOT_PATH_LENGTH));
    Ok(params)
}

/// A successor's key and name, certified by the root before it.
///
/// # Errors
/// When there are no random numbers.
pub(super) fn cross(trust_domain: &TrustDomain, name: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = root(trust_domain, name, validity)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// An issuing CA: signs leaves and nothing else.
///
/// # Errors
/// When there are no random numbers.
pub(super) fn issuing(trust_domain: &TrustDomain, name: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = authority(trust_domain, name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// An X.509-SVID (SPIFFE X.509-SVID, section 2 and 4): the identity is its one URI name, the subject is empty.
///
/// # Errors
/// When there are no random numbers, or the identity cannot be a URI.
pub(super) fn leaf(id: &SpiffeId, usage: LeafUse, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let uri =
        id.to_string().try_into().map_err(|source| AuthorityError::Crypto { doing: "write a SPIFFE ID as a URI", source })?;
    let mut params = dated(validity)?;
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match usage {
        LeafUse::ServerAndClient => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        LeafUse::ClientOnly => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Puts what its holder may do into an admin's leaf, as a UTF8String of DER. Not critical: others need not know it.
pub(super) fn empower(params: &mut CertificateParams, powers: Vec<u8>) {
    params.custom_extensions.push(CustomExtension::from_oid_content(&access::EXTENSION, powers));
}

fn authority(trust_domain: &TrustDomain, name: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = dated(validity)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, trust_domain.as_str());
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    // A signing certificate names its trust domain as a SPIFFE ID without a path (SPIFFE X.509-SVID, section 3.1).
    let uri = format!("spiffe://{trust_domain}")
        .try_into()
        .map_err(|source| AuthorityError::Crypto { doing: "write a SPIFFE ID as a URI", source })?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(no_names_of_hosts());
    Ok(params)
}

/// Neither names nor addresses of hosts: the exchange's certificates bear none, so its CA is of no use against other services of a machine
/// that trusts it. URIs are not constrained: rustls-webpki refuses every URI below a CA that constrains URIs, fitting ones too; the trust
/// domain is compared by our own verifiers.
fn no_names_of_hosts() -> NameConstraints {
    NameConstraints {
        permitted_subtrees: Vec::new(),
        excluded_subtrees: vec![
            // An empty name covers every name.
            GeneralSubtree::DnsName(String::new()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    }
}

fn dated(validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params.serial_number = Some(serial()?);
    Ok(params)
}

/// A random serial that is positive and keeps all its bytes when encoded, so that its hex is the same everywhere.
fn serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; SERIAL_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AuthorityError::NoRandomness)?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
