//! Base databases.

use chapar_core::passport::Classification;
use serde::{Deserialize, Serialize};

use super::{Described, Kind, Mentioned, ResourceName};
use crate::resources::{
    fields::{Context, Fields},
    text,
    title::Title,
    tree::Node,
    writer::Writer,
};

/// An official register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseDatabase {
    /// Its name in both languages.
    pub title: Title,
    /// The agency that keeps it. None: open until a resolution sets it.
    pub custodian: Option<String>,
    /// Of the register as a whole; a service on it is never less.
    #[serde(with = "classification_word")]
    pub classification: Classification,
}

/// All classifications, the least harmful first.
const CLASSIFICATIONS: [Classification; 4] =
    [Classification::Ordinary, Classification::Personal, Classification::Sensitive, Classification::Classified];

/// The classification of this word.
pub fn classification_of(word: &str) -> Option<Classification> {
    CLASSIFICATIONS.into_iter().find(|classification| classification.as_str() == word)
}

/// A classification is stored as its word.
mod classification_word {
    use chapar_core::passport::Classification;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature.
    pub(super) fn serialize<S: Serializer>(value: &Classification, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Classification, D::Error> {
        let word = String::deserialize(deserializer)?;
        super::classification_of(&word).ok_or_else(|| D::Error::custom(format!("unknown classification {word:?}")))
    }
}

impl Described for BaseDatabase {
    const CALLED: &'static str = "base database";

    fn read(context: Context<'_>, spec: &Node, _name: &str, mentioned: &mut Mentioned) -> Option<Self> {
        let known = ["title", "custodian", "classification"];
        let fields = Fields::open(context, spec, "spec".into(), "a BaseDatabase's spec", &known)?;
        let title = Title::read(context, &fields);
        let custodian = fields.name_optional("custodian", "the name of an agency");
        if let Some(Some(custodian)) = &custodian {
            mentioned.refer(Kind::Agency, custodian);
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

    fn write(&self, out: &mut Writer) {
        self.title.write(out);
        out.field_optional("custodian", self.custodian.as_deref());
        out.field("classification", self.classification.as_str());
    }

    fn refers_to(&self) -> Vec<ResourceName> {
        self.custodian.iter().map(|custodian| ResourceName::new(Kind::Agency, custodian)).collect()
    }
}
