//! What distribution has to know, as plain data: read from the store, or made by a test.

use std::collections::BTreeMap;

use chapar_core::{
    subject::{SubjectKey, SubjectMaster},
    time::Timestamp,
};
use chapar_proto::v1::{EndpointResource, GrantResource, InquiryResource, RevocationResource};

/// Everything that some sidecar's snapshot may have to show, at one distribution revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Distribution revision that this is the state of.
    pub revision: u64,
    /// Version of the policy that the admin applied.
    pub policy_version: u64,
    /// Name of this exchange.
    pub trust_domain: String,
    /// Roots that are trusted now, DER; more than one while a root is being rotated.
    pub roots_der: Vec<Vec<u8>>,
    /// Those roots as their predecessors certified them, DER.
    pub cross_certificates_der: Vec<Vec<u8>>,
    /// Hex SHA-256 of the public key of the issuing CA in use. Empty: nobody is asked to renew.
    pub active_issuer: String,
    /// What data subjects are hashed with by sidecars of earlier releases. None: there are to be none.
    pub shared_subject_key: Option<SubjectKey>,
    /// What the keys of pairs are made of that hash data subjects now, or around now, with the instant from which each does.
    pub subject_masters: Vec<(Timestamp, SubjectMaster)>,
    /// Registered agencies; the text says why one is suspended. What is missing here no sidecar is vouched for.
    pub agencies: BTreeMap<String, Option<String>>,
    /// Inquiries of approved passports.
    pub inquiries: Vec<InquiryResource>,
    /// All grants, revoked ones too, so that a refusal can say so.
    pub grants: Vec<GrantResource>,
    /// Where providers' sidecars are reached.
    pub endpoints: Vec<EndpointResource>,
    /// Revoked certificates that have not expired.
    pub revocations: Vec<RevocationResource>,
}
