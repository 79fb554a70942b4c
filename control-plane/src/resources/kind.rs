//! The kinds of resources. A new one is a file beneath this one and a line in the table: what it says, how it is read and written, and
//! what it refers to stand together.
//!
//! A value of these types is well formed; whether what it refers to exists is checked against the whole policy.

mod agency;
mod base_database;
mod clause;
mod information_system;
mod resolution;
mod revocation;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::{
    agency::{Agency, Role},
    base_database::{BaseDatabase, classification_of},
    clause::{GrantClause, grant_name},
    information_system::InformationSystem,
    resolution::Resolution,
    revocation::Revocation,
};
use super::{
    fields::{Context, Fields, Located},
    problem::Site,
    tree::Node,
    writer::Writer,
};

/// What a kind of resource knows of itself.
trait Described: Sized {
    /// What problems call it.
    const CALLED: &'static str;

    /// The field by which one resource of this kind stands under another of it, which must not make a cycle. `None`: no field does.
    const STANDS_UNDER_BY: Option<&'static str> = None;

    /// Reads `metadata.name`.
    fn read_name(_context: Context<'_>, metadata: &Fields<'_>) -> Option<Located<String>> {
        metadata.name("name", "a kebab-case name")
    }

    /// Reads `spec` of the resource of this name. None, noted, when it is wrong.
    fn read(context: Context<'_>, spec: &Node, name: &str, mentioned: &mut Mentioned) -> Option<Self>;

    /// Writes `spec`.
    fn write(&self, out: &mut Writer);

    /// Every resource that this one cannot do without.
    fn refers_to(&self) -> Vec<ResourceName>;
}

/// Makes [`Kind`] and [`Spec`] of the table.
macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident,)+) => {
        /// What a resource is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$about])* $kind,)+
        }

        impl Kind {
            /// All kinds, in the order in which they may be applied.
            pub const ALL: [Self; [$(stringify!($kind)),+].len()] = [$(Self::$kind),+];

            /// The word in a resource's `kind`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)+
                }
            }

            /// What problems call it.
            pub(super) fn called(self) -> &'static str {
                match self {
                    $(Self::$kind => $kind::CALLED,)+
                }
            }

            /// The field by which one resource of this kind stands under another of it.
            pub(super) fn stands_under_by(self) -> Option<&'static str> {
                match self {
                    $(Self::$kind => $kind::STANDS_UNDER_BY,)+
                }
            }

            pub(super) fn read_name(self, context: Context<'_>, metadata: &Fields<'_>) -> Option<Located<String>> {
                match self {
                    $(Self::$kind => $kind::read_name(context, metadata),)+
                }
            }

            pub(super) fn read(
                self,
                context: Context<'_>,
                spec: &Node,
                name: &str,
                mentioned: &mut Mentioned,
            ) -> Option<Spec> {
                match self {
                    $(Self::$kind => $kind::read(context, spec, name, mentioned).map(Spec::$kind),)+
                }
            }
        }

        /// What a resource says.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Spec {
            $($(#[$about])* $kind($kind),)+
        }

        impl Spec {
            /// Which kind this is.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)+
                }
            }

            /// Every resource that this one cannot do without.
            #[must_use]
            pub fn refers_to(&self) -> Vec<ResourceName> {
                match self {
                    $(Self::$kind(spec) => spec.refers_to(),)+
                }
            }

            pub(super) fn write(&self, out: &mut Writer) {
                match self {
                    $(Self::$kind(spec) => spec.write(out),)+
                }
            }
        }
    };
}

kinds! {
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
    /// The kind of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Spec {
    /// Which resources of its own kind it stands under: the whole of an agency, what a resolution supersedes.
    pub(super) fn stands_under(&self) -> Vec<ResourceName> {
        let kind = self.kind();
        let own = self.refers_to().into_iter().filter(|name| name.kind == kind);
        if kind.stands_under_by().is_some() { own.collect() } else { Vec::new() }
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

impl ResourceName {
    fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// What a document names besides itself.
#[derive(Debug, Default)]
pub(super) struct Mentioned {
    pub(super) references: Vec<Reference>,
    pub(super) inquiries: Vec<InquiryReference>,
}

/// A name of another resource, and where it stands.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) to: ResourceName,
    pub(super) site: Site,
}

/// A name of an inquiry in a grant.
#[derive(Debug)]
pub(super) struct InquiryReference {
    pub(super) inquiry: String,
    pub(super) provider: Option<String>,
    pub(super) site: Site,
}

impl Mentioned {
    fn refer(&mut self, kind: Kind, name: &Located<String>) {
        self.references.push(Reference { to: ResourceName::new(kind, &name.value), site: name.site.clone() });
    }
}
