//! Takes a map apart field by field and notes everything that is wrong with it on the way.

use std::rc::Rc;

use super::{
    problem::{Place, Problems, Site},
    text,
    tree::{Entry, Node, Value},
};
use chapar_core::time::Moment;

/// What every field is read with: the file's index, and where problems go.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) file: usize,
    pub(super) problems: &'a Problems,
}

impl Context<'_> {
    pub(super) fn site(&self, place: Place, path: &str) -> Site {
        Site { file: self.file, place, path: path.to_owned() }
    }

    pub(super) fn wrong(&self, place: Place, path: &str, description: impl Into<String>) {
        self.problems.add(self.site(place, path), description);
    }
}

/// A map of known fields.
pub(super) struct Fields<'a> {
    context: Context<'a>,
    place: Place,
    path: String,
    entries: &'a [Entry],
}

/// A value with its site, so that a later check can point at it.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) site: Site,
}

impl<'a> Fields<'a> {
    /// Opens a map. Unknown fields are noted at once. None, noted, when it is no map.
    pub(super) fn open(context: Context<'a>, node: &'a Node, path: String, what: &str, known: &[&str]) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let found = describe(node);
            context.wrong(
                node.place,
                &path,
                format!("expected a map with the fields of {what} ({}), found {found}", known.join(", ")),
            );
            return None;
        };
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let hint = text::suggestion(&entry.key, known.iter().copied());
                let description = format!("unknown field {:?} in {what}, which has {}{hint}", entry.key, known.join(", "));
                context.wrong(entry.key_place, &join(&path, &entry.key), description);
            }
        }
        Some(Self { context, place: node.place, path, entries })
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// A field's value; None when it is absent or null.
    pub(super) fn optional(&self, name: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        (!entry.node.is_null()).then_some(&*entry.node)
    }

    /// A field's value; its absence is noted.
    pub(super) fn required(&self, name: &str, expected: &str) -> Option<&'a Node> {
        let node = self.optional(name);
        if node.is_none() {
            let place = self.entries.iter().find(|entry| entry.key == name).map_or(self.place, |entry| entry.key_place);
            self.context.wrong(place, &self.path_of(name), format!("the field is missing; expected {expected}"));
        }
        node
    }

    /// A required text.
    pub(super) fn text(&self, name: &str, expected: &str) -> Option<Located<String>> {
        text_of(self.context, self.required(name, expected)?, &self.path_of(name), expected)
    }

    /// A text that may be absent. The outer None: it is there and wrong.
    #[allow(clippy::option_option)] // Absent and wrong are two things, and only the latter stops the resource.
    pub(super) fn text_optional(&self, name: &str, expected: &str) -> Option<Option<Located<String>>> {
        match self.optional(name) {
            None => Some(None),
            Some(node) => text_of(self.context, node, &self.path_of(name), expected).map(Some),
        }
    }

    /// A kebab-case name.
    pub(super) fn name(&self, name: &str, expected: &str) -> Option<Located<String>> {
        checked_name(self.context, self.text(name, expected)?)
    }

    /// A kebab-case name that may be absent. The outer None: it is there and wrong.
    #[allow(clippy::option_option)]
    pub(super) fn name_optional(&self, name: &str, expected: &str) -> Option<Option<Located<String>>> {
        match self.text_optional(name, expected)? {
            None => Some(None),
            Some(found) => checked_name(self.context, found).map(Some),
        }
    }

    /// A text for people that may be absent, of so many characters at most.
    #[allow(clippy::option_option)]
    pub(super) fn prose_optional(&self, name: &str, chars_max: usize) -> Option<Option<String>> {
        match self.text_optional(name, "a text")? {
            None => Some(None),
            Some(found) => checked_prose(self.context, found, chars_max).map(Some),
        }
    }

    /// A text for people of so many characters at most.
    pub(super) fn prose(&self, name: &str, expected: &str, chars_max: usize) -> Option<String> {
        checked_prose(self.context, self.text(name, expected)?, chars_max)
    }

    /// A date or an instant that may be absent, with its site. The outer None: it is there and wrong.
    #[allow(clippy::option_option)]
    pub(super) fn moment(&self, name: &str) -> Option<Option<(Moment, Site)>> {
        let expected = "a date, such as 1402-06-31, or an RFC 3339 date and time";
        let Some(found) = self.text_optional(name, expected)? else { return Some(None) };
        match Moment::parse(&found.value) {
            Ok(moment) => Some(Some((moment, found.site))),
            Err(description) => {
                self.context.problems.add(found.site, description.to_string());
                None
            }
        }
    }

    /// `true` or `false`; `otherwise` when absent.
    pub(super) fn truth(&self, name: &str, otherwise: bool) -> Option<bool> {
        let Some(node) = self.optional(name) else { return Some(otherwise) };
        match &node.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.context.wrong(node.place, &self.path_of(name), format!("expected true or false, found {}", describe(node)));
                None
            }
        }
    }

    /// A whole number in a range.
    pub(super) fn number(&self, name: &str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let node = self.required(name, &expected)?;
        if let Value::Scalar { text, plain: true } = &node.value
            && let Ok(number) = text.parse::<u32>()
            && range.contains(&number)
            && !text.starts_with('+')
        {
            return Some(number);
        }
        self.context.wrong(node.place, &self.path_of(name), format!("expected {expected}, found {}", describe(node)));
        None
    }

    /// The values of a list; empty when absent. The outer None: it is no list.
    pub(super) fn list_optional(&self, name: &str, of: &str) -> Option<&'a [Rc<Node>]> {
        let Some(node) = self.optional(name) else { return Some(&[]) };
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                self.context.wrong(node.place, &self.path_of(name), format!("expected a list of {of}, found {}", describe(node)));
                None
            }
        }
    }

    /// Kebab-case names, each at most once. `required`: at least one.
    pub(super) fn names(&self, name: &str, of: &str, required: bool) -> Option<Vec<Located<String>>> {
        if required {
            self.required(name, &format!("a list of {of}"))?;
        }
        let items = self.list_optional(name, of)?;
        if required && items.is_empty() {
            let place = self.optional(name).map_or(self.place, |node| node.place);
            self.context.wrong(place, &self.path_of(name), format!("the list is empty; expected one or more {of}"));
            return None;
        }
        let mut whole = true;
        let mut seen = std::collections::HashMap::new();
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(name));
            let found = text_of(self.context, item, &path, "a name").and_then(|found| checked_name(self.context, found));
            let Some(found) = found else {
                whole = false;
                continue;
            };
            if let Some(first) = seen.insert(found.value.clone(), item.place) {
                self.context.wrong(
                    item.place,
                    &path,
                    format!("{:?} stands twice in the list, first on line {}", found.value, first.line),
                );
                whole = false;
            }
            names.push(found);
        }
        whole.then_some(names)
    }
}

