//! May X call Y, and by which resolution, or why not. Decided by `chapar_core::policy::decide` on the very resources that the
//! sidecars of both agencies get, so that the answer cannot differ from theirs.

use std::sync::Arc;

use chapar_core::{
    identity::{Agency, ExchangeNotJoined, SpiffeId, TrustDomain, WorkloadName},
    metadata,
    policy::{Facts, Offer, PeerCertificate, Permit, PolicySnapshot, Reason, Refusal, Side, decide},
    time::Timestamp,
};
use chapar_proto::convert::snapshot::{Contents, ConvertError, Manifest};

use crate::{
    distribute::{Distribution, DistributionState},
    policy::{self, GrantView},
    problem::Problem,
    store::Store,
};

/// Nothing that an explanation builds ends by time: only grants do.
const NEVER: Timestamp = Timestamp::MAX;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who would call.
    pub consumer: Agency,
    /// Name of an inquiry, or `/<grpc service>/<method>`.
    pub inquiry: String,
    /// Set where several providers offer it.
    pub provider: Option<Agency>,
    /// Decide as of then.
    pub at: Timestamp,
    /// Whether the call would state its purpose.
    pub purpose_stated: bool,
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
    /// No snapshot is made here for another exchange's agency.
    #[error("no sidecar of it gets a snapshot here")]
    Exchange(#[from] ExchangeNotJoined),
    /// The exchange has no name that can be one.
    #[error("the exchange's own name cannot be read")]
    Identity(#[from] chapar_core::identity::IdentityError),
}

/// What an admin asks, in words.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Who would call.
    pub consumer: String,
    /// See [`Question::inquiry`].
    pub inquiry: String,
    /// Empty: the one that there is.
    pub provider: String,
    /// Decide as of then. None: now.
    pub at: Option<Timestamp>,
    /// The purpose that the call would state.
    pub purpose: String,
}

/// Decides on the newest state that is committed; answers with the grant that decided, as admins see it.
///
/// # Errors
/// `AGENCY_UNKNOWN`, or when the store cannot be read.
pub async fn explain(
    store: &Store,
    distribution: &Distribution,
    asked: Asked,
) -> Result<(Explanation, Option<GrantView>), Problem> {
    let state = distribution.state_since(store.revision().await?).await;
    let consumer = known_agency(store, &state, &asked.consumer).await?;
    let provider = match asked.provider.as_str() {
        "" => None,
        name => Some(known_agency(store, &state, name).await?),
    };
    let at = asked.at.unwrap_or_else(|| store.clock().now());
    let purpose_stated = !asked.purpose.trim().is_empty();
    let question = Question { consumer, inquiry: asked.inquiry, provider, at, purpose_stated };
    let told = decided(&state, &question).map_err(|error| Problem::internal(&error))?;
    let grant = match &told.grant {
        None => None,
        Some(name) => policy::grant(store, name).await?,
    };
    Ok((told, grant))
}

/// The agency of this name, seen from the own exchange.
async fn known_agency(store: &Store, state: &DistributionState, name: &str) -> Result<Agency, Problem> {
    let unknown = || Problem::not_found("AGENCY_UNKNOWN", format!("unknown agency {name:?}; see `chapar agency list`"));
    let own: TrustDomain = state.trust_domain().parse().map_err(|_| unknown())?;
    let agency = name.parse::<Agency>().map_err(|_| unknown())?.seen_from(&own);
    let name = agency.joined().map_err(|error| Problem::not_found("AGENCY_UNKNOWN", error.to_string()))?;
    if store.reader().await?.agency_exists(name.as_str()).await? { Ok(agency) } else { Err(unknown()) }
}

