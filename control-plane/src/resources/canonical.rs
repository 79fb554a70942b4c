//! The one way in which the exchange writes a resource: YAML that can be applied again and compared line by line.

use super::{
    fields::is_text,
    kinds::{
        API_VERSION, Agency, BaseDatabase, GrantClause, InformationSystem, Resolution, ResourceName, Revocation, Spec, Title,
    },
};

/// A resource as canonical YAML, one document without separator.
pub fn yaml(name: &ResourceName, spec: &Spec) -> String {
    let mut out = Writer { text: String::new(), depth: 0 };
    out.field("apiVersion", API_VERSION);
    out.field("kind", name.kind.as_str());
    out.map("metadata", |out| out.field("name", &name.name));
    out.map("spec", |out| match spec {
        Spec::Agency(spec) => agency(out, spec),
        Spec::InformationSystem(spec) => information_system(out, spec),
        Spec::BaseDatabase(spec) => base_database(out, spec),
        Spec::Resolution(spec) => resolution(out, spec),
        Spec::Revocation(spec) => revocation(out, spec),
    });
    out.text
}

/// Many resources as one text that can be applied.
pub fn yaml_all<'a>(resources: impl IntoIterator<Item = (&'a ResourceName, &'a Spec)>) -> String {
    resources.into_iter().map(|(name, spec)| format!("---\n{}", yaml(name, spec))).collect()
}

fn agency(out: &mut Writer, spec: &Agency) {
    title(out, &spec.title);
    out.list("roles", spec.roles.iter().map(|role| role.as_str()));
    out.field_optional("partOf", spec.part_of.as_deref());
}

fn information_system(out: &mut Writer, spec: &InformationSystem) {
    title(out, &spec.title);
    out.field("agency", &spec.agency);
}

fn base_database(out: &mut Writer, spec: &BaseDatabase) {
    title(out, &spec.title);
    out.field_optional("custodian", spec.custodian.as_deref());
    out.field("classification", spec.classification.as_str());
}

fn resolution(out: &mut Writer, spec: &Resolution) {
    title(out, &spec.title);
    out.bare("session", &spec.session.to_string());
    out.field("date", &spec.date.to_string());
    out.list("supersedes", spec.supersedes.iter().map(String::as_str));
    out.field_optional("sealedUntil", spec.sealed_until.map(|moment| moment.to_string()).as_deref());
    if !spec.grants.is_empty() {
        out.line("grants:");
    }
    for grant in &spec.grants {
        grant_clause(out, grant);
    }
}

fn grant_clause(out: &mut Writer, grant: &GrantClause) {
    out.depth += 1;
    out.line(&format!("- clause: {}", scalar(&grant.clause)));
    out.depth += 1;
    out.list("consumers", grant.consumers.iter().map(String::as_str));
    out.list("inquiries", grant.inquiries.iter().map(String::as_str));
    out.field_optional("provider", grant.provider.as_deref());
    out.field_optional("notBefore", grant.not_before.map(|moment| moment.to_string()).as_deref());
    out.field_optional("notAfter", grant.not_after.map(|moment| moment.to_string()).as_deref());
    if !grant.in_force {
        out.bare("inForce", "false");
    }
    if grant.purpose_required {
        out.bare("purposeRequired", "true");
    }
    out.field_optional("note", grant.note.as_deref());
    out.depth -= 2;
}

fn revocation(out: &mut Writer, spec: &Revocation) {
    out.field("at", &spec.at.to_string());
    out.field("reason", &spec.reason);
}

fn title(out: &mut Writer, title: &Title) {
    out.map("title", |out| {
        out.field("fa", &title.fa);
        out.field("en", &title.en);
    });
}

struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, text: &str) {
        self.text.extend(std::iter::repeat_n("  ", self.depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn bare(&mut self, name: &str, value: &str) {
        self.line(&format!("{name}: {value}"));
    }

    fn field(&mut self, name: &str, value: &str) {
        self.bare(name, &scalar(value));
    }

    fn field_optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// One line an item, so that a diff shows the item that came or went. Nothing at all for an empty list.
    fn list<'a>(&mut self, name: &str, items: impl Iterator<Item = &'a str>) {
        for (index, item) in items.enumerate() {
            if index == 0 {
                self.line(&format!("{name}:"));
            }
            self.line(&format!("  - {}", scalar(item)));
        }
    }

    fn map(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.line(&format!("{name}:"));
        self.depth += 1;
        fill(self);
        self.depth -= 1;
    }
}

/// A text as YAML scalar: bare where nobody can misread it, else in double quotes.
fn scalar(text: &str) -> String {
    // U+200C joins the parts of many Persian words.
    let safe = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' ' | '\u{200c}' | '(' | ')' | '،');
    let starts_safe = text.starts_with(|c: char| c.is_alphanumeric());
    if starts_safe && !text.ends_with(' ') && text.chars().all(safe) && is_text(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
