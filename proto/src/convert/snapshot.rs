//! A snapshot's manifest and resources, from the wire to what the decision is made by.

mod condition;
mod fields;
mod subjects;

use std::collections::HashMap;

pub use self::condition::PutConditions;
use self::fields::{clipped, decode, hex, name, named, required_instant, text};
use crate::v1;
use chapar_core::{
    identity::{Agency, IdentityError, SpiffeId, TrustDomain},
    passport::InquiryKind,
    policy::{AgencyStanding, CertificateRevocation, Endpoint, Grant, Inquiry, InquiryKey, PolicySnapshot, SnapshotParts},
    snapshot::{ResourceKey, ResourceSet},
    subject::SubjectKey,
    time::Timestamp,
};

/// A name, number or time on the wire that the domain has no meaning for. The control plane must send it right; the sidecar
/// refuses the update and keeps what it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The bytes are not the message that they should be.
    #[error("{0} is not readable as its message")]
    Undecodable(String),
    /// Without it the rest has no meaning.
    #[error("{0} is not set")]
    Unset(&'static str),
    /// An enum value that this software does not know.
    #[error("{field} has the unknown value {number}")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// Its number.
        number: i32,
    },
    /// A name that is no such name.
    #[error("{field}: {problem}")]
    Name {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: IdentityError,
    },
    /// Malformed otherwise.
    #[error("{field} {problem}")]
    Malformed {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The resource's key names something else than its body.
    #[error("the body of {key} is that of {body:?}")]
    KeyMismatch {
        /// The key.
        key: ResourceKey,
        /// What the body calls itself.
        body: String,
    },
    /// A resource that must be there is not.
    #[error("the snapshot holds no {0}")]
    Missing(&'static str),
    /// Within one resource.
    #[error("{key}: {problem}")]
    In {
        /// Which resource.
        key: ResourceKey,
        /// What is wrong in it.
        problem: Box<ConvertError>,
    },
}

/// A manifest whose every field is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The exchange that signed it.
    pub trust_domain: TrustDomain,
    /// The only sidecar that it is for.
    pub recipient: SpiffeId,
    /// Grows with every change of the recipient's set.
    pub revision: u64,
    /// Policy version that it carries; 0 before the first one was applied.
    pub policy_version: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// From then on it is stale.
    pub valid_until: Timestamp,
    /// Digest of the whole set.
    pub digest: [u8; 32],
}

/// What the exchange asks of the recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Hex SHA-256 of the public key of the issuing CA in use. `None`: no change asked.
    pub active_issuer: Option<String>,
    /// Longest jitter before a renewal that a change of issuer asks for, in seconds.
    pub renewal_jitter_s_max: u32,
    /// What data subjects are hashed with where a grant brings no key. `None`: there is nothing.
    pub subject_key: Option<SubjectKey>,
}

/// Jitter when the settings name none; see `SettingsResource.renewal_jitter_s_max`.
pub const RENEWAL_JITTER_S_MAX_DEFAULT: u32 = 10;

/// Everything that a set of resources says, under its manifest.
#[derive(Debug)]
pub struct Contents {
    /// What the decision is made by.
    pub parts: SnapshotParts,
    /// What the exchange asks of the recipient.
    pub settings: Settings,
    /// Root certificates (DER) by trust domain; the recipient's own is always among them, and never empty.
    pub bundles: HashMap<TrustDomain, Vec<Vec<u8>>>,
    /// Roots of the recipient's own trust domain as other roots certified them, DER.
    pub cross_certificates: Vec<Vec<u8>>,
}

impl Contents {
    /// The snapshot, indexed.
    #[must_use]
    pub fn snapshot(self) -> PolicySnapshot {
        PolicySnapshot::new(self.parts).with_subject_key(self.settings.subject_key)
    }

