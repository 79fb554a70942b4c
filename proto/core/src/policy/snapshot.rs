//! What one sidecar knows: the immutable, indexed form of a verified snapshot.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

pub use crate::passport::InquiryKind;
use crate::{
    identity::{AgencyName, SpiffeId, TrustDomain},
    time::Timestamp,
};

/// Names one inquiry of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InquiryKey {
    /// The agency that answers.
    pub provider: AgencyName,
    /// The inquiry's name in its passport.
    pub inquiry: Arc<str>,
}

/// One inquiry of an approved passport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// Provider and name.
    pub key: InquiryKey,
    /// Full name of the gRPC service.
    pub grpc_service: Arc<str>,
    /// HTTP/2 path, `/<grpc service>/<method>`.
    pub path: Arc<str>,
    /// How it exchanges data.
    pub kind: InquiryKind,
    /// False: registered, but it cannot be exchanged yet.
    pub in_force: bool,
    /// Lowercase hex SHA-256 of the passport in force.
    pub passport_version: Arc<str>,
}

/// How a grant ended before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantEnd {
    /// Since when.
    pub at: Timestamp,
    /// Why, in the words of who revoked it.
    pub reason: String,
}

/// One consumer may make one inquiry, by a clause of a resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `<resolution>/<clause>/<consumer>/<inquiry>`.
    pub name: Arc<str>,
    /// The resolution (مصوبه) that grants it.
    pub resolution: Arc<str>,
    /// The clause of the resolution.
    pub clause: Arc<str>,
    /// Who may ask.
    pub consumer: AgencyName,
    /// What may be asked, of whom.
    pub inquiry: InquiryKey,
    /// In force from then on. `None`: since ever.
    pub not_before: Option<Timestamp>,
    /// No longer in force from then on. `None`: without end.
    pub not_after: Option<Timestamp>,
    /// False: granted but not yet in force.
    pub in_force: bool,
    /// Set when it was revoked.
    pub revoked: Option<GrantEnd>,
}

/// Where a provider's sidecar is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Identity that its certificate must carry.
    pub spiffe_id: SpiffeId,
    /// host:port.
    pub address: Arc<str>,
    /// Full names of the gRPC services that it offers.
    pub grpc_services: HashSet<Arc<str>>,
    /// Consumers that this node is reserved for; empty: everyone.
    pub reserved_for: Vec<AgencyName>,
}

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Whether an agency may take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Good,
    /// It is suspended, for this reason.
    Suspended(String),
}

/// Everything a snapshot is made of; [`PolicySnapshot::new`] indexes it.
#[derive(Debug, Clone)]
pub struct SnapshotParts {
    /// The exchange that signed it.
    pub trust_domain: TrustDomain,
    /// The sidecar that it is for.
    pub recipient: SpiffeId,
    /// Distribution revision.
    pub revision: u64,
    /// Policy version that it carries.
    pub policy_version: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// From then on it is stale.
    pub valid_until: Timestamp,
    /// Inquiries of approved passports.
    pub inquiries: Vec<Inquiry>,
    /// Grants that concern the recipient.
    pub grants: Vec<Grant>,
    /// Providers' sidecars.
    pub endpoints: Vec<Endpoint>,
    /// Revoked certificates by lowercase hex serial number.
    pub revocations: HashMap<String, Revocation>,
    /// Standing of the agencies that concern the recipient.
    pub agencies: HashMap<AgencyName, Standing>,
}

/// Why no inquiry could be found for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteError {
    /// No approved passport holds it (of this provider, where one was named).
    Unknown,
    /// Several providers offer it.
    Ambiguous,
}

/// An immutable snapshot with the indexes that the call path needs. Look-ups take no lock and allocate nothing.
#[derive(Debug)]
pub struct PolicySnapshot {
    trust_domain: TrustDomain,
    recipient: SpiffeId,
    revision: u64,
    policy_version: u64,
    issued_at: Timestamp,
    valid_until: Timestamp,
    by_path: HashMap<Arc<str>, Vec<Arc<Inquiry>>>,
    grants: HashMap<AgencyName, HashMap<InquiryKey, Vec<Arc<Grant>>>>,
    endpoints: HashMap<AgencyName, Vec<Arc<Endpoint>>>,
    revocations: HashMap<String, Revocation>,
    agencies: HashMap<AgencyName, Standing>,
}