fn checked_name(context: Context<'_>, found: Located<String>) -> Option<Located<String>> {
    match text::name_problem(&found.value) {
        None => Some(found),
        Some(description) => {
            context.problems.add(found.site, description);
            None
        }
    }
}

fn checked_prose(context: Context<'_>, found: Located<String>, chars_max: usize) -> Option<String> {
    match text::prose_problem(&found.value, chars_max) {
        None => Some(found.value),
        Some(description) => {
            context.problems.add(found.site, description);
            None
        }
    }
}

/// A scalar as text. A bare number, truth value or null is no text: what YAML makes of it may not be what was meant.
pub(super) fn text_of(context: Context<'_>, node: &Node, path: &str, expected: &str) -> Option<Located<String>> {
    match &node.value {
        Value::Scalar { text, plain } if !plain || is_text(text) => {
            Some(Located { value: text.clone(), site: context.site(node.place, path) })
        }
        Value::Scalar { text, .. } if !text.is_empty() => {
            context.wrong(
                node.place,
                path,
                format!("expected {expected}, found {}; write \"{text}\" in quotes if that is meant", describe(node)),
            );
            None
        }
        _ => {
            context.wrong(node.place, path, format!("expected {expected}, found {}", describe(node)));
            None
        }
    }
}

/// What YAML 1.2's core schema does not read as null, truth value or number.
pub(super) fn is_text(plain: &str) -> bool {
    let null = matches!(plain, "" | "~" | "null" | "Null" | "NULL");
    let truth = matches!(plain, "true" | "True" | "TRUE" | "false" | "False" | "FALSE");
    !(null || truth || is_number(plain))
}

fn is_number(plain: &str) -> bool {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let based = |prefix: &str, radix: u32| {
        unsigned.strip_prefix(prefix).is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)))
    };
    let special = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(plain, ".nan" | ".NaN" | ".NAN");
    let starts_as_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    special || based("0x", 16) || based("0o", 8) || (starts_as_number && unsigned.parse::<f64>().is_ok())
}

/// A value in words, cut short.
pub(super) fn describe(node: &Node) -> String {
    const CHARS_MAX: usize = 40;
    match &node.value {
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a map".into(),
        Value::Scalar { .. } if node.is_null() => "nothing".into(),
        Value::Scalar { text, plain } => {
            let mut short: String = text.chars().take(CHARS_MAX).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            match (plain, is_number(text), is_text(text)) {
                (true, true, _) => format!("the number {short}"),
                (true, false, false) => format!("the truth value {short}"),
                _ => format!("the text {short:?}"),
            }
        }
    }
}

fn join(path: &str, name: &str) -> String {
    const CHARS_MAX: usize = 80;
    let name: String = name.chars().take(CHARS_MAX).collect();
    if path.is_empty() { name } else { format!("{path}.{name}") }
}