/// Decides for the consumer's sidecar and, where that one lets it pass, for the provider's.
///
/// # Errors
/// When what distribution holds is no snapshot.
pub fn decided(state: &DistributionState, question: &Question) -> Result<Explanation, ExplainError> {
    let consumer = Sidecar::of(state, &question.consumer)?;
    let found = match find(&consumer.snapshot, question) {
        Ok(offer) => offer,
        Err(refusal) => return Ok(refused(state, refusal)),
    };
    let facts = |side, offer, own, peer| {
        let (purpose_stated, now) = (question.purpose_stated, question.at);
        Facts { side, consumer: &question.consumer, offer, own, peer, purpose_stated, now }
    };
    let asked = facts(Side::Consumer, found, &consumer.certificate, None);
    let permit = match decide(&consumer.snapshot, &asked) {
        Ok(permit) => permit,
        Err(refusal) => return Ok(refused(state, refusal)),
    };
    let provider = Sidecar::of(state, &found.inquiry().key.provider)?;
    let asked = found.inquiry();
    let question_there =
        Question { provider: Some(asked.key.provider.clone()), inquiry: asked.path.to_string(), ..question.clone() };
    let there = match find(&provider.snapshot, &question_there) {
        Ok(offer) => offer,
        Err(refusal) => return Ok(refused(state, refusal)),
    };
    let asked = facts(Side::Provider, there, &provider.certificate, Some(&consumer.certificate));
    match decide(&provider.snapshot, &asked) {
        Ok(_) => Ok(permitted(&permit)),
        Err(refusal) => Ok(refused(state, refusal)),
    }
}

/// A sidecar as either agency would run it.
struct Sidecar {
    snapshot: PolicySnapshot,
    certificate: PeerCertificate,
}

impl Sidecar {
    fn of(state: &DistributionState, agency: &Agency) -> Result<Self, ExplainError> {
        let trust_domain: TrustDomain = state.trust_domain().parse()?;
        let name: WorkloadName = "main".parse()?;
        let spiffe_id = SpiffeId::sidecar(trust_domain.clone(), agency.joined()?, name);
        let set = state.resources_of(agency.as_str());
        let manifest = Manifest {
            trust_domain,
            recipient: spiffe_id.clone(),
            revision: state.revision(),
            policy_version: state.policy_version(),
            issued_at: Timestamp::from_unix_ms(0),
            valid_until: NEVER,
            digest: set.digest(),
        };
        let contents =
            Contents::read(&manifest, &set).map_err(|problem| ExplainError::Snapshot { agency: agency.to_string(), problem })?;
        // No certificate has an empty serial number, so none is revoked: which one a sidecar shows is not asked here.
        let certificate = PeerCertificate { spiffe_id, serial: "".into(), issuers: Arc::default(), not_after: NEVER };
        Ok(Self { snapshot: contents.snapshot(), certificate })
    }
}

fn find<'a>(snapshot: &'a PolicySnapshot, question: &Question) -> Result<&'a Offer, Refusal> {
    let named = |offer: &&Offer| {
        let inquiry = offer.inquiry();
        *inquiry.key.inquiry == *question.inquiry || *inquiry.path == *question.inquiry
    };
    let of_provider =
        |offer: &&Offer| question.provider.as_ref().is_none_or(|provider| offer.inquiry().key.provider == *provider);
    let mut found: Vec<&Offer> = snapshot.inquiries().filter(named).filter(of_provider).collect();
    found.sort_by(|a, b| a.inquiry().key.cmp(&b.inquiry().key));
    match found.as_slice() {
        [only] => Ok(only),
        [] => {
            let by = question.provider.as_ref().map(|provider| format!(" of {provider}")).unwrap_or_default();
            let detail = format!(
                "no approved passport{by} holds the inquiry {}; its provider must submit one and have it approved",
                question.inquiry
            );
            Err(Refusal::new(Reason::UnknownInquiry, detail))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|offer| offer.inquiry().key.provider.as_str()).collect();
            let detail = format!(
                "{} offer the inquiry {}; the call must name one in {}",
                names.join(", "),
                question.inquiry,
                metadata::PROVIDER
            );
            Err(Refusal::new(Reason::AmbiguousProvider, detail))
        }
    }
}

fn refused(state: &DistributionState, refusal: Refusal) -> Explanation {
    Explanation {
        refused: Some(refusal.reason),
        text: refusal.detail,
        grant: refusal.grant,
        policy_version: state.policy_version(),
    }
}