impl PolicySnapshot {
    /// Indexes `parts`.
    #[must_use]
    pub fn new(parts: SnapshotParts) -> Self {
        let mut by_path: HashMap<Arc<str>, Vec<Arc<Inquiry>>> = HashMap::new();
        for inquiry in parts.inquiries {
            by_path.entry(Arc::clone(&inquiry.path)).or_default().push(Arc::new(inquiry));
        }
        let mut grants: HashMap<AgencyName, HashMap<InquiryKey, Vec<Arc<Grant>>>> = HashMap::new();
        for grant in parts.grants {
            let of_consumer = grants.entry(grant.consumer.clone()).or_default();
            of_consumer.entry(grant.inquiry.clone()).or_default().push(Arc::new(grant));
        }
        let mut endpoints: HashMap<AgencyName, Vec<Arc<Endpoint>>> = HashMap::new();
        for endpoint in parts.endpoints {
            if let Some(agency) = endpoint.spiffe_id.agency().cloned() {
                endpoints.entry(agency).or_default().push(Arc::new(endpoint));
            }
        }
        Self {
            trust_domain: parts.trust_domain,
            recipient: parts.recipient,
            revision: parts.revision,
            policy_version: parts.policy_version,
            issued_at: parts.issued_at,
            valid_until: parts.valid_until,
            by_path,
            grants,
            endpoints,
            revocations: parts.revocations,
            agencies: parts.agencies,
        }
    }

    /// The exchange that signed it.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The sidecar that it is for.
    #[must_use]
    pub const fn recipient(&self) -> &SpiffeId {
        &self.recipient
    }

    /// Distribution revision.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Policy version that it carries.
    #[must_use]
    pub const fn policy_version(&self) -> u64 {
        self.policy_version
    }

    /// When it was signed.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// From then on it is stale.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// The inquiry at `path`, of `provider` where several offer it.
    ///
    /// # Errors
    /// [`RouteError::Unknown`] when no approved passport holds it, [`RouteError::Ambiguous`] when several providers offer it
    /// and none is named.
    pub fn inquiry(&self, path: &str, provider: Option<&str>) -> Result<&Arc<Inquiry>, RouteError> {
        let offers = self.by_path.get(path).map_or(&[][..], Vec::as_slice);
        match (provider, offers) {
            (Some(name), _) => offers.iter().find(|inquiry| inquiry.key.provider.as_str() == name).ok_or(RouteError::Unknown),
            (None, [only]) => Ok(only),
            (None, []) => Err(RouteError::Unknown),
            (None, _) => Err(RouteError::Ambiguous),
        }
    }

    /// All inquiries, in no order.
    pub fn inquiries(&self) -> impl Iterator<Item = &Arc<Inquiry>> {
        self.by_path.values().flatten()
    }

    /// All grants, in no order.
    pub fn all_grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.values().flat_map(HashMap::values).flatten()
    }

    /// The grants of `consumer` on `inquiry`; several where several resolutions grant the same.
    #[must_use]
    pub fn grants(&self, consumer: &AgencyName, inquiry: &InquiryKey) -> &[Arc<Grant>] {
        self.grants.get(consumer).and_then(|of| of.get(inquiry)).map_or(&[], Vec::as_slice)
    }

    /// The sidecars of `provider`.
    #[must_use]
    pub fn endpoints(&self, provider: &AgencyName) -> &[Arc<Endpoint>] {
        self.endpoints.get(provider).map_or(&[], Vec::as_slice)
    }

    /// All endpoints, in no order.
    pub fn all_endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values().flatten()
    }

    /// The revocation of the certificate with this lowercase hex serial number.
    #[must_use]
    pub fn revocation(&self, serial: &str) -> Option<&Revocation> {
        self.revocations.get(serial)
    }

    /// The standing of `agency`; `None` when the snapshot does not know it.
    #[must_use]
    pub fn standing(&self, agency: &AgencyName) -> Option<&Standing> {
        self.agencies.get(agency)
    }
}
