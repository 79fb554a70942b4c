//! Compares two fields of the same number.

use prost_reflect::FieldDescriptor;

use super::{Changes, Comparison, Role};
use crate::passport::{
    label::{Classification, SubjectKind},
    schema,
};

impl Comparison<'_> {
    /// Compares type, presence, oneof, JSON name and label of a field.
    pub(super) fn same_field(&mut self, changes: &mut Changes, role: Role, old: &FieldDescriptor, new: &FieldDescriptor) {
        let element = old.full_name();
        let (before, after) = (schema::type_name(old, ""), schema::type_name(new, ""));
        if before == after {
            presence(changes, old, new);
        } else {
            changes.breaks(element, format!("its type changed from {before} to {after}"));
        }
        oneof(changes, old, new);
        if old.name() == new.name() && old.json_name() != new.json_name() {
            let description = format!("its JSON name changed from “{}” to “{}”", old.json_name(), new.json_name());
            changes.breaks(element, description);
        }
        let defaults = (default_of(old), default_of(new));
        if defaults.0 != defaults.1 {
            let shown = |default: Option<String>| default.unwrap_or_else(|| "none".to_owned());
            let description = format!("its default changed from {} to {}", shown(defaults.0), shown(defaults.1));
            changes.breaks(element, description);
        }
        self.label(changes, role, old, new);
        if before == after {
            self.within(changes, role, old, new);
        }
    }

    fn label(&self, changes: &mut Changes, role: Role, old: &FieldDescriptor, new: &FieldDescriptor) {
        let labels = (self.old_labels().items.get(old.full_name()), self.new_labels().items.get(new.full_name()));
        let (Some(before), Some(after)) = labels else { return };
        let element = old.full_name();
        changes.title(element, &before.title, &after.title);
        // What both inherit changed with the service, and was listed there.
        if before.classification.is_some() || after.classification.is_some() {
            let effective = |own: Option<Classification>, service: Classification| own.unwrap_or(service);
            changes.classification(
                element,
                effective(before.classification, self.old.classification),
                effective(after.classification, self.new.classification),
            );
        }
        subject(changes, role, element, (before.subject, after.subject));
    }
}

/// A call is traced to whom it is about by the subject marker; without it nobody can ask "who asked about me?".
fn subject(changes: &mut Changes, role: Role, element: &str, (old, new): (Option<SubjectKind>, Option<SubjectKind>)) {
    match (old, new) {
        (Some(kind), None) if role == Role::Request => {
            let description =
                format!("no longer names the data subject ({kind}): calls could not be traced to whom they are about");
            changes.breaks(element, description);
        }
        (Some(before), Some(after)) if before != after && role == Role::Request => {
            changes.breaks(element, format!("names another kind of data subject: {after}, it was {before}"));
        }
        (None, Some(kind)) => changes.notes(element, format!("now names the data subject ({kind})")),
        // In a response the marker has no effect.
        (Some(kind), None) => changes.notes(element, format!("no longer names the data subject ({kind})")),
        (Some(before), Some(after)) if before != after => {
            changes.notes(element, format!("names another kind of data subject: {after}, it was {before}"));
        }
        _ => {}
    }
}

/// Whether an unset field differs from one that is set to zero.
fn presence(changes: &mut Changes, old: &FieldDescriptor, new: &FieldDescriptor) {
    if old.is_required() != new.is_required() {
        let form = |required: bool| if required { "required" } else { "optional" };
        let description = format!("changed from {} to {}", form(old.is_required()), form(new.is_required()));
        changes.breaks(old.full_name(), description);
    } else if old.supports_presence() != new.supports_presence() && in_oneof(old) == in_oneof(new) {
        let description = if new.supports_presence() {
            "now tells unset from zero: what older programs send as zero reads as unset"
        } else {
            "no longer tells unset from zero"
        };
        changes.breaks(old.full_name(), description);
    }
}

fn oneof(changes: &mut Changes, old: &FieldDescriptor, new: &FieldDescriptor) {
    match (oneof_name(old), oneof_name(new)) {
        (None, Some(name)) => {
            changes.breaks(
                old.full_name(),
                format!("was moved into the oneof “{name}”: setting another member of it clears this one"),
            );
        }
        (Some(name), None) => {
            changes.breaks(
                old.full_name(),
                format!("was moved out of the oneof “{name}”: both may be set now, which older programs do not expect"),
            );
        }
        (Some(before), Some(after)) if before != after => {
            changes.breaks(old.full_name(), format!("was moved from the oneof “{before}” to “{after}”"));
        }
        _ => {}
    }
}

/// The oneof that the author wrote; not the one that stands behind `optional`.
fn oneof_name(field: &FieldDescriptor) -> Option<String> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic()).map(|oneof| oneof.name().to_owned())
}

fn in_oneof(field: &FieldDescriptor) -> bool {
    oneof_name(field).is_some()
}

/// The default that a proto2 file declares, as it is written.
fn default_of(field: &FieldDescriptor) -> Option<String> {
    field.field_descriptor_proto().default_value.clone()
}