    /// Reads every resource of `set`.
    ///
    /// # Errors
    /// The first resource that cannot be read, or that settings or the own trust domain's bundle are missing.
    pub fn read(manifest: &Manifest, set: &ResourceSet) -> Result<Self, ConvertError> {
        let mut reader = Reader::new(manifest);
        for (key, body) in set.iter() {
            reader
                .read(key, body.bytes())
                .map_err(|problem| ConvertError::In { key: key.clone(), problem: Box::new(problem) })?;
        }
        reader.finish()
    }
}

struct Reader {
    parts: SnapshotParts,
    settings: Option<Settings>,
    bundles: HashMap<TrustDomain, Vec<Vec<u8>>>,
    cross_certificates: Vec<Vec<u8>>,
}

impl Reader {
    fn new(manifest: &Manifest) -> Self {
        let parts = SnapshotParts {
            trust_domain: manifest.trust_domain.clone(),
            recipient: manifest.recipient.clone(),
            revision: manifest.revision,
            policy_version: manifest.policy_version,
            issued_at: manifest.issued_at,
            valid_until: manifest.valid_until,
            inquiries: Vec::new(),
            grants: Vec::new(),
            endpoints: Vec::new(),
            revocations: HashMap::new(),
            agencies: HashMap::new(),
        };
        Self { parts, settings: None, bundles: HashMap::new(), cross_certificates: Vec::new() }
    }

    fn read(&mut self, key: &ResourceKey, body: &[u8]) -> Result<(), ConvertError> {
        match resource_kind(key.kind)? {
            v1::ResourceKind::Unspecified => return Err(ConvertError::Unset("kind")),
            v1::ResourceKind::Settings => {
                named(key, "settings")?;
                self.settings = Some(Settings::try_from(decode::<v1::SettingsResource>(key, body)?)?);
            }
            v1::ResourceKind::Bundle => {
                let mut wire = decode::<v1::BundleResource>(key, body)?;
                let cross_certificates = std::mem::take(&mut wire.cross_certificates_der);
                let (trust_domain, roots) = bundle(wire)?;
                named(key, trust_domain.as_str())?;
                if trust_domain == self.parts.trust_domain {
                    self.cross_certificates = cross_certificates;
                }
                self.bundles.insert(trust_domain, roots);
            }
            v1::ResourceKind::Agency => {
                let (agency, standing) = agency(decode::<v1::AgencyResource>(key, body)?)?;
                named(key, agency.as_str())?;
                self.parts.agencies.insert(self.seen(agency), standing);
            }
            v1::ResourceKind::Inquiry => {
                let wire = decode::<v1::InquiryResource>(key, body)?;
                let shared = is_shared(wire.classification)?;
                let inquiry = Inquiry::try_from(Wire(wire))?;
                named(key, &format!("{}/{}", inquiry.key.provider, inquiry.key.inquiry))?;
                // A classified one may be registered but is nobody's to call (regulation, article 3, note 1): left out
                // here, the call path does not know it.
                if shared {
                    let key = InquiryKey { provider: self.seen(inquiry.key.provider), ..inquiry.key };
                    self.parts.inquiries.push(Inquiry { key, ..inquiry });
                }
            }
            v1::ResourceKind::Grant => {
                let grant = Grant::try_from(Wire(decode::<v1::GrantResource>(key, body)?))?;
                named(key, &grant.name)?;
                let inquiry = InquiryKey { provider: self.seen(grant.inquiry.provider), ..grant.inquiry };
                self.parts.grants.push(Grant { consumer: self.seen(grant.consumer), inquiry, ..grant });
            }
            v1::ResourceKind::Endpoint => {
                let endpoint = Endpoint::try_from(Wire(decode::<v1::EndpointResource>(key, body)?))?;
                named(key, &endpoint.spiffe_id.to_string())?;
                let reserved_for = endpoint.reserved_for.into_iter().map(|agency| self.seen(agency)).collect();
                self.parts.endpoints.push(Endpoint { reserved_for, ..endpoint });
            }
            v1::ResourceKind::Revocation => {
                let (serial, revocation) = revocation(decode::<v1::RevocationResource>(key, body)?)?;
                named(key, &serial)?;
                self.parts.revocations.insert(serial, revocation);
            }
        }
        Ok(())
    }

