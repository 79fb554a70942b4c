//! May X call Y, and by which resolution, or why not. Decided by `chapar_core::policy::decide` on the very resources that the
//! sidecars of both agencies get, so that the answer cannot differ from theirs.

use std::sync::Arc;

use chapar_core::{
    identity::{AgencyName, SpiffeId, TrustDomain, WorkloadName},
    policy::{Facts, Inquiry, PeerCertificate, Permit, PolicySnapshot, Reason, Refusal, Side, decide},
    time::Timestamp,
};
use chapar_proto::convert::snapshot::{Contents, ConvertError, Manifest};

use crate::distribute::World;

/// Nothing that an explanation builds ends by time: only grants do.
const NEVER: Timestamp = Timestamp::from_unix_ms(i64::MAX);

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who would call.
    pub consumer: AgencyName,
    /// Name of an inquiry, or `/<grpc service>/<method>`.
    pub inquiry: String,
    /// Set where several providers offer it.
    pub provider: Option<AgencyName>,
    /// Decide as of then.
    pub at: Timestamp,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// None: the call is permitted.
    pub refused: Option<Reason>,
    /// A sentence that says who must act.
    pub text: String,
    /// Name of the grant that decided.
    pub grant: Option<String>,
    /// Version of the policy that was decided on.
    pub policy_version: u64,
}

/// Why no answer could be given; the operator of the control plane must act.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// What distribution made is no snapshot.
    #[error("the snapshot of {agency} cannot be read")]
    Snapshot {
        /// Whose snapshot.
        agency: String,
        /// What is wrong with it.
        #[source]
        problem: ConvertError,
    },
    /// The exchange has no name that can be one.
    #[error("the exchange's own name cannot be read")]
    Identity(#[from] chapar_core::identity::IdentityError),
}

/// Decides for the consumer's sidecar and, where that one lets it pass, for the provider's.
///
/// # Errors
/// When what distribution holds is no snapshot.
pub fn explain(world: &World, question: &Question) -> Result<Explanation, ExplainError> {
    let consumer = Sidecar::of(world, &question.consumer)?;
    let found = match find(&consumer.snapshot, question) {
        Ok(inquiry) => Arc::clone(inquiry),
        Err(refusal) => return Ok(refused(world, refusal)),
    };
    let at = question.at;
    let own = &consumer.certificate;
    let facts = Facts { side: Side::Consumer, consumer: &question.consumer, inquiry: &found, own, peer: None, now: at };
    let permit = match decide(&consumer.snapshot, &facts) {
        Ok(permit) => permit,
        Err(refusal) => return Ok(refused(world, refusal)),
    };
    let provider = Sidecar::of(world, &found.key.provider)?;
    let question_there = Question { provider: Some(found.key.provider.clone()), inquiry: found.path.to_string(), ..question.clone() };
    let there = match find(&provider.snapshot, &question_there) {
        Ok(inquiry) => Arc::clone(inquiry),
        Err(refusal) => return Ok(refused(world, refusal)),
    };
    let (own, peer) = (&provider.certificate, Some(&consumer.certificate));
    let facts = Facts { side: Side::Provider, consumer: &question.consumer, inquiry: &there, own, peer, now: at };
    match decide(&provider.snapshot, &facts) {
        Ok(_) => Ok(permitted(&permit)),
        Err(refusal) => Ok(refused(world, refusal)),
    }
}

/// A sidecar as either agency would run it.
struct Sidecar {
    snapshot: PolicySnapshot,
    certificate: PeerCertificate,
}

impl Sidecar {
    fn of(world: &World, agency: &AgencyName) -> Result<Self, ExplainError> {
        let trust_domain: TrustDomain = world.trust_domain().parse()?;
        let name: WorkloadName = "main".parse()?;
        let spiffe_id = SpiffeId::sidecar(trust_domain.clone(), agency.clone(), name);
        let set = world.resources_of(agency.as_str());
        let manifest = Manifest {
            trust_domain,
            recipient: spiffe_id.clone(),
            revision: world.revision(),
            policy_version: world.policy_version(),
            issued_at: Timestamp::from_unix_ms(0),
            valid_until: NEVER,
            digest: set.digest(),
        };
        let contents = Contents::read(&manifest, &set).map_err(|problem| ExplainError::Snapshot { agency: agency.to_string(), problem })?;
        // No certificate has an empty serial number, so none is revoked: which one a sidecar shows is not asked here.
        let certificate = PeerCertificate { spiffe_id, serial: "".into(), not_after: NEVER };
        Ok(Self { snapshot: contents.snapshot(), certificate })
    }
}

fn find<'a>(snapshot: &'a PolicySnapshot, question: &Question) -> Result<&'a Arc<Inquiry>, Refusal> {
    let named = |inquiry: &&Arc<Inquiry>| *inquiry.key.inquiry == *question.inquiry || *inquiry.path == *question.inquiry;
    let of_provider = |inquiry: &&Arc<Inquiry>| question.provider.as_ref().is_none_or(|provider| inquiry.key.provider == *provider);
    let mut found: Vec<&Arc<Inquiry>> = snapshot.inquiries().filter(named).filter(of_provider).collect();
    found.sort_by(|a, b| a.key.cmp(&b.key));
    match found.as_slice() {
        [only] => Ok(only),
        [] => {
            let by = question.provider.as_ref().map(|provider| format!(" of {provider}")).unwrap_or_default();
            let detail = format!("no approved passport{by} holds the inquiry {}; its provider must submit one and have it approved", question.inquiry);
            Err(Refusal::new(Reason::UnknownInquiry, detail))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|inquiry| inquiry.key.provider.as_str()).collect();
            let detail = format!("{} offer the inquiry {}; the call must name one in chapar-provider", names.join(", "), question.inquiry);
            Err(Refusal::new(Reason::AmbiguousProvider, detail))
        }
    }
}

fn refused(world: &World, refusal: Refusal) -> Explanation {
    Explanation { refused: Some(refusal.reason), text: refusal.detail, grant: refusal.grant, policy_version: world.policy_version() }
}

fn permitted(permit: &Permit) -> Explanation {
    let (grant, inquiry) = (permit.grant(), permit.inquiry());
    let text = format!(
        "{} may call {} of {} by resolution {}, clause {}",
        grant.consumer, inquiry.key.inquiry, inquiry.key.provider, grant.resolution, grant.clause
    );
    Explanation { refused: None, text, grant: Some(grant.name.to_string()), policy_version: permit.policy_version() }
}
