//! The grants of one clause of a resolution, with everything that they are bound to: a new condition of grants is read and written here.

use chapar_core::policy::{Condition, NotAfter, NotBefore, NotYetInForce, PurposeStated};
use chapar_core::time::Moment;
use serde::{Deserialize, Serialize};

use super::{InquiryReference, Kind, Mentioned};
use crate::resources::{
    fields::{Context, Fields, Located},
    text,
    tree::Node,
    writer::Writer,
};

/// Longest note, in characters.
const NOTE_CHARS_MAX: usize = 2_000;
/// Longest name of a clause, in characters.
const CLAUSE_CHARS_MAX: usize = 32;
/// `<resolution>/<clause>/<consumer>/<inquiry>` at their longest.
const GRANT_NAME_CHARS_MAX: usize = 3 * text::NAME_CHARS_MAX + CLAUSE_CHARS_MAX + 3;

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
            self.not_before.map(|moment| NotBefore(moment.first()).into()),
            self.not_after.map(|moment| NotAfter(moment.last()).into()),
            self.purpose_required.then(|| PurposeStated.into()),
        ];
        all.into_iter().flatten()
    }

    /// Reads one clause; answers it with the inquiries and their sites.
    pub(super) fn read(
        context: Context<'_>,
        node: &Node,
        path: String,
        mentioned: &mut Mentioned,
    ) -> Option<(Self, Vec<Located<String>>)> {
        let known =
            ["clause", "consumers", "inquiries", "provider", "notBefore", "notAfter", "inForce", "purposeRequired", "note"];
        let fields = Fields::open(context, node, path, "a grant", &known)?;
        let clause = fields.text("clause", "the clause as a text, such as \"3.2\"").and_then(|found| {
            let problem = clause_problem(&found.value);
            let sound = problem.is_none();
            if let Some(description) = problem {
                context.problems.add(found.site, description);
            }
            sound.then_some(found.value)
        });
        let consumers = fields.names("consumers", "names of agencies", true);
        let inquiries = fields.names("inquiries", "names of inquiries", true);
        let provider = fields.name_optional("provider", "the name of an agency");
        let not_before = fields.moment("notBefore");
        let not_after = fields.moment("notAfter");
        if let (Some(Some((before, _))), Some(Some((after, site)))) = (&not_before, &not_after)
            && after.last() <= before.first()
        {
            context
                .problems
                .add(site.clone(), format!("notAfter {after} is before notBefore {before}; the grant would never be in force"));
        }
        let in_force = fields.truth("inForce", true);
        let purpose_required = fields.truth("purposeRequired", false);
        let note = fields.prose_optional("note", NOTE_CHARS_MAX);
        for agency in consumers.iter().flatten().chain(provider.iter().flatten()) {
            mentioned.refer(Kind::Agency, agency);
        }
        let provider_name = provider.as_ref().and_then(|found| found.as_ref()).map(|found| found.value.clone());
        for inquiry in inquiries.iter().flatten() {
            let reference =
                InquiryReference { inquiry: inquiry.value.clone(), provider: provider_name.clone(), site: inquiry.site.clone() };
            mentioned.inquiries.push(reference);
        }
        let sorted = |found: &[Located<String>]| {
            let mut names: Vec<String> = found.iter().map(|name| name.value.clone()).collect();
            names.sort_unstable();
            names
        };
        let (consumers, inquiries) = (consumers?, inquiries?);
        let grant = Self {
            clause: clause?,
            consumers: sorted(&consumers),
            inquiries: sorted(&inquiries),
            provider: provider?.map(|found| found.value),
            not_before: not_before?.map(|found| found.0),
            not_after: not_after?.map(|found| found.0),
            in_force: in_force?,
            purpose_required: purpose_required?,
            note: note?,
        };
        Some((grant, inquiries))
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.item("clause", &self.clause, |out| {
            out.list("consumers", self.consumers.iter().map(String::as_str));
            out.list("inquiries", self.inquiries.iter().map(String::as_str));
            out.field_optional("provider", self.provider.as_deref());
            out.field_optional("notBefore", self.not_before.map(|moment| moment.to_string()).as_deref());
            out.field_optional("notAfter", self.not_after.map(|moment| moment.to_string()).as_deref());
            if !self.in_force {
                out.bare("inForce", "false");
            }
            if self.purpose_required {
                out.bare("purposeRequired", "true");
            }
            out.field_optional("note", self.note.as_deref());
        });
    }
}

/// `<resolution>/<clause>/<consumer>/<inquiry>`.
#[must_use]
pub fn grant_name(resolution: &str, clause: &str, consumer: &str, inquiry: &str) -> String {
    format!("{resolution}/{clause}/{consumer}/{inquiry}")
}

/// Whether a text can be the name of a grant.
pub(super) fn is_grant_name(text: &str) -> bool {
    let parts = text.split('/').collect::<Vec<_>>();
    parts.len() == 4
        && text.chars().count() <= GRANT_NAME_CHARS_MAX
        && clause_problem(parts[1]).is_none()
        && [parts[0], parts[2], parts[3]].iter().all(|part| text::name_problem(part).is_none())
}

fn clause_problem(clause: &str) -> Option<String> {
    let sound = !clause.is_empty()
        && clause.len() <= CLAUSE_CHARS_MAX
        && clause.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    (!sound).then(|| {
        format!("{clause:?} is no clause; expected at most {CLAUSE_CHARS_MAX} letters, digits, dots and hyphens, such as \"3.2\"")
    })
}