    /// The agency as the recipient sees it: its own exchange is not written.
    fn seen(&self, agency: Agency) -> Agency {
        agency.seen_from(&self.parts.trust_domain)
    }

    fn finish(self) -> Result<Contents, ConvertError> {
        let settings = self.settings.ok_or(ConvertError::Missing("settings"))?;
        let own = self.bundles.get(&self.parts.trust_domain);
        if own.is_none_or(Vec::is_empty) {
            return Err(ConvertError::Missing("root certificate of the sidecar's own trust domain"));
        }
        Ok(Contents { parts: self.parts, settings, bundles: self.bundles, cross_certificates: self.cross_certificates })
    }
}

/// The kind with this number on the wire.
///
/// # Errors
/// When this software does not know it: what it restricts would go unnoticed.
pub fn resource_kind(number: u32) -> Result<v1::ResourceKind, ConvertError> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    v1::ResourceKind::try_from(number).map_err(|_| ConvertError::Unknown { field: "kind", number })
}

impl TryFrom<v1::SnapshotManifest> for Manifest {
    type Error = ConvertError;

    fn try_from(wire: v1::SnapshotManifest) -> Result<Self, ConvertError> {
        if wire.revision == 0 {
            return Err(ConvertError::Unset("revision"));
        }
        Ok(Self {
            trust_domain: name("trust_domain", &wire.trust_domain)?,
            recipient: name("recipient", &wire.recipient)?,
            revision: wire.revision,
            policy_version: wire.policy_version,
            issued_at: required_instant("issued_at", wire.issued_at)?,
            valid_until: required_instant("valid_until", wire.valid_until)?,
            digest: wire
                .digest
                .try_into()
                .map_err(|_| ConvertError::Malformed { field: "digest", problem: "is not 32 bytes long" })?,
        })
    }
}

impl TryFrom<v1::SettingsResource> for Settings {
    type Error = ConvertError;

    fn try_from(wire: v1::SettingsResource) -> Result<Self, ConvertError> {
        let jitter_s = wire.renewal_jitter_s_max;
        let active_issuer = match wire.active_issuer.as_str() {
            "" => None,
            text => Some(hex("active_issuer", text)?.to_owned()),
        };
        let renewal_jitter_s_max = if jitter_s == 0 { RENEWAL_JITTER_S_MAX_DEFAULT } else { jitter_s };
        let subject_key = wire.subject_key.map(subjects::key).transpose()?;
        Ok(Self { active_issuer, renewal_jitter_s_max, subject_key })
    }
}

/// A message from the wire; lets the domain's types, which are not ours here, be made from it.
pub struct Wire<M>(pub M);

impl TryFrom<Wire<v1::InquiryResource>> for Inquiry {
    type Error = ConvertError;

