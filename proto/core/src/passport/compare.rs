//! What a new passport changes in an old one, and which changes break those who rely on the old one.
//!
//! A change breaks when a consumer built against the old passport no longer understands the provider, on the wire or in
//! JSON, or when data may get out, or a data subject go unnamed, in a way that the working group did not approve.

mod enumeration;
mod field;
mod message;

use std::collections::HashSet;

use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use super::{
    Inquiry, Passport, ServicePassport,
    label::{Classification, Title},
    schema::Labels,
};

/// One difference between two passports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// Full protobuf name of the element that changed: its old name, or the new one of what was added.
    pub element: String,
    /// One sentence in English, without the element's name and without a full stop.
    pub description: String,
    /// Who relies on the old passport no longer works, or data gets out that was not approved.
    pub breaking: bool,
}

/// What `new` changes in `old`: the passports of one service. In the order of the old one; additions follow what they
/// were added to. Equal passports have no changes.
#[must_use]
pub fn compare(old: &ServicePassport, new: &ServicePassport) -> Vec<Change> {
    let mut changes = Changes::default();
    if old.grpc_service == new.grpc_service {
        Comparison::new(old, new).service(&mut changes);
    } else {
        // Every call names the service: nothing else about the two can be compared usefully.
        let description = format!("was renamed to {}: calls to the old name find nothing", new.grpc_service);
        changes.breaks(&old.grpc_service, description);
    }
    changes.list
}

/// What `new` changes in `old`, service by service; a service that only one of them describes is a change itself.
#[must_use]
pub fn compare_sets(old: &Passport, new: &Passport) -> Vec<Change> {
    let mut changes = Changes::default();
    for service in old.services() {
        match new.service(&service.grpc_service) {
            Some(other) => changes.list.extend(compare(service, other)),
            None => changes.breaks(&service.grpc_service, "was removed: calls to it find nothing"),
        }
    }
    for service in new.services() {
        if old.service(&service.grpc_service).is_none() {
            changes.notes(&service.grpc_service, "was added");
        }
    }
    changes.list
}

/// Whether a message goes to the provider or comes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Request,
    Response,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// Differences found so far, each once.
#[derive(Debug, Default)]
struct Changes {
    list: Vec<Change>,
    seen: HashSet<Change>,
}

impl Changes {
    fn breaks(&mut self, element: &str, description: impl Into<String>) {
        self.add(element, description.into(), true);
    }

    fn notes(&mut self, element: &str, description: impl Into<String>) {
        self.add(element, description.into(), false);
    }

    fn add(&mut self, element: &str, description: String, breaking: bool) {
        let change = Change { element: element.to_owned(), description, breaking };
        if self.seen.insert(change.clone()) {
            self.list.push(change);
        }
    }

    /// A title explains; nobody's program depends on it.
    fn title(&mut self, element: &str, old: &Title, new: &Title) {
        if old != new {
            self.notes(element, format!("its title changed from “{old}” to “{new}”"));
        }
    }

    /// Lowering lets data out that was approved only under more protection; a classified thing is never granted.
    fn classification(&mut self, element: &str, old: Classification, new: Classification) {
        if new < old {
            let description =
                format!("its classification was lowered from {old} to {new}: data may get out that was not approved");
            self.breaks(element, description);
        } else if new > old && new == Classification::Classified {
            self.breaks(element, format!("its classification was raised from {old} to {new}: it can no longer be granted"));
        } else if new > old {
            self.notes(element, format!("its classification was raised from {old} to {new}"));
        }
    }
}

/// Two passports of one service, and the messages that were compared already.
struct Comparison<'a> {
    old: &'a ServicePassport,
    new: &'a ServicePassport,
    /// Messages and enums by full name, with their role.
    compared: HashSet<(String, Role)>,
}

impl<'a> Comparison<'a> {
    fn new(old: &'a ServicePassport, new: &'a ServicePassport) -> Self {
        Self { old, new, compared: HashSet::new() }
    }

    fn old_labels(&self) -> &'a Labels {
        &self.old.schema.labels
    }

    fn new_labels(&self) -> &'a Labels {
        &self.new.schema.labels
    }

    fn service(&mut self, changes: &mut Changes) {
        let (old, new) = (self.old, self.new);
        let element = &old.grpc_service;
        if old.id != new.id {
            changes.notes(element, format!("its ID changed from “{}” to “{}”", old.id, new.id));
        }
        changes.title(element, &old.title, &new.title);
        if old.base_database != new.base_database {
            let name = |database: &Option<String>| database.clone().unwrap_or_else(|| "none".to_owned());
            let description =
                format!("its base database changed from {} to {}", name(&old.base_database), name(&new.base_database));
            changes.notes(element, description);
        }
        if old.information_system != new.information_system {
            let description =
                format!("its information system changed from {} to {}", old.information_system, new.information_system);
            changes.notes(element, description);
        }
        changes.classification(element, old.classification, new.classification);
        for inquiry in &old.inquiries {
            self.inquiry(changes, inquiry);
        }
        for inquiry in &new.inquiries {
            if !old.inquiries.iter().any(|i| i.method == inquiry.method) {
                let description = format!("was added as the inquiry “{}”: it needs approval and grants", inquiry.id);
                changes.notes(&method_name(new, inquiry), description);
            }
        }
    }

    fn inquiry(&mut self, changes: &mut Changes, old: &Inquiry) {
        let element = method_name(self.old, old);
        let Some(new) = self.new.inquiries.iter().find(|i| i.method == old.method) else {
            let description = match method_of(&self.new.schema.service, &old.method) {
                Some(_) => format!("no longer carries the inquiry “{}”: calls to it are refused", old.id),
                None => format!("was removed, and with it the inquiry “{}”: calls to it are refused", old.id),
            };
            changes.breaks(&element, description);
            return;
        };
        if old.id != new.id {
            let description = format!("its inquiry was renamed from “{}” to “{}”: grants name the old one", old.id, new.id);
            changes.breaks(&element, description);
        }
        changes.title(&element, &old.title, &new.title);
        if old.kind != new.kind {
            let description = format!("its kind changed from {} to {}: grants were given for the old kind", old.kind, new.kind);
            changes.breaks(&element, description);
        }
        for (role, before, after) in [
            (Role::Request, old.client_streaming, new.client_streaming),
            (Role::Response, old.server_streaming, new.server_streaming),
        ] {
            if before != after {
                let form = |streaming: bool| if streaming { "a stream of messages" } else { "a single message" };
                let description = format!("its {} changed from {} to {}", role.as_str(), form(before), form(after));
                changes.breaks(&element, description);
            }
        }
        let methods = (method_of(&self.old.schema.service, &old.method), method_of(&self.new.schema.service, &new.method));
        if let (Some(before), Some(after)) = methods {
            self.document(changes, &element, Role::Request, (before.input(), after.input()));
            self.document(changes, &element, Role::Response, (before.output(), after.output()));
        }
    }
}

fn method_of(service: &ServiceDescriptor, name: &str) -> Option<MethodDescriptor> {
    service.methods().find(|m| m.name() == name)
}

fn method_name(passport: &ServicePassport, inquiry: &Inquiry) -> String {
    format!("{}.{}", passport.grpc_service, inquiry.method)
}