fn permitted(permit: &Permit) -> Explanation {
    let (grant, inquiry) = (permit.grant(), permit.inquiry());
    let text = format!(
        "{} may call {} of {} by resolution {}, clause {}",
        grant.consumer, inquiry.key.inquiry, inquiry.key.provider, grant.resolution, grant.clause
    );
    Explanation { refused: None, text, grant: Some(grant.name.to_string()), policy_version: permit.policy_version() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chapar_proto::v1::{Classification, GrantResource, InquiryKind, InquiryResource};

    use super::*;
    use crate::distribute::Facts as Distributed;

    fn inquiry(provider: &str, name: &str) -> InquiryResource {
        InquiryResource {
            provider: provider.into(),
            inquiry: name.into(),
            grpc_service: "ir.one.v1.PeopleService".into(),
            method: name.into(),
            kind: InquiryKind::Verification.into(),
            passport_version: "0".repeat(64),
            title: Some(chapar_proto::v1::Title { fa: "ع".into(), en: "T".into() }),
            in_force: true,
            classification: Classification::Personal.into(),
            subjects: Vec::new(),
        }
    }

    fn grant(name: &str, provider: &str, inquiry: &str) -> GrantResource {
        let (resolution, clause, consumer) = ("r1".into(), "1".into(), "asks".into());
        GrantResource {
            name: name.into(),
            resolution,
            clause,
            consumer,
            provider: provider.into(),
            inquiry: inquiry.into(),
            in_force: true,
            ..GrantResource::default()
        }
    }

    fn distributed() -> Distributed {
        let expired =
            GrantResource { not_after: Some(prost_types::Timestamp { seconds: 100, nanos: 0 }), ..grant("g2", "one", "ended") };
        let end = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let revoked = GrantResource { revoked_at: end, revocation_reason: "misuse".into(), ..grant("g3", "one", "revoked") };
        Distributed {
            revision: 7,
            policy_version: 3,
            trust_domain: "exchange.example".into(),
            roots_der: vec![vec![1]],
            agencies: ["asks", "one", "two"].map(|name| (name.to_owned(), None)).into(),
            inquiries: vec![
                inquiry("one", "match"),
                inquiry("one", "ended"),
                inquiry("one", "revoked"),
                inquiry("one", "other"),
                inquiry("two", "other"),
            ],
            grants: vec![grant("g1", "one", "match"), expired, revoked],
            ..Distributed::default()
        }
    }

    fn ask(facts: Distributed, consumer: &str, inquiry: &str, at_s: i64) -> Explanation {
        let consumer = consumer.parse().unwrap();
        let at = Timestamp::from_unix_ms(at_s * 1000);
        let question = Question { consumer, inquiry: inquiry.into(), provider: None, at, purpose_stated: false };
        decided(&DistributionState::new(facts, None), &question).unwrap()
    }

    #[test]
    fn a_granted_call_names_its_resolution() {
        let told = ask(distributed(), "asks", "match", 50);
        assert_eq!((told.refused, told.grant.as_deref(), told.policy_version), (None, Some("g1"), 3));
        assert_eq!(told.text, "asks may call match of one by resolution r1, clause 1");
        let by_path = ask(distributed(), "asks", "/ir.one.v1.PeopleService/match", 50);
        assert_eq!(by_path, told);
    }

    #[test]
    fn a_refused_call_names_the_sidecars_own_reason() {
        let reason = |consumer, inquiry, at_s| ask(distributed(), consumer, inquiry, at_s).refused;
        assert_eq!(reason("two", "match", 50), Some(Reason::NoGrant));
        assert_eq!(reason("asks", "nothing", 50), Some(Reason::UnknownInquiry));
        assert_eq!(reason("asks", "other", 50), Some(Reason::AmbiguousProvider));
        assert_eq!(reason("asks", "ended", 99), None, "as of then");
        assert_eq!(reason("asks", "ended", 100), Some(Reason::GrantExpired));
        let revoked = ask(distributed(), "asks", "revoked", 50);
        assert_eq!((revoked.refused, revoked.grant.as_deref()), (Some(Reason::GrantRevoked), Some("g3")));
        assert!(revoked.text.contains("misuse"), "{}", revoked.text);
    }

    #[test]
    fn a_suspended_provider_is_told() {
        let mut facts = distributed();
        facts.agencies.insert("one".into(), Some("audit".into()));
        assert_eq!(ask(facts, "asks", "match", 50).refused, Some(Reason::AgencySuspended));
    }
}
