//! The kinds of resources and what each one says. A value of these types is well formed; whether what it refers to exists is
//! checked against the whole policy.

use std::fmt;

use chapar_core::{
    passport::Classification,
    policy::{Condition, NotAfter, NotBefore, NotYetInForce, PurposeStated},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::dates::{Day, Moment};

/// The only version of the resource format.
pub const API_VERSION: &str = "chapar/v1";
/// Grants that one resolution may expand to; session 38's largest has 26.
pub(super) const RESOLUTION_GRANTS_MAX: usize = 100_000;

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// An organisation that takes part.
    Agency,
    /// A system of an agency that runs services (regulation, article 1-2).
    InformationSystem,
    /// An official register (regulation, article 1-3).
    BaseDatabase,
    /// A decision of the working group; the only source of a grant.
    Resolution,
    /// Takes one grant of a resolution out of force. Made by RevokeGrant; part of the policy, so that a version holds it too.
    Revocation,
}

impl Kind {
    /// All kinds, in the order in which they may be applied.
    pub const ALL: [Self; 5] = [Self::Agency, Self::InformationSystem, Self::BaseDatabase, Self::Resolution, Self::Revocation];

    /// The word in a resource's `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agency => "Agency",
            Self::InformationSystem => "InformationSystem",
            Self::BaseDatabase => "BaseDatabase",
            Self::Resolution => "Resolution",
            Self::Revocation => "Revocation",
        }
    }

    /// The kind of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What names a resource: `Agency/post`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceName {
    /// What it is.
    pub kind: Kind,
    /// Its `metadata.name`.
    pub name: String,
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// The same words in the two languages of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    /// Persian.
    pub fa: String,
    /// English.
    pub en: String,
}

/// What an agency does in the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds data and answers.
    Provider,
    /// Asks.
    Consumer,
}

impl Role {
    /// The word in a resource's `roles`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Consumer => "consumer",
        }
    }
}

/// All classifications, the least harmful first.
pub(super) const CLASSIFICATIONS: [Classification; 4] =
    [Classification::Ordinary, Classification::Personal, Classification::Sensitive, Classification::Classified];

/// The classification of this word.
pub fn classification_of(word: &str) -> Option<Classification> {
    CLASSIFICATIONS.into_iter().find(|classification| classification.as_str() == word)
}

/// A classification is stored as its word.
mod classification_word {
    use chapar_core::passport::Classification;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature.
    pub(super) fn serialize<S: Serializer>(value: &Classification, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Classification, D::Error> {
        let word = String::deserialize(deserializer)?;
        super::classification_of(&word).ok_or_else(|| D::Error::custom(format!("unknown classification {word:?}")))
    }
}

/// An organisation that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agency {
    /// Its name in both languages.
    pub title: Title,
    /// Sorted, at least one.
    pub roles: Vec<Role>,
    /// The agency that it is a part of.
    pub part_of: Option<String>,
}

/// A system that runs services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InformationSystem {
    /// Its name in both languages.
    pub title: Title,
    /// Whose it is.
    pub agency: String,
}

/// An official register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseDatabase {
    /// Its name in both languages.
    pub title: Title,
    /// The agency that keeps it. None: open until a resolution sets it.
    pub custodian: Option<String>,
    /// Of the register as a whole; a service on it is never less.
    #[serde(with = "classification_word")]
    pub classification: Classification,
}

/// A decision of the working group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Its name in both languages.
    pub title: Title,
    /// Session that made it.
    pub session: u32,
    /// When it was made.
    pub date: Day,
    /// Resolutions whose grants it ends. Sorted.
    pub supersedes: Vec<String>,
    /// Calls that its grants allow are not shown to whom they are about before then. None: they are shown at once.
    #[serde(default)]
    pub sealed_until: Option<Moment>,
    /// Its grants, a clause at a time.
    pub grants: Vec<GrantClause>,
}

/// Grants of one clause: every consumer may call every inquiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantClause {
    /// Such as `3.2` or `1-note`.
    pub clause: String,
    /// Agencies. Sorted.
    pub consumers: Vec<String>,
    /// Names of inquiries. Sorted.
    pub inquiries: Vec<String>,
    /// Set where several agencies offer the inquiries.
    pub provider: Option<String>,
    /// Not in force before. None: since ever.
    pub not_before: Option<Moment>,
    /// Expired after. None: without end.
    pub not_after: Option<Moment>,
    /// False: granted, but not yet in force.
    pub in_force: bool,
    /// True: a call must state its purpose.
    #[serde(default)]
    pub purpose_required: bool,
    /// For people.
    pub note: Option<String>,
}

impl GrantClause {
    /// The conditions that it puts on its grants.
    pub fn conditions(&self) -> impl Iterator<Item = Condition> {
        let all: [Option<Condition>; 4] = [
            (!self.in_force).then(|| NotYetInForce.into()),
            self.not_before.map(|moment| NotBefore(Timestamp::from_unix_ms(moment.first_unix_ms())).into()),
            self.not_after.map(|moment| NotAfter(Timestamp::from_unix_ms(moment.last_unix_ms())).into()),
            self.purpose_required.then(|| PurposeStated.into()),
        ];
        all.into_iter().flatten()
    }
}

/// A grant taken out of force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When, in seconds since 1970.
    pub at: Moment,
    /// Why; shown in every refusal that follows.
    pub reason: String,
}

/// What a resource says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spec {
    /// See [`Agency`].
    Agency(Agency),
    /// See [`InformationSystem`].
    InformationSystem(InformationSystem),
    /// See [`BaseDatabase`].
    BaseDatabase(BaseDatabase),
    /// See [`Resolution`].
    Resolution(Resolution),
    /// See [`Revocation`]; named by the grant.
    Revocation(Revocation),
}

impl Spec {
    /// Which kind this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Agency(_) => Kind::Agency,
            Self::InformationSystem(_) => Kind::InformationSystem,
            Self::BaseDatabase(_) => Kind::BaseDatabase,
            Self::Resolution(_) => Kind::Resolution,
            Self::Revocation(_) => Kind::Revocation,
        }
    }
}

impl Spec {
    /// Every resource that this one cannot do without. A revocation refers to its grant by name only: it stays, and goes on
    /// refusing, when the resolution goes and comes back.
    pub fn refers_to(&self) -> Vec<ResourceName> {
        let named = |kind: Kind| move |name: &String| ResourceName { kind, name: name.clone() };
        match self {
            Self::Agency(agency) => agency.part_of.iter().map(named(Kind::Agency)).collect(),
            Self::InformationSystem(system) => vec![named(Kind::Agency)(&system.agency)],
            Self::BaseDatabase(database) => database.custodian.iter().map(named(Kind::Agency)).collect(),
            Self::Resolution(resolution) => {
                let parties = resolution.grants.iter().flat_map(|clause| clause.consumers.iter().chain(&clause.provider));
                let superseded = resolution.supersedes.iter().map(named(Kind::Resolution));
                parties.map(named(Kind::Agency)).chain(superseded).collect()
            }
            Self::Revocation(_) => Vec::new(),
        }
    }
}

/// `<resolution>/<clause>/<consumer>/<inquiry>`.
pub fn grant_name(resolution: &str, clause: &str, consumer: &str, inquiry: &str) -> String {
    format!("{resolution}/{clause}/{consumer}/{inquiry}")
}
