//! Compares exchanged documents and the messages within them.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::{Changes, Comparison, Role};
use crate::passport::schema;

impl Comparison<'_> {
    /// Compares what an inquiry exchanges in one direction.
    pub(super) fn document(
        &mut self,
        changes: &mut Changes,
        method: &str,
        role: Role,
        (old, new): (MessageDescriptor, MessageDescriptor),
    ) {
        if old.full_name() != new.full_name() {
            let description = format!("its {} changed from {} to {}", role.as_str(), old.full_name(), new.full_name());
            changes.breaks(method, description);
            return;
        }
        let titles = (self.old_labels().documents.get(old.full_name()), self.new_labels().documents.get(new.full_name()));
        if let (Some(before), Some(after)) = titles {
            changes.title(old.full_name(), before, after);
        }
        self.message(changes, role, &old, &new);
    }

    /// Compares two messages of the same name, field by field, and what they hold.
    pub(super) fn message(&mut self, changes: &mut Changes, role: Role, old: &MessageDescriptor, new: &MessageDescriptor) {
        if schema::is_leaf(old) || !self.compared.insert((old.full_name().to_owned(), role)) {
            return;
        }
        for field in old.fields() {
            self.old_field(changes, role, &field, new);
        }
        for field in new.fields() {
            let is_new = old.get_field(field.number()).is_none() && old.get_field_by_name(field.name()).is_none();
            if is_new {
                self.added_field(changes, role, old, &field);
            }
        }
        lost_reservations(changes, old, new);
    }

    fn old_field(&mut self, changes: &mut Changes, role: Role, old: &FieldDescriptor, message: &MessageDescriptor) {
        let by_name = message.get_field_by_name(old.name());
        match (message.get_field(old.number()), by_name) {
            (Some(new), _) if new.name() == old.name() => self.same_field(changes, role, old, &new),
            (_, Some(moved)) => {
                let description = format!(
                    "its number changed from {} to {}: old and new programs misread each other",
                    old.number(),
                    moved.number()
                );
                changes.breaks(old.full_name(), description);
            }
            (Some(new), None) => {
                let description = format!("was renamed to {}: programs and JSON texts that use the old name break", new.name());
                changes.breaks(old.full_name(), description);
                self.same_field(changes, role, old, &new);
            }
            (None, None) => self.removed_field(changes, role, old, message),
        }
    }

    fn removed_field(&self, changes: &mut Changes, role: Role, old: &FieldDescriptor, message: &MessageDescriptor) {
        let element = old.full_name();
        let number_is_reserved = message.reserved_ranges().any(|range| range.contains(&old.number()));
        let name_is_reserved = message.reserved_names().any(|name| name == old.name());
        let number = old.number();
        match (number_is_reserved, name_is_reserved) {
            (true, true) => {
                changes.notes(element, format!("was removed from the {}; its number and name are reserved", role.as_str()))
            }
            (true, false) => changes
                .breaks(element, format!("was removed, but its name is not reserved: write `reserved \"{}\";`", old.name())),
            (false, true) => {
                changes.breaks(element, format!("was removed, but its number is not reserved: write `reserved {number};`"))
            }
            (false, false) => changes.breaks(
                element,
                format!(
                    "was removed without reserving its number and name: write `reserved {number}; reserved \"{}\";`",
                    old.name()
                ),
            ),
        }
        let named_a_subject = self.old_labels().items.get(element).is_some_and(|label| label.subject.is_some());
        if role == Role::Request && named_a_subject {
            changes.breaks(
                element,
                "was removed, but it names the data subject: calls could no longer be traced to whom they are about",
            );
        }
    }

    fn added_field(&self, changes: &mut Changes, role: Role, old: &MessageDescriptor, new: &FieldDescriptor) {
        let element = new.full_name();
        let reuses_number = old.reserved_ranges().any(|range| range.contains(&new.number()));
        let reuses_name = old.reserved_names().any(|name| name == new.name());
        if reuses_number {
            changes
                .breaks(element, format!("was added under the number {}, which is reserved for a removed field", new.number()));
        } else if reuses_name {
            changes.breaks(element, "was added under a name that is reserved for a removed field");
        } else if new.is_required() {
            changes.breaks(element, "was added as a required field: messages of older programs are rejected");
        } else {
            let label = self.new_labels().items.get(element);
            let classification = label.and_then(|l| l.classification).unwrap_or(self.new.classification);
            let description = format!("was added to the {} ({classification} data): it needs approval", role.as_str());
            changes.notes(element, description);
        }
    }

    /// Compares what two fields hold, when both hold the same message or the same enum.
    pub(super) fn within(&mut self, changes: &mut Changes, role: Role, old: &FieldDescriptor, new: &FieldDescriptor) {
        let (old, new) = match (schema::map_value(old), schema::map_value(new)) {
            (Some(old_value), Some(new_value)) => (old_value, new_value),
            _ => (old.clone(), new.clone()),
        };
        match (old.kind(), new.kind()) {
            (Kind::Message(before), Kind::Message(after)) if before.full_name() == after.full_name() => {
                self.message(changes, role, &before, &after);
            }
            (Kind::Enum(before), Kind::Enum(after)) if before.full_name() == after.full_name() => {
                self.enumeration(changes, role, &before, &after);
            }
            _ => {}
        }
    }
}

/// A reservation that is gone would let the next passport reuse the number or the name.
fn lost_reservations(changes: &mut Changes, old: &MessageDescriptor, new: &MessageDescriptor) {
    for range in old.reserved_ranges().filter(|range| !range.is_empty()) {
        let is_kept = |number: u32| new.reserved_ranges().any(|r| r.contains(&number)) || new.get_field(number).is_some();
        // Ranges reach to 2^29: only their ends, and the ends of the new ones within, can be uncovered first.
        let ends = new.reserved_ranges().map(|r| r.end).filter(|end| range.contains(end));
        let uncovered = std::iter::once(range.start).chain(ends).find(|number| !is_kept(*number));
        if let Some(number) = uncovered {
            changes.breaks(
                old.full_name(),
                format!("no longer reserves the number {number}: a removed field's number could be reused"),
            );
        }
    }
    for name in old.reserved_names() {
        let is_kept = new.reserved_names().any(|n| n == name) || new.get_field_by_name(name).is_some();
        if !is_kept {
            changes
                .breaks(old.full_name(), format!("no longer reserves the name “{name}”: a removed field's name could be reused"));
        }
    }
}
