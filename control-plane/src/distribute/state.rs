//! What is distributed, as of one revision.
//!
//! A state is immutable. A change makes a new one, which takes over every body that did not change.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use chapar_core::snapshot::ResourceSet;
use chapar_proto::v1::EndpointResource;

use super::{build, facts::Facts, index::Index};

/// Everything that distribution hands out, at one revision.
#[derive(Debug)]
pub struct DistributionState {
    revision: u64,
    policy_version: u64,
    trust_domain: Arc<str>,
    index: Index,
    /// Reason of the revocation by serial number.
    revoked: HashMap<String, String>,
    /// Reason of the suspension by agency.
    suspended: BTreeMap<String, String>,
    endpoints: HashMap<String, EndpointResource>,
    has_shared_subject_key: bool,
    sets: Mutex<HashMap<Arc<str>, Arc<AgencySet>>>,
}

/// The whole set of an agency's sidecars, with its digest.
#[derive(Debug, PartialEq, Eq)]
pub struct AgencySet {
    /// The resources.
    pub set: ResourceSet,
    /// Their digest, as it is signed.
    pub digest: [u8; 32],
}

/// Why a sidecar may no longer be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// Its certificate was revoked, for this reason.
    CertificateRevoked(String),
    /// Its agency is suspended, for this reason.
    AgencySuspended(String),
}

impl DistributionState {
    /// Serialises and indexes the facts. Bodies that `previous` holds alike are taken over, not digested again.
    #[must_use]
    pub fn new(facts: Facts, previous: Option<&DistributionState>) -> Self {
        let index = Index::new(&facts, previous.map(|previous| &previous.index));
        Self {
            has_shared_subject_key: facts.shared_subject_key.is_some(),
            revision: facts.revision,
            policy_version: facts.policy_version,
            trust_domain: facts.trust_domain.into(),
            index,
            revoked: facts.revocations.into_iter().map(|revoked| (revoked.serial, revoked.reason)).collect(),
            suspended: facts.agencies.into_iter().filter_map(|(agency, why)| Some((agency, why?))).collect(),
            endpoints: facts.endpoints.into_iter().map(|endpoint| (endpoint.spiffe_id.clone(), endpoint)).collect(),
            sets: Mutex::default(),
        }
    }

    /// Distribution revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Version of the policy in it.
    #[must_use]
    pub fn policy_version(&self) -> u64 {
        self.policy_version
    }

    /// The exchange that it is of.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Whether sidecars of earlier releases, which know no keys of pairs, can put on record whom they are asked about.
    #[must_use]
    pub fn has_shared_subject_key(&self) -> bool {
        self.has_shared_subject_key
    }

    /// The set of an agency's sidecars; made when first asked for.
    #[must_use]
    pub fn set_of(&self, agency: &str) -> Arc<AgencySet> {
        if let Some(made) = self.made().get(agency) {
            return Arc::clone(made);
        }
        // Made outside the lock: a large agency's set holds no other stream up. Two may make it; the first one stays.
        let set = build::set_of(&self.index, agency);
        let digest = set.digest();
        let set = Arc::new(AgencySet { set, digest });
        Arc::clone(self.made().entry(agency.into()).or_insert(set))
    }

    /// The resources that any sidecar of the agency gets, for who wants to decide exactly as it does.
    #[must_use]
    pub fn resources_of(&self, agency: &str) -> ResourceSet {
        self.set_of(agency).set.clone()
    }

    /// Whether a sidecar with this certificate must be turned away.
    #[must_use]
    pub fn exclusion(&self, agency: &str, serial: &str) -> Option<Exclusion> {
        if let Some(reason) = self.revoked.get(serial) {
            return Some(Exclusion::CertificateRevoked(reason.clone()));
        }
        self.suspended.get(agency).map(|reason| Exclusion::AgencySuspended(reason.clone()))
    }

    /// Where the sidecar with this identity is reached, and what it offers there.
    #[must_use]
    pub fn endpoint_of(&self, spiffe_id: &str) -> Option<&EndpointResource> {
        self.endpoints.get(spiffe_id)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Arc<AgencySet>>> {
        // What is in the map is whole even if a holder panicked: an entry is one insertion.
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
