//! Titles: the same words in the two languages of the exchange.

use serde::{Deserialize, Serialize};

use super::{
    fields::{Context, Fields},
    writer::Writer,
};

/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 256;

/// The same words in the two languages of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    /// Persian.
    pub fa: String,
    /// English.
    pub en: String,
}

impl Title {
    pub(super) fn read(context: Context<'_>, spec: &Fields<'_>) -> Option<Self> {
        let node = spec.required("title", "a map with the fields fa and en")?;
        let fields = Fields::open(context, node, spec.path_of("title"), "a title", &["fa", "en"])?;
        let fa = fields.prose("fa", "the title in Persian", TITLE_CHARS_MAX);
        let en = fields.prose("en", "the title in English", TITLE_CHARS_MAX);
        Some(Self { fa: fa?, en: en? })
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.map("title", |out| {
            out.field("fa", &self.fa);
            out.field("en", &self.en);
        });
    }
}
