//! The facts, serialised once and indexed by whom they concern, so that one agency's set costs what concerns it and no more.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chapar_core::{
    identity::{Role, SpiffeId},
    snapshot::{Body, ResourceKey},
    subject::{self, SubjectMaster},
    time::Timestamp,
};
use chapar_proto::v1::{
    AgencyResource, BundleResource, Classification, EndpointResource, GrantResource, InquiryResource, ResourceKind,
    RevocationResource, SettingsResource, SubjectKey, TrustBundle,
};
use prost::Message;

use super::facts::Facts;
use crate::clock::wire_of;

/// Longest jitter of a renewal that a new issuing CA asks for, in seconds: spreads the load of a whole nation's sidecars,
/// and keeps a rotation within the patience of the admin who watches it.
const RENEWAL_JITTER_S_MAX: u32 = 10;

/// The one name of the settings resource.
const SETTINGS_NAME: &str = "settings";

/// A serialised resource under its key.
pub(crate) type Entry = (ResourceKey, Body);

/// Every resource, by whom it concerns.
#[derive(Debug)]
pub(crate) struct Index {
    /// What every sidecar gets: settings, bundle, the catalogue that is not classified.
    pub(crate) shared: Vec<Entry>,
    pub(crate) agencies: HashMap<Arc<str>, AgencyPart>,
}

/// What hangs on one agency.
#[derive(Debug, Default)]
pub(crate) struct AgencyPart {
    /// Whether the agency may take part; `None`: nobody vouches for it.
    pub(crate) standing: Option<Entry>,
    /// Inquiries that nobody else may know of.
    pub(crate) classified: Vec<Entry>,
    /// Grants that it is a party to.
    pub(crate) grants: Vec<PartyGrant>,
    pub(crate) endpoints: Vec<Node>,
    /// Revoked certificates of its sidecars.
    pub(crate) revocations: Vec<Entry>,
}

/// A grant as one of its parties sees it.
#[derive(Debug)]
pub(crate) struct PartyGrant {
    pub(crate) entry: Entry,
    /// The other party.
    pub(crate) other: Arc<str>,
    /// Whether this party asks, and may need to reach the other one.
    pub(crate) reaches: bool,
}

/// Where a sidecar is reached, and by whom alone.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) entry: Entry,
    /// Empty: by everyone with a grant.
    pub(crate) reserved_for: Vec<String>,
}

impl Index {
    /// Serialises and indexes the facts. Bodies that `previous` holds alike are taken over, not digested again.
    pub(crate) fn new(facts: &Facts, previous: Option<&Self>) -> Self {
        let known = previous.map(Self::bodies).unwrap_or_default();
        let mut making = Making { known, agencies: HashMap::new(), keys: PairKeys::new(&facts.subject_masters) };
        let mut shared = vec![making.settings(facts), making.bundle(facts)];
        for (agency, suspension) in &facts.agencies {
            making.standing(agency, suspension.as_deref());
        }
        for inquiry in &facts.inquiries {
            shared.extend(making.inquiry(inquiry));
        }
        // A classified inquiry is never granted (regulation, article 3, note 1), also not one that became classified since.
        let classified: HashSet<_> = facts.inquiries.iter().filter(|inquiry| !is_open(inquiry)).map(name_of).collect();
        for grant in facts.grants.iter().filter(|grant| !classified.contains(&(&*grant.provider, &*grant.inquiry))) {
            making.grant(grant);
        }
        for endpoint in &facts.endpoints {
            making.endpoint(endpoint);
        }
        for revocation in &facts.revocations {
            shared.extend(making.revocation(revocation));
        }
        Self { shared, agencies: making.agencies }
    }

    fn bodies(&self) -> HashMap<ResourceKey, Body> {
        let parts = self.agencies.values().flat_map(|part| {
            let grants = part.grants.iter().map(|grant| &grant.entry);
            let nodes = part.endpoints.iter().map(|node| &node.entry);
            part.standing.iter().chain(&part.classified).chain(grants).chain(nodes).chain(&part.revocations)
        });
        self.shared.iter().chain(parts).cloned().collect()
    }
}

/// Whether everybody may know of the inquiry. Only what is known to be open is: a classification that is unset or unknown
/// counts as classified.
fn is_open(inquiry: &InquiryResource) -> bool {
    [Classification::Ordinary, Classification::Personal, Classification::Sensitive].contains(&inquiry.classification())
}

fn name_of(inquiry: &InquiryResource) -> (&str, &str) {
    (&inquiry.provider, &inquiry.inquiry)
}

/// An index that is being made.
struct Making<'f> {
    known: HashMap<ResourceKey, Body>,
    agencies: HashMap<Arc<str>, AgencyPart>,
    keys: PairKeys<'f>,
}

/// What data subjects are hashed with between two agencies; made once for all grants of a pair.
struct PairKeys<'f> {
    masters: &'f [(Timestamp, SubjectMaster)],
    /// By consumer and provider.
    made: HashMap<(&'f str, &'f str), Vec<SubjectKey>>,
}

