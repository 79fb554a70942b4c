//! Turns the tree of one document into a resource, keeping the places of all names that it refers to.

use super::{
    API_VERSION,
    fields::{Context, Fields, Located},
    kind::{Kind, Mentioned, ResourceName, Spec},
    text,
    tree::Node,
};

/// One document as far as it could be read.
#[derive(Debug)]
pub(super) struct Document {
    /// None when even its kind or name could not be read.
    pub(super) name: Option<Located<ResourceName>>,
    /// None when something is wrong with it.
    pub(super) spec: Option<Spec>,
    pub(super) mentioned: Mentioned,
}

pub(super) fn document(context: Context<'_>, node: &Node) -> Document {
    let mut document = Document { name: None, spec: None, mentioned: Mentioned::default() };
    let before = context.problems.len();
    let known = ["apiVersion", "kind", "metadata", "spec"];
    let Some(fields) = Fields::open(context, node, String::new(), "a resource", &known) else { return document };
    check_api_version(context, &fields);
    let kind = kind_of(context, &fields);
    let name = fields
        .required("metadata", "a map with the field name")
        .and_then(|metadata| Fields::open(context, metadata, "metadata".into(), "metadata", &["name"]))
        .and_then(|metadata| match kind {
            Some(kind) => kind.read_name(context, &metadata),
            None => metadata.name("name", "a kebab-case name"),
        });
    let spec = fields.required("spec", "a map");
    let Some(kind) = kind else { return document };
    if let Some(name) = name {
        let site = name.site;
        document.name = Some(Located { value: ResourceName { kind, name: name.value }, site });
    }
    let Some(spec) = spec else { return document };
    let resource_name = document.name.as_ref().map(|name| name.value.name.clone()).unwrap_or_default();
    let spec = kind.read(context, spec, &resource_name, &mut document.mentioned);
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
    let kind = Kind::from_word(&found.value);
    if kind.is_none() {
        let hint = text::nearest(&found.value, words).map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
        context.problems.add(found.site, format!("unknown kind {:?}; {hint}expected one of {}", found.value, words.join(", ")));
    }
    kind
}
