//! YAML (and so JSON) text as a tree in which every value knows its place. Read with limits, since the text is foreign.

use std::{collections::HashMap, rc::Rc};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, options};

use super::problem::{Place, Problems, Site};

/// Nested lists and maps in one document. Resources need six.
pub(super) const DEPTH_MAX: usize = 32;
/// Values in the files of one request, aliases counted as often as they are used; 8 MiB of text hold fewer honest ones.
pub(super) const VALUES_MAX: usize = 1_000_000;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    /// Values in it, itself included.
    weight: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    /// `plain` is true when it was written without quotes, so that `true`, `12` and `null` are more than text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Rc<Node>,
}

impl Node {
    /// True for `null`, `~` and nothing at all.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads every document of a text. What is broken is noted, and reading resumes at the next document.
/// The second value is false when a document was given up.
pub(super) fn read(file: usize, text: &str, values_left: &mut usize, problems: &Problems) -> (Vec<Rc<Node>>, bool) {
    let mut composer =
        Composer { file, problems, values_left, frames: Vec::new(), anchors: HashMap::new(), documents: Vec::new(), whole: true };
    let limits = options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        disallow_directives: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut parser = Parser::new_from_str_with_options(text, limits);
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => {
                if composer.take(&event, &span).is_err() {
                    // The request holds too many values: nothing further is worth reading.
                    composer.whole = false;
                    break;
                }
            }
            Some(Err(error)) => {
                composer.give_up(&error);
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    (composer.documents, composer.whole)
}

enum Frame {
    List { place: Place, anchor: usize, items: Vec<Rc<Node>> },
    Map { place: Place, anchor: usize, entries: Vec<Entry>, key: Option<(String, Place)>, seen: HashMap<String, Place> },
}

struct Composer<'a> {
    file: usize,
    problems: &'a Problems,
    values_left: &'a mut usize,
    frames: Vec<Frame>,
    /// Finished anchored values; an alias to one that is still open finds nothing, so no value can hold itself.
    anchors: HashMap<usize, Rc<Node>>,
    documents: Vec<Rc<Node>>,
    whole: bool,
}

struct TooMany;

impl Composer<'_> {
    fn take(&mut self, event: &Event<'_>, span: &Span) -> Result<(), TooMany> {
        let place = place(span);
        match event {
            Event::DocumentStart(..) => {
                self.frames.clear();
                self.anchors.clear();
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                let value = Value::Scalar { text: text.to_string(), plain: *style == ScalarStyle::Plain };
                self.add(Rc::new(Node { place, value, weight: 1 }), *anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                self.count(1, place)?;
                self.frames.push(Frame::List { place, anchor: *anchor, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                self.count(1, place)?;
                let (entries, seen) = (Vec::new(), HashMap::new());
                self.frames.push(Frame::Map { place, anchor: *anchor, entries, key: None, seen });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(id) => match self.anchors.get(id).cloned() {
                Some(node) => self.add(node, 0)?,
                None => self.stand_in(place, "this alias stands inside the value that it names; write the value out")?,
            },
            Event::UnresolvedAlias(name) => {
                self.stand_in(place, &format!("no anchor &{name} stands before this alias *{name} in the document"))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts a null where a value cannot be had, so that the rest of the document is still read.
    fn stand_in(&mut self, place: Place, description: &str) -> Result<(), TooMany> {
        self.note(place, description);
        self.add(Rc::new(Node { place, value: Value::Scalar { text: String::new(), plain: true }, weight: 1 }), 0)
    }

    fn close(&mut self) -> Result<(), TooMany> {
        let (node, anchor) = match self.frames.pop() {
            Some(Frame::List { place, anchor, items }) => {
                let weight = items.iter().fold(1_usize, |sum, item| sum.saturating_add(item.weight));
                (Node { place, value: Value::List(items), weight }, anchor)
            }
            Some(Frame::Map { place, anchor, entries, .. }) => {
                let weight = entries.iter().fold(1_usize, |sum, entry| sum.saturating_add(1 + entry.node.weight));
                (Node { place, value: Value::Map(entries), weight }, anchor)
            }
            None => return Ok(()),
        };
        // Its parts were counted as they came.
        self.place_in_parent(Rc::new(node), anchor);
        Ok(())
    }

    fn add(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), TooMany> {
        self.count(node.weight, node.place)?;
        self.place_in_parent(node, anchor);
        Ok(())
    }

    fn count(&mut self, values: usize, place: Place) -> Result<(), TooMany> {
        let Some(left) = self.values_left.checked_sub(values) else {
            self.note(
                place,
                &format!("the request holds more than {VALUES_MAX} values, aliases counted as often as they are used; split it"),
            );
            return Err(TooMany);
        };
        *self.values_left = left;
        Ok(())
    }

    fn place_in_parent(&mut self, node: Rc<Node>, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.frames.last_mut() {
            None => self.documents.push(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, seen, .. }) => match key.take() {
                Some((key, key_place)) => entries.push(Entry { key, key_place, node }),
                None => {
                    let Value::Scalar { text, .. } = &node.value else {
                        *key = Some((String::new(), node.place));
                        let place = node.place;
                        self.note(place, "a field's name must be text, not a list or a map");
                        return;
                    };
                    *key = Some((text.clone(), node.place));
                    if let Some(first) = seen.insert(text.clone(), node.place) {
                        let description = format!("the field \"{text}\" stands twice in this map, first on line {}", first.line);
                        self.note(node.place, &description);
                    }
                }
            },
        }
    }

    fn refuse_tag(&self, tagged: bool, place: Place) {
        if tagged {
            self.note(place, "YAML tags (!…) are not understood here; leave the tag out");
        }
    }

    fn give_up(&mut self, error: &ScanError) {
        let marker = error.marker();
        let place = Place { line: marker.line().max(1), column: marker.col() + 1 };
        let description = match error.kind() {
            ErrorKind::RecursionLimitExceeded => format!("lists and maps are nested deeper than {DEPTH_MAX} levels"),
            _ => format!("this is not YAML: {}", error.info().replace('\n', " ")),
        };
        self.note(place, &description);
        self.frames.clear();
        self.whole = false;
    }

    fn note(&self, place: Place, description: &str) {
        self.problems.add(Site { file: self.file, place, path: String::new() }, description);
    }
}

fn place(span: &Span) -> Place {
    Place { line: span.start.line().max(1), column: span.start.col() + 1 }
}
