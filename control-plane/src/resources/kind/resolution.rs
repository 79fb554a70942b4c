//! Resolutions: what the working group decided.

use std::collections::HashMap;

use chapar_core::time::{Day, Moment};
use serde::{Deserialize, Serialize};

use super::{
    Described, Kind, Mentioned, ResourceName,
    clause::{GrantClause, grant_name},
};
use crate::resources::{
    fields::{Context, Fields, Located},
    problem::Site,
    title::Title,
    tree::Node,
    writer::Writer,
};

/// Grants that one resolution may expand to; session 38's largest has 26.
const GRANTS_MAX: usize = 100_000;
/// Highest number of a session.
const SESSION_MAX: u32 = 9_999;

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

impl Described for Resolution {
    const CALLED: &'static str = "resolution";
    const STANDS_UNDER_BY: Option<&'static str> = Some("supersedes");

    fn read(context: Context<'_>, spec: &Node, name: &str, mentioned: &mut Mentioned) -> Option<Self> {
        let known = ["title", "session", "date", "supersedes", "sealedUntil", "grants"];
        let fields = Fields::open(context, spec, "spec".into(), "a Resolution's spec", &known)?;
        let title = Title::read(context, &fields);
        let session = fields.number("session", 1..=SESSION_MAX);
        let date = fields.text("date", "a date, such as 1401-10-20").and_then(|found| match Day::parse(&found.value) {
            Ok(day) => Some(day),
            Err(description) => {
                context.problems.add(found.site, description.to_string());
                None
            }
        });
        let supersedes = fields.names("supersedes", "names of resolutions", false);
        for other in supersedes.iter().flatten() {
            mentioned.refer(Kind::Resolution, other);
        }
        let sealed_until = fields.moment("sealedUntil");
        let mut seen = GrantsSeen { resolution: name, names: HashMap::new() };
        let mut grants = Vec::new();
        let mut expanded = 0_usize;
        for (index, node) in fields.list_optional("grants", "grants").unwrap_or_default().iter().enumerate() {
            let path = format!("spec.grants[{index}]");
            let Some((clause, places)) = GrantClause::read(context, node, path.clone(), mentioned) else { continue };
            expanded = expanded.saturating_add(clause.consumers.len().saturating_mul(clause.inquiries.len()));
            if expanded > GRANTS_MAX {
                let description = format!("the resolution makes more than {GRANTS_MAX} grants; split it");
                context.wrong(node.place, &path, description);
                break;
            }
            seen.note(context, &clause, &places);
            grants.push(clause);
        }
        let mut supersedes: Vec<String> = supersedes?.into_iter().map(|other| other.value).collect();
        supersedes.sort_unstable();
        let sealed_until = sealed_until?.map(|found| found.0);
        Some(Resolution { title: title?, session: session?, date: date?, supersedes, sealed_until, grants })
    }

    fn write(&self, out: &mut Writer) {
        self.title.write(out);
        out.bare("session", &self.session.to_string());
        out.field("date", &self.date.to_string());
        out.list("supersedes", self.supersedes.iter().map(String::as_str));
        out.field_optional("sealedUntil", self.sealed_until.map(|moment| moment.to_string()).as_deref());
        if !self.grants.is_empty() {
            out.line("grants:");
        }
        for grant in &self.grants {
            grant.write(out);
        }
    }

    fn refers_to(&self) -> Vec<ResourceName> {
        let parties = self.grants.iter().flat_map(|clause| clause.consumers.iter().chain(&clause.provider));
        let superseded = self.supersedes.iter().map(|other| ResourceName::new(Kind::Resolution, other));
        parties.map(|party| ResourceName::new(Kind::Agency, party)).chain(superseded).collect()
    }
}

/// Finds a grant that two clauses of a resolution make alike.
struct GrantsSeen<'a> {
    resolution: &'a str,
    names: HashMap<String, Site>,
}

impl GrantsSeen<'_> {
    fn note(&mut self, context: Context<'_>, clause: &GrantClause, inquiries: &[Located<String>]) {
        for inquiry in inquiries {
            for consumer in &clause.consumers {
                let name = grant_name(self.resolution, &clause.clause, consumer, &inquiry.value);
                if let Some(first) = self.names.get(&name) {
                    let first = context.problems.name_place(first);
                    context.problems.add(inquiry.site.clone(), format!("the grant {name} is made twice, first at {first}"));
                } else {
                    self.names.insert(name, inquiry.site.clone());
                }
            }
        }
    }
}
