//! Information systems.

use serde::{Deserialize, Serialize};

use super::{Described, Kind, Mentioned, ResourceName};
use crate::resources::{
    fields::{Context, Fields},
    title::Title,
    tree::Node,
    writer::Writer,
};

/// A system that runs services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InformationSystem {
    /// Its name in both languages.
    pub title: Title,
    /// Whose it is.
    pub agency: String,
}

impl Described for InformationSystem {
    const CALLED: &'static str = "information system";

    fn read(context: Context<'_>, spec: &Node, _name: &str, mentioned: &mut Mentioned) -> Option<Self> {
        let fields = Fields::open(context, spec, "spec".into(), "an InformationSystem's spec", &["title", "agency"])?;
        let title = Title::read(context, &fields);
        let agency = fields.name("agency", "the name of the agency that runs it")?;
        mentioned.refer(Kind::Agency, &agency);
        Some(InformationSystem { title: title?, agency: agency.value })
    }

    fn write(&self, out: &mut Writer) {
        self.title.write(out);
        out.field("agency", &self.agency);
    }

    fn refers_to(&self) -> Vec<ResourceName> {
        vec![ResourceName::new(Kind::Agency, &self.agency)]
    }
}
