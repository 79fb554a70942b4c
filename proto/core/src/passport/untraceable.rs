//! What keeps a sidecar from telling whom every request of an inquiry is about, though its passport marks the fields that say so.

use std::collections::{HashMap, HashSet};

use prost_reflect::{FieldDescriptor, MessageDescriptor, MethodDescriptor};

use super::schema::{self, ItemLabel};

const SEVERAL_MESSAGES: &str = "it sends several messages that name the data subject, of which sidecars read the first; send one";
const SEVERAL_MEMBERS: &str = "several members of this oneof name the data subject, of which servers read the last; mark one";
const RECURS: &str =
    "a message that contains itself names the data subject, at no depth that a passport could name; mark a field outside";

/// Each element that is at fault, and why. Takes time in proportion to the document, which a stranger wrote.
pub(super) fn of(method: &MethodDescriptor, labels: &HashMap<String, ItemLabel>) -> Vec<(String, &'static str)> {
    let request = method.input();
    let messages = reached(&request);
    let naming = naming(&messages, labels);
    let mut found = Vec::new();
    if !naming.contains(request.full_name()) {
        return found;
    }
    if method.is_client_streaming() {
        found.push((method.full_name().to_owned(), SEVERAL_MESSAGES));
    }
    let names = |field: &FieldDescriptor| {
        is_marked(field, labels) || within(field).is_some_and(|inner| naming.contains(inner.full_name()))
    };
    for oneof in messages.iter().flat_map(|message| message.oneofs()).filter(|oneof| !oneof.is_synthetic()) {
        if oneof.fields().filter(names).count() > 1 {
            found.push((oneof.full_name().to_owned(), SEVERAL_MEMBERS));
        }
    }
    found.extend(recurring(&messages, &naming).map(|message| (message, RECURS)));
    found
}

fn is_marked(field: &FieldDescriptor, labels: &HashMap<String, ItemLabel>) -> bool {
    labels.get(field.full_name()).is_some_and(|label| label.subject.is_some())
}

fn within(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    schema::message_within(field).filter(|inner| !schema::is_leaf(inner))
}

/// `message`, and all messages within it, each once.
fn reached(message: &MessageDescriptor) -> Vec<MessageDescriptor> {
    let mut all = vec![message.clone()];
    let mut seen = HashSet::from([message.full_name().to_owned()]);
    let mut at = 0;
    while let Some(next) = all.get(at).cloned() {
        at += 1;
        let inner = next.fields().filter_map(|field| within(&field));
        all.extend(inner.filter(|inner| seen.insert(inner.full_name().to_owned())));
    }
    all
}

/// Those of `messages` in which, or in a message within which, a field is marked.
fn naming(messages: &[MessageDescriptor], labels: &HashMap<String, ItemLabel>) -> HashSet<String> {
    let mut holders: HashMap<String, Vec<String>> = HashMap::new();
    for message in messages {
        for inner in message.fields().filter_map(|field| within(&field)) {
            holders.entry(inner.full_name().to_owned()).or_default().push(message.full_name().to_owned());
        }
    }
    let marked = messages.iter().filter(|message| message.fields().any(|field| is_marked(&field, labels)));
    let mut left: Vec<String> = marked.map(|message| message.full_name().to_owned()).collect();
    let mut naming = HashSet::new();
    while let Some(name) = left.pop() {
        if naming.insert(name.clone()) {
            left.extend(holders.remove(&name).unwrap_or_default());
        }
    }
    naming
}

/// The first of the `naming` messages that contains itself, or lies within one that does.
fn recurring(messages: &[MessageDescriptor], naming: &HashSet<String>) -> Option<String> {
    let inner = |message: &MessageDescriptor| {
        let all = message.fields().filter_map(|field| within(&field)).map(|inner| inner.full_name().to_owned());
        all.filter(|name| naming.contains(name)).collect::<Vec<_>>()
    };
    let below: HashMap<&str, Vec<String>> =
        messages.iter().filter(|m| naming.contains(m.full_name())).map(|message| (message.full_name(), inner(message))).collect();
    let mut holders: HashMap<&str, usize> = HashMap::new();
    for name in below.values().flatten() {
        *holders.entry(name).or_default() += 1;
    }
    // Messages that nothing holds are taken away until none is left, or each of those left is held by another.
    let mut free: Vec<&str> = below.keys().copied().filter(|name| !holders.contains_key(name)).collect();
    while let Some(name) = free.pop() {
        for inner in below.get(name).into_iter().flatten() {
            let count = holders.get_mut(inner.as_str())?;
            *count -= 1;
            if *count == 0 {
                holders.remove(inner.as_str());
                free.push(inner);
            }
        }
    }
    // In the order of the document, so that the same passport is refused in the same words.
    messages.iter().map(MessageDescriptor::full_name).find(|name| holders.contains_key(name)).map(ToOwned::to_owned)
}
