//! Turns the tree of one document into a resource, keeping the places of all names that it refers to.

use std::collections::HashMap;

use super::{
    dates::{Day, Moment},
    fields::{Context, Fields, Located},
    kinds::{
        API_VERSION, Agency, BaseDatabase, CLASSIFICATIONS, GrantClause, InformationSystem, Kind, RESOLUTION_GRANTS_MAX,
        Resolution, ResourceName, Revocation, Role, Spec, Title, classification_of, grant_name,
    },
    problem::Site,
    text,
    tree::Node,
};

const TITLE_CHARS_MAX: usize = 256;
const NOTE_CHARS_MAX: usize = 2_000;
const CLAUSE_CHARS_MAX: usize = 32;
const SESSION_MAX: u32 = 9_999;
/// `<resolution>/<clause>/<consumer>/<inquiry>` at their longest.
const GRANT_NAME_CHARS_MAX: usize = 3 * text::NAME_CHARS_MAX + CLAUSE_CHARS_MAX + 3;

/// One document as far as it could be read.
#[derive(Debug)]
pub(super) struct Document {
    /// None when even its kind or name could not be read.
    pub(super) name: Option<Located<ResourceName>>,
    /// None when something is wrong with it.
    pub(super) spec: Option<Spec>,
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

pub(super) fn document(context: Context<'_>, node: &Node) -> Document {
    let mut document = Document { name: None, spec: None, references: Vec::new(), inquiries: Vec::new() };
    let before = context.problems.len();
    let known = ["apiVersion", "kind", "metadata", "spec"];
    let Some(fields) = Fields::open(context, node, String::new(), "a resource", &known) else { return document };
    check_api_version(context, &fields);
    let kind = kind_of(context, &fields);
    let name = fields
        .required("metadata", "a map with the field name")
        .and_then(|metadata| Fields::open(context, metadata, "metadata".into(), "metadata", &["name"]))
        .and_then(|metadata| match kind {
            Some(Kind::Revocation) => grant_name_of(context, &metadata),
            _ => metadata.name("name", "a kebab-case name"),
        });
    let spec = fields.required("spec", "a map");
    let Some(kind) = kind else { return document };
    if let Some(name) = name {
        let site = name.site;
        document.name = Some(Located { value: ResourceName { kind, name: name.value }, site });
    }
    let Some(spec) = spec else { return document };
    let resource_name = document.name.as_ref().map(|name| name.value.name.clone()).unwrap_or_default();
    let spec = match kind {
        Kind::Agency => agency(context, spec, &mut document).map(Spec::Agency),
        Kind::InformationSystem => information_system(context, spec, &mut document).map(Spec::InformationSystem),
        Kind::BaseDatabase => base_database(context, spec, &mut document).map(Spec::BaseDatabase),
        Kind::Resolution => resolution(context, spec, &resource_name, &mut document).map(Spec::Resolution),
        Kind::Revocation => revocation(context, spec).map(Spec::Revocation),
    };
    if context.problems.len() == before {
        document.spec = spec;
    }
    document
}

fn check_api_version(context: Context<'_>, fields: &Fields<'_>) {
    let expected = format!("{API_VERSION:?}");
    if let Some(version) = fields.text("apiVersion", &expected)
        && version.value != API_VERSION
    {
        context.problems.add(version.site, format!("unknown apiVersion {:?}; expected {expected}", version.value));
    }
}

fn kind_of(context: Context<'_>, fields: &Fields<'_>) -> Option<Kind> {
    let words = Kind::ALL.map(Kind::as_str);
    let found = fields.text("kind", &format!("one of {}", words.join(", ")))?;
    let kind = Kind::of(&found.value);
    if kind.is_none() {
        let hint = text::nearest(&found.value, words).map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
        context.problems.add(found.site, format!("unknown kind {:?}; {hint}expected one of {}", found.value, words.join(", ")));
    }
    kind
}

fn grant_name_of(context: Context<'_>, metadata: &Fields<'_>) -> Option<Located<String>> {
    let name = metadata.text("name", "the name of a grant")?;
    let parts = name.value.split('/').collect::<Vec<_>>();
    let sound = parts.len() == 4
        && name.value.chars().count() <= GRANT_NAME_CHARS_MAX
        && clause_problem(parts[1]).is_none()
        && [parts[0], parts[2], parts[3]].iter().all(|part| text::name_problem(part).is_none());
    if !sound {
        let description = format!("{:?} is no name of a grant; expected <resolution>/<clause>/<consumer>/<inquiry>", name.value);
        context.problems.add(name.site, description);
        return None;
    }
    Some(name)
}

fn title(context: Context<'_>, spec: &Fields<'_>) -> Option<Title> {
    let node = spec.required("title", "a map with the fields fa and en")?;
    let fields = Fields::open(context, node, spec.path_of("title"), "a title", &["fa", "en"])?;
    let fa = fields.prose("fa", "the title in Persian", TITLE_CHARS_MAX);
    let en = fields.prose("en", "the title in English", TITLE_CHARS_MAX);
    Some(Title { fa: fa?, en: en? })
}

fn refer(document: &mut Document, kind: Kind, name: &Located<String>) {
    let to = ResourceName { kind, name: name.value.clone() };
    document.references.push(Reference { to, site: name.site.clone() });
}

fn agency(context: Context<'_>, spec: &Node, document: &mut Document) -> Option<Agency> {
    let fields = Fields::open(context, spec, "spec".into(), "an Agency's spec", &["title", "roles", "partOf"])?;
    let title = title(context, &fields);
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
        refer(document, Kind::Agency, whole);
    }
    Some(Agency { title: title?, roles, part_of: part_of.map(|whole| whole.value) })
}