    fn try_from(Wire(wire): Wire<v1::InquiryResource>) -> Result<Self, ConvertError> {
        let grpc_service = text("grpc_service", &wire.grpc_service)?;
        let method = text("method", &wire.method)?;
        is_shared(wire.classification)?;
        Ok(Self {
            key: InquiryKey { provider: name("provider", &wire.provider)?, inquiry: text("inquiry", &wire.inquiry)? },
            path: format!("/{grpc_service}/{method}").into(),
            grpc_service,
            kind: inquiry_kind(wire.kind)?,
            in_force: wire.in_force,
            passport_version: hex("passport_version", &wire.passport_version)?.into(),
            subjects: wire.subjects.into_iter().map(subjects::field).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<Wire<v1::GrantResource>> for Grant {
    type Error = ConvertError;

    fn try_from(Wire(mut wire): Wire<v1::GrantResource>) -> Result<Self, ConvertError> {
        let conditions = condition::read(&mut wire)?;
        let keys = std::mem::take(&mut wire.subject_keys);
        Ok(Self {
            subject_keys: subjects::keys(keys)?,
            name: text("name", &wire.name)?,
            resolution: text("resolution", &wire.resolution)?,
            clause: text("clause", &wire.clause)?,
            consumer: name("consumer", &wire.consumer)?,
            inquiry: InquiryKey { provider: name("provider", &wire.provider)?, inquiry: text("inquiry", &wire.inquiry)? },
            conditions,
        })
    }
}

impl TryFrom<Wire<v1::EndpointResource>> for Endpoint {
    type Error = ConvertError;

    fn try_from(Wire(wire): Wire<v1::EndpointResource>) -> Result<Self, ConvertError> {
        let agency: Agency = name("agency", &wire.agency)?;
        let spiffe_id: SpiffeId = name("spiffe_id", &wire.spiffe_id)?;
        let of_agency = spiffe_id.agency().is_some_and(|name| name.as_str() == agency.name());
        if !of_agency || agency.exchange().is_some_and(|exchange| exchange != spiffe_id.trust_domain().as_str()) {
            return Err(ConvertError::Malformed { field: "spiffe_id", problem: "is not a sidecar of the agency" });
        }
        let services = wire.grpc_services.iter().map(|service| text("grpc_services", service));
        let consumers = wire.reserved_for.iter().map(|agency| name("reserved_for", agency));
        Ok(Self {
            spiffe_id,
            address: text("address", &wire.address)?,
            grpc_services: services.collect::<Result<_, _>>()?,
            reserved_for: consumers.collect::<Result<_, _>>()?,
        })
    }
}

fn bundle(wire: v1::BundleResource) -> Result<(TrustDomain, Vec<Vec<u8>>), ConvertError> {
    let bundle = wire.bundle.ok_or(ConvertError::Unset("bundle"))?;
    Ok((name("trust_domain", &bundle.trust_domain)?, bundle.roots_der))
}

fn agency(wire: v1::AgencyResource) -> Result<(Agency, AgencyStanding), ConvertError> {
    let standing = if wire.suspended { AgencyStanding::Suspended(clipped(wire.reason)) } else { AgencyStanding::Good };
    Ok((name("agency", &wire.agency)?, standing))
}

fn revocation(wire: v1::RevocationResource) -> Result<(String, CertificateRevocation), ConvertError> {
    let serial = hex("serial", &wire.serial)?.to_owned();
    let at = required_instant("revoked_at", wire.revoked_at)?;
    Ok((serial, CertificateRevocation { at, reason: clipped(wire.reason) }))
}

fn inquiry_kind(number: i32) -> Result<InquiryKind, ConvertError> {
    match v1::InquiryKind::try_from(number) {
        Ok(v1::InquiryKind::Unspecified) => Err(ConvertError::Unset("kind")),
        Ok(v1::InquiryKind::Verification) => Ok(InquiryKind::Verification),
        Ok(v1::InquiryKind::Data) => Ok(InquiryKind::Data),
        Ok(v1::InquiryKind::Push) => Ok(InquiryKind::Push),
        Ok(v1::InquiryKind::Broadcast) => Ok(InquiryKind::Broadcast),
        Ok(v1::InquiryKind::Bulk) => Ok(InquiryKind::Bulk),
        Err(_) => Err(ConvertError::Unknown { field: "kind", number }),
    }
}

/// Whether what is classified so can be exchanged at all.
fn is_shared(number: i32) -> Result<bool, ConvertError> {
    match v1::Classification::try_from(number) {
        Ok(v1::Classification::Unspecified) => Err(ConvertError::Unset("classification")),
        Ok(v1::Classification::Classified) => Ok(false),
        Ok(v1::Classification::Ordinary | v1::Classification::Personal | v1::Classification::Sensitive) => Ok(true),
        Err(_) => Err(ConvertError::Unknown { field: "classification", number }),
    }
}
