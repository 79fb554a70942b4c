//! What one sidecar knows: the immutable, indexed form of a verified snapshot.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;

use super::condition::Conditions;
use crate::{
    identity::{Agency, SpiffeId, TrustDomain},
    passport::InquiryKind,
    subject::{SubjectField, SubjectKey, SubjectKeys},
    time::Timestamp,
};

/// Names one inquiry of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InquiryKey {
    /// The agency that answers.
    pub provider: Agency,
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
    /// Fields of the request that name the data subject; the first one that a request holds counts.
    pub subjects: Vec<SubjectField>,
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
    pub consumer: Agency,
    /// What may be asked, of whom.
    pub inquiry: InquiryKey,
    /// What must hold besides for a call to be allowed.
    pub conditions: Conditions,
    /// What data subjects are hashed with in calls between the two: nobody else has these keys.
    pub subject_keys: SubjectKeys,
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
    pub reserved_for: Vec<Agency>,
}

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRevocation {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Whether an agency may take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgencyStanding {
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
    pub revocations: HashMap<String, CertificateRevocation>,
    /// AgencyStanding of the agencies that concern the recipient.
    pub agencies: HashMap<Agency, AgencyStanding>,
}

/// Why no inquiry could be found for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteError {
    /// No approved passport holds it (of this provider, where one was named).
    Unknown,
    /// Several providers offer it.
    Ambiguous,
}

/// A map that the call path looks into. Its keys come from verified snapshots, never from callers, so that nobody can choose
/// them to collide: a fast hash does.
type Index<K, V> = HashMap<K, V, RandomState>;

/// An immutable snapshot with the indexes that the call path needs. Look-ups take no lock and allocate nothing; finding an
/// inquiry and who it is granted to takes one hash each, however much the snapshot holds.
#[derive(Debug)]
pub struct PolicySnapshot {
    trust_domain: TrustDomain,
    recipient: SpiffeId,
    own: Option<Agency>,
    revision: u64,
    policy_version: u64,
    issued_at: Timestamp,
    valid_until: Timestamp,
    by_path: Index<Arc<str>, Box<[Offer]>>,
    grants: Box<[Arc<Grant>]>,
    endpoints: Index<Agency, Vec<Arc<Endpoint>>>,
    revocations: Index<String, CertificateRevocation>,
    agencies: Index<Agency, AgencyStanding>,
    someone_is_suspended: bool,
    subject_key: Option<SubjectKey>,
}

/// An inquiry as a snapshot offers it: with the grants on it, by consumer.
#[derive(Debug)]
pub struct Offer {
    inquiry: Arc<Inquiry>,
    granted: Index<Agency, Granted>,
}

/// The grants of one consumer on one inquiry; several where several resolutions grant the same.
#[derive(Debug)]
pub(super) struct Granted {
    /// There is one at least, and nearly always no more.
    first: Arc<Grant>,
    others: Box<[Arc<Grant>]>,
    /// Whether the snapshot vouches for both agencies, and neither is suspended.
    pub(super) parties_good: bool,
}

impl Granted {
    pub(super) fn grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Offer {
    /// What is offered.
    #[must_use]
    pub const fn inquiry(&self) -> &Arc<Inquiry> {
        &self.inquiry
    }

    pub(super) fn granted_to(&self, consumer: &Agency) -> Option<&Granted> {
        self.granted.get(consumer)
    }
}

impl PolicySnapshot {
    /// Indexes `parts`.
    #[must_use]
    pub fn new(parts: SnapshotParts) -> Self {
        let agencies: Index<Agency, AgencyStanding> = parts.agencies.into_iter().collect();
        let grants: Box<[Arc<Grant>]> = parts.grants.into_iter().map(Arc::new).collect();
        let mut endpoints: Index<Agency, Vec<Arc<Endpoint>>> = Index::default();
        for endpoint in parts.endpoints {
            if let Some(agency) = Agency::from_spiffe_id(&endpoint.spiffe_id, &parts.trust_domain) {
                endpoints.entry(agency).or_default().push(Arc::new(endpoint));
            }
        }
        Self {
            own: Agency::from_spiffe_id(&parts.recipient, &parts.trust_domain),
            trust_domain: parts.trust_domain,
            recipient: parts.recipient,
            revision: parts.revision,
            policy_version: parts.policy_version,
            issued_at: parts.issued_at,
            valid_until: parts.valid_until,
            by_path: offers(parts.inquiries, &grants, &agencies),
            grants,
            endpoints,
            revocations: parts.revocations.into_iter().collect(),
            someone_is_suspended: agencies.values().any(|standing| *standing != AgencyStanding::Good),
            agencies,
            subject_key: None,
        }
    }

