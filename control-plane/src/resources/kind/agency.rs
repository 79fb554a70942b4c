//! Agencies.

use serde::{Deserialize, Serialize};

use super::{Described, Kind, Mentioned, ResourceName};
use crate::resources::{
    fields::{Context, Fields},
    text,
    title::Title,
    tree::Node,
    writer::Writer,
};

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

impl Described for Agency {
    const CALLED: &'static str = "agency";
    const STANDS_UNDER_BY: Option<&'static str> = Some("partOf");

    fn read(context: Context<'_>, spec: &Node, _name: &str, mentioned: &mut Mentioned) -> Option<Self> {
        let fields = Fields::open(context, spec, "spec".into(), "an Agency's spec", &["title", "roles", "partOf"])?;
        let title = Title::read(context, &fields);
        let mut roles = Vec::new();
        for role in fields.names("roles", "roles (provider, consumer)", true).unwrap_or_default() {
            match role.value.as_str() {
                "provider" => roles.push(Role::Provider),
                "consumer" => roles.push(Role::Consumer),
                other => {
                    let hint = text::suggestion(other, ["provider", "consumer"]);
                    context.problems.add(role.site, format!("unknown role {other:?}; expected provider or consumer{hint}"));
                }
            }
        }
        roles.sort_unstable();
        let part_of = fields.name_optional("partOf", "the name of an agency")?;
        if let Some(whole) = &part_of {
            mentioned.refer(Kind::Agency, whole);
        }
        Some(Agency { title: title?, roles, part_of: part_of.map(|whole| whole.value) })
    }

    fn write(&self, out: &mut Writer) {
        self.title.write(out);
        out.list("roles", self.roles.iter().map(|role| role.as_str()));
        out.field_optional("partOf", self.part_of.as_deref());
    }

    fn refers_to(&self) -> Vec<ResourceName> {
        self.part_of.iter().map(|whole| ResourceName::new(Kind::Agency, whole)).collect()
    }
}
