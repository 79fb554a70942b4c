//! Revocations: a grant is taken out of force.

use chapar_core::time::Moment;
use serde::{Deserialize, Serialize};

use super::{Described, Mentioned, ResourceName, clause::is_grant_name};
use crate::resources::{
    fields::{Context, Fields, Located},
    tree::Node,
    writer::Writer,
};

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 2_000;

/// A grant taken out of force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When, in seconds since 1970.
    pub at: Moment,
    /// Why; shown in every refusal that follows.
    pub reason: String,
}

impl Described for Revocation {
    const CALLED: &'static str = "revocation";

    fn read_name(context: Context<'_>, metadata: &Fields<'_>) -> Option<Located<String>> {
        let name = metadata.text("name", "the name of a grant")?;
        if !is_grant_name(&name.value) {
            let description =
                format!("{:?} is no name of a grant; expected <resolution>/<clause>/<consumer>/<inquiry>", name.value);
            context.problems.add(name.site, description);
            return None;
        }
        Some(name)
    }

    fn read(context: Context<'_>, spec: &Node, _name: &str, _mentioned: &mut Mentioned) -> Option<Self> {
        let fields = Fields::open(context, spec, "spec".into(), "a Revocation's spec", &["at", "reason"])?;
        let at = fields.moment("at").flatten();
        if at.is_none() && fields.optional("at").is_none() {
            fields.required("at", "an RFC 3339 date and time");
        }
        let reason = fields.prose("reason", "why the grant was revoked", REASON_CHARS_MAX);
        Some(Revocation { at: at?.0, reason: reason? })
    }

    fn write(&self, out: &mut Writer) {
        out.field("at", &self.at.to_string());
        out.field("reason", &self.reason);
    }

    /// By name only: it stays, and goes on refusing, when the resolution goes and comes back.
    fn refers_to(&self) -> Vec<ResourceName> {
        Vec::new()
    }
}