fn information_system(context: Context<'_>, spec: &Node, document: &mut Document) -> Option<InformationSystem> {
    let fields = Fields::open(context, spec, "spec".into(), "an InformationSystem's spec", &["title", "agency"])?;
    let title = title(context, &fields);
    let agency = fields.name("agency", "the name of the agency that runs it")?;
    refer(document, Kind::Agency, &agency);
    Some(InformationSystem { title: title?, agency: agency.value })
}

fn base_database(context: Context<'_>, spec: &Node, document: &mut Document) -> Option<BaseDatabase> {
    let known = ["title", "custodian", "classification"];
    let fields = Fields::open(context, spec, "spec".into(), "a BaseDatabase's spec", &known)?;
    let title = title(context, &fields);
    let custodian = fields.name_optional("custodian", "the name of an agency");
    if let Some(Some(custodian)) = &custodian {
        refer(document, Kind::Agency, custodian);
    }
    let words = CLASSIFICATIONS.map(|class| class.as_str());
    let expected = format!("one of {}", words.join(", "));
    let found = fields.text("classification", &expected)?;
    let Some(classification) = classification_of(&found.value) else {
        let hint = text::suggestion(&found.value, words);
        context.problems.add(found.site, format!("unknown classification {:?}; expected {expected}{hint}", found.value));
        return None;
    };
    Some(BaseDatabase { title: title?, custodian: custodian?.map(|custodian| custodian.value), classification })
}

