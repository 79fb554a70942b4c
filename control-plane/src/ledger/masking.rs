//! Hides whom a call is about from those who may not know: they learn that it is about somebody, and not about whom.

use opentelemetry_proto::tonic::trace::v1::Span;

use super::span::{StoredSpan, text};

/// Attributes of the subject begin so: number of the key, and hash.
const SUBJECT: &str = "chapar.subject.";

/// What a later release may have added to a record: nobody here can tell whether it says whom the call is about.
const FURTHER: &str = "chapar.record.further";

/// What is told in their place, and how.
const MASK: &str = "chapar.subject";
const MASKED: &str = "masked";

fn is_hidden(key: &str) -> bool {
    key.starts_with(SUBJECT) || key == FURTHER
}

/// Leaves out of a span whom it is about.
pub(super) fn mask(span: &mut Span) {
    let about_somebody = span.attributes.iter().any(|attribute| attribute.key.starts_with(SUBJECT));
    span.attributes.retain(|attribute| !is_hidden(&attribute.key) && attribute.key != MASK);
    if about_somebody {
        span.attributes.push(text(MASK, MASKED.to_owned()));
    }
}

impl StoredSpan {
    /// The same, without whom it is about.
    #[must_use]
    pub fn masked(mut self) -> Self {
        let about_somebody = self.attributes.keys().any(|key| key.starts_with(SUBJECT));
        self.attributes.retain(|key, _| !is_hidden(key) && key != MASK);
        if about_somebody {
            self.attributes.insert(MASK.to_owned(), MASKED.to_owned());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_to_be_about_somebody_and_not_about_whom() {
        let mut span = Span::default();
        for key in ["chapar.call_id", "chapar.subject.key", "chapar.subject.hash", "chapar.record.further"] {
            span.attributes.push(text(key, "5cbcded3".into()));
        }
        mask(&mut span);
        let told = |span: &Span| span.attributes.iter().map(|attribute| attribute.key.clone()).collect::<Vec<_>>();
        assert_eq!(told(&span), ["chapar.call_id", "chapar.subject"]);
        let stored = StoredSpan::new(span, "r".into()).masked();
        assert_eq!(stored.attributes.len(), 1, "{:?}", stored.attributes);
        let mut nobody = Span { attributes: vec![text("chapar.call_id", "1".into())], ..Span::default() };
        mask(&mut nobody);
        assert_eq!(told(&nobody), ["chapar.call_id"]);
    }
}