impl<'f> PairKeys<'f> {
    fn new(masters: &'f [(Timestamp, SubjectMaster)]) -> Self {
        Self { masters, made: HashMap::new() }
    }

    fn of(&mut self, grant: &'f GrantResource) -> Vec<SubjectKey> {
        let masters = self.masters;
        let key = |(from, master): &(Timestamp, SubjectMaster)| {
            let key = master.key_of(&grant.consumer, &grant.provider);
            SubjectKey { id: key.id(), key: key.bytes().to_vec(), in_force_from: Some(wire_of(*from)) }
        };
        self.made.entry((&grant.consumer, &grant.provider)).or_insert_with(|| masters.iter().map(key).collect()).clone()
    }
}

impl<'f> Making<'f> {
    fn entry(&self, kind: ResourceKind, name: &str, resource: &impl Message) -> Entry {
        let key = ResourceKey::new(kind as u32, name);
        let bytes = resource.encode_to_vec();
        let body = match self.known.get(&key) {
            Some(known) if known.bytes() == bytes => known.clone(),
            _ => Body::new(bytes),
        };
        (key, body)
    }

    fn part(&mut self, agency: &str) -> &mut AgencyPart {
        if !self.agencies.contains_key(agency) {
            self.agencies.insert(agency.into(), AgencyPart::default());
        }
        self.agencies.entry(agency.into()).or_default()
    }

    fn settings(&self, facts: &Facts) -> Entry {
        let active_issuer = facts.active_issuer.clone();
        let wire = |key: &subject::SubjectKey| SubjectKey { id: key.id(), key: key.bytes().to_vec(), in_force_from: None };
        let subject_key = facts.shared_subject_key.as_ref().map(wire);
        let settings = SettingsResource { active_issuer, renewal_jitter_s_max: RENEWAL_JITTER_S_MAX, subject_key };
        self.entry(ResourceKind::Settings, SETTINGS_NAME, &settings)
    }

    fn bundle(&self, facts: &Facts) -> Entry {
        let bundle = TrustBundle { trust_domain: facts.trust_domain.clone(), roots_der: facts.roots_der.clone() };
        let cross_certificates_der = facts.cross_certificates_der.clone();
        self.entry(ResourceKind::Bundle, &facts.trust_domain, &BundleResource { bundle: Some(bundle), cross_certificates_der })
    }

    fn standing(&mut self, agency: &str, suspension: Option<&str>) {
        let standing = AgencyResource {
            agency: agency.to_owned(),
            suspended: suspension.is_some(),
            reason: suspension.unwrap_or_default().to_owned(),
        };
        let entry = self.entry(ResourceKind::Agency, agency, &standing);
        self.part(agency).standing = Some(entry);
    }

    /// Gives the inquiry back when everybody may know of it.
    fn inquiry(&mut self, inquiry: &InquiryResource) -> Option<Entry> {
        let name = format!("{}/{}", inquiry.provider, inquiry.inquiry);
        let entry = self.entry(ResourceKind::Inquiry, &name, inquiry);
        if is_open(inquiry) {
            return Some(entry);
        }
        self.part(&inquiry.provider).classified.push(entry);
        None
    }

    fn grant(&mut self, grant: &'f GrantResource) {
        let (consumer, provider): (Arc<str>, Arc<str>) = (grant.consumer.as_str().into(), grant.provider.as_str().into());
        // A grant that a date will bring in force needs its endpoints ready by then; a revoked one never comes back by itself.
        let reaches = grant.in_force && grant.revoked_at.is_none();
        // Who may not ask, and may not by itself from a date on, needs no key.
        let subject_keys = if reaches { self.keys.of(grant) } else { Vec::new() };
        let entry = self.entry(ResourceKind::Grant, &grant.name, &GrantResource { subject_keys, ..grant.clone() });
        if consumer != provider {
            let of_provider = PartyGrant { entry: entry.clone(), other: Arc::clone(&consumer), reaches: false };
            self.part(&provider).grants.push(of_provider);
        }
        self.part(&consumer).grants.push(PartyGrant { entry, other: provider, reaches });
    }

    fn endpoint(&mut self, endpoint: &EndpointResource) {
        let entry = self.entry(ResourceKind::Endpoint, &endpoint.spiffe_id, endpoint);
        let reserved_for = endpoint.reserved_for.clone();
        self.part(&endpoint.agency).endpoints.push(Node { entry, reserved_for });
    }

    /// Gives the revocation back when it concerns everybody: it is then not of an agency's sidecar, but of the control plane
    /// or of an issuing CA. No sidecar ever meets an admin's certificate.
    fn revocation(&mut self, revocation: &RevocationResource) -> Option<Entry> {
        let entry = self.entry(ResourceKind::Revocation, &revocation.serial, revocation);
        match revocation.spiffe_id.parse::<SpiffeId>().as_ref().map(SpiffeId::role) {
            Ok(Role::Sidecar { agency, .. }) => self.part(agency.as_str()).revocations.push(entry),
            Ok(Role::Admin(_)) => {}
            Ok(Role::ControlPlane) | Err(_) => return Some(entry),
        }
        None
    }
}