fn resolution(context: Context<'_>, spec: &Node, name: &str, document: &mut Document) -> Option<Resolution> {
    let known = ["title", "session", "date", "supersedes", "sealedUntil", "grants"];
    let fields = Fields::open(context, spec, "spec".into(), "a Resolution's spec", &known)?;
    let title = title(context, &fields);
    let session = fields.number("session", 1..=SESSION_MAX);
    let date = fields.text("date", "a date, such as 1401-10-20").and_then(|found| match Day::parse(&found.value) {
        Ok(day) => Some(day),
        Err(description) => {
            context.problems.add(found.site, description);
            None
        }
    });
    let supersedes = fields.names("supersedes", "names of resolutions", false);
    for other in supersedes.iter().flatten() {
        refer(document, Kind::Resolution, other);
    }
    let sealed_until = moment(context, &fields, "sealedUntil");
    let mut seen = GrantsSeen { resolution: name, names: HashMap::new() };
    let mut grants = Vec::new();
    let mut expanded = 0_usize;
    for (index, node) in fields.list_optional("grants", "grants").unwrap_or_default().iter().enumerate() {
        let path = format!("spec.grants[{index}]");
        let Some((clause, places)) = grant_clause(context, node, path.clone(), document) else { continue };
        expanded = expanded.saturating_add(clause.consumers.len().saturating_mul(clause.inquiries.len()));
        if expanded > RESOLUTION_GRANTS_MAX {
            let description = format!("the resolution makes more than {RESOLUTION_GRANTS_MAX} grants; split it");
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

fn clause_problem(clause: &str) -> Option<String> {
    let sound = !clause.is_empty()
        && clause.len() <= CLAUSE_CHARS_MAX
        && clause.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    (!sound).then(|| {
        format!("{clause:?} is no clause; expected at most {CLAUSE_CHARS_MAX} letters, digits, dots and hyphens, such as \"3.2\"")
    })
}

fn grant_clause(
    context: Context<'_>,
    node: &Node,
    path: String,
    document: &mut Document,
) -> Option<(GrantClause, Vec<Located<String>>)> {
    let known = ["clause", "consumers", "inquiries", "provider", "notBefore", "notAfter", "inForce", "purposeRequired", "note"];
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
    let not_before = moment(context, &fields, "notBefore");
    let not_after = moment(context, &fields, "notAfter");
    if let (Some(Some((before, _))), Some(Some((after, site)))) = (&not_before, &not_after)
        && after.last_unix_ms() <= before.first_unix_ms()
    {
        context
            .problems
            .add(site.clone(), format!("notAfter {after} is before notBefore {before}; the grant would never be in force"));
    }
    let in_force = fields.truth("inForce", true);
    let purpose_required = fields.truth("purposeRequired", false);
    let note = fields.prose_optional("note", NOTE_CHARS_MAX);
    for agency in consumers.iter().flatten().chain(provider.iter().flatten()) {
        refer(document, Kind::Agency, agency);
    }
    let provider_name = provider.as_ref().and_then(|found| found.as_ref()).map(|found| found.value.clone());
    for inquiry in inquiries.iter().flatten() {
        let reference =
            InquiryReference { inquiry: inquiry.value.clone(), provider: provider_name.clone(), site: inquiry.site.clone() };
        document.inquiries.push(reference);
    }
    let sorted = |found: &[Located<String>]| {
        let mut names: Vec<String> = found.iter().map(|name| name.value.clone()).collect();
        names.sort_unstable();
        names
    };
    let (consumers, inquiries) = (consumers?, inquiries?);
    let grant = GrantClause {
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

#[allow(clippy::option_option)] // Absent and wrong are two things.
fn moment(context: Context<'_>, fields: &Fields<'_>, name: &str) -> Option<Option<(Moment, Site)>> {
    let expected = "a date, such as 1402-06-31, or an RFC 3339 date and time";
    let Some(found) = fields.text_optional(name, expected)? else { return Some(None) };
    match Moment::parse(&found.value) {
        Ok(moment) => Some(Some((moment, found.site))),
        Err(description) => {
            context.problems.add(found.site, description);
            None
        }
    }
}

fn revocation(context: Context<'_>, spec: &Node) -> Option<Revocation> {
    let fields = Fields::open(context, spec, "spec".into(), "a Revocation's spec", &["at", "reason"])?;
    let at = moment(context, &fields, "at").flatten();
    if at.is_none() && fields.optional("at").is_none() {
        fields.required("at", "an RFC 3339 date and time");
    }
    let reason = fields.prose("reason", "why the grant was revoked", NOTE_CHARS_MAX);
    Some(Revocation { at: at?.0, reason: reason? })
}
