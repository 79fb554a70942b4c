//! The lines of a resource's canonical form.

use super::fields::is_text;

/// Writes fields line by line, two blanks a depth.
#[derive(Debug, Default)]
pub(super) struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    pub(super) fn line(&mut self, text: &str) {
        self.text.extend(std::iter::repeat_n("  ", self.depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    pub(super) fn bare(&mut self, name: &str, value: &str) {
        self.line(&format!("{name}: {value}"));
    }

    pub(super) fn field(&mut self, name: &str, value: &str) {
        self.bare(name, &scalar(value));
    }

    pub(super) fn field_optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// One line an item, so that a diff shows the item that came or went. Nothing at all for an empty list.
    pub(super) fn list<'a>(&mut self, name: &str, items: impl Iterator<Item = &'a str>) {
        for (index, item) in items.enumerate() {
            if index == 0 {
                self.line(&format!("{name}:"));
            }
            self.line(&format!("  - {}", scalar(item)));
        }
    }

    /// An item of a list that is a map: its first field, then the others.
    pub(super) fn item(&mut self, name: &str, value: &str, fill: impl FnOnce(&mut Self)) {
        self.depth += 1;
        self.line(&format!("- {name}: {}", scalar(value)));
        self.depth += 1;
        fill(self);
        self.depth -= 2;
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn map(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
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
