//! The one way in which the exchange writes a resource: YAML that can be applied again and compared line by line.

use super::{
    API_VERSION,
    kind::{ResourceName, Spec},
    writer::Writer,
};

/// A resource as canonical YAML, one document without separator.
pub fn yaml(name: &ResourceName, spec: &Spec) -> String {
    let mut out = Writer::default();
    out.field("apiVersion", API_VERSION);
    out.field("kind", name.kind.as_str());
    out.map("metadata", |out| out.field("name", &name.name));
    out.map("spec", |out| spec.write(out));
    out.into_text()
}

/// Many resources as one text that can be applied.
pub fn yaml_all<'a>(resources: impl IntoIterator<Item = (&'a ResourceName, &'a Spec)>) -> String {
    resources.into_iter().map(|(name, spec)| format!("---\n{}", yaml(name, spec))).collect()
}