    /// The same, with the one key that every sidecar of the exchange has: data subjects are hashed with it where a grant brings none.
    #[must_use]
    pub fn with_subject_key(self, subject_key: Option<SubjectKey>) -> Self {
        Self { subject_key, ..self }
    }

    /// What data subjects are hashed with where a grant brings no key of its own. `None`: there is nothing.
    #[must_use]
    pub const fn subject_key(&self) -> Option<&SubjectKey> {
        self.subject_key.as_ref()
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

    /// The agency that the recipient speaks for; `None`: it is no sidecar.
    #[must_use]
    pub const fn own_agency(&self) -> Option<&Agency> {
        self.own.as_ref()
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
    pub fn inquiry(&self, path: &str, provider: Option<&str>) -> Result<&Offer, RouteError> {
        let offers = self.by_path.get(path).map_or(&[][..], |offers| offers);
        match (provider, offers) {
            (Some(name), _) => offers.iter().find(|offer| offer.inquiry.key.provider.as_str() == name).ok_or(RouteError::Unknown),
            (None, [only]) => Ok(only),
            (None, []) => Err(RouteError::Unknown),
            (None, _) => Err(RouteError::Ambiguous),
        }
    }

    /// All inquiries, in no order.
    pub fn inquiries(&self) -> impl Iterator<Item = &Offer> {
        self.by_path.values().flatten()
    }

    /// All grants, in no order.
    pub fn all_grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.iter()
    }

    /// The sidecars of `provider`.
    #[must_use]
    pub fn endpoints(&self, provider: &Agency) -> &[Arc<Endpoint>] {
        self.endpoints.get(provider).map_or(&[], Vec::as_slice)
    }

    /// All endpoints, in no order.
    pub fn all_endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values().flatten()
    }

    /// The revocation of the certificate with this lowercase hex serial number.
    #[must_use]
    pub fn revocation(&self, serial: &str) -> Option<&CertificateRevocation> {
        self.revocations.get(serial)
    }

    /// The standing of `agency`; `None` when the snapshot does not know it.
    #[must_use]
    pub fn standing(&self, agency: &Agency) -> Option<&AgencyStanding> {
        self.agencies.get(agency)
    }

    /// Whether it says of any certificate that it was revoked: the common case, of none, spares looking for each.
    #[must_use]
    pub fn something_is_revoked(&self) -> bool {
        !self.revocations.is_empty()
    }

    /// Whether any agency that this snapshot knows is suspended: the common case, none, spares looking for each.
    pub(super) const fn someone_is_suspended(&self) -> bool {
        self.someone_is_suspended
    }
}

/// The inquiries by path, each with the grants on it.
fn offers(
    inquiries: Vec<Inquiry>,
    grants: &[Arc<Grant>],
    agencies: &Index<Agency, AgencyStanding>,
) -> Index<Arc<str>, Box<[Offer]>> {
    let mut on_inquiry: Index<&InquiryKey, Vec<&Arc<Grant>>> = Index::default();
    for grant in grants {
        on_inquiry.entry(&grant.inquiry).or_default().push(grant);
    }
    let mut by_path: Index<Arc<str>, Vec<Offer>> = Index::default();
    for inquiry in inquiries {
        let on_it = on_inquiry.get(&inquiry.key).map_or(&[][..], Vec::as_slice);
        let granted = granted(on_it, &inquiry.key.provider, agencies);
        by_path.entry(Arc::clone(&inquiry.path)).or_default().push(Offer { inquiry: Arc::new(inquiry), granted });
    }
    by_path.into_iter().map(|(path, offers)| (path, offers.into_boxed_slice())).collect()
}

/// The grants on one inquiry of `provider`, by consumer.
fn granted(grants: &[&Arc<Grant>], provider: &Agency, agencies: &Index<Agency, AgencyStanding>) -> Index<Agency, Granted> {
    let mut by_consumer: Index<&Agency, Vec<Arc<Grant>>> = Index::default();
    for grant in grants {
        by_consumer.entry(&grant.consumer).or_default().push(Arc::clone(grant));
    }
    let good = |agency: &Agency| agencies.get(agency) == Some(&AgencyStanding::Good);
    let provider_good = good(provider);
    let granted = |(consumer, grants): (&Agency, Vec<_>)| {
        let parties_good = provider_good && good(consumer);
        let mut grants = grants.into_iter();
        let first = grants.next()?;
        Some((consumer.clone(), Granted { first, others: grants.collect(), parties_good }))
    };
    by_consumer.into_iter().filter_map(granted).collect()
}
