//! Compares two enums of the same name.

use prost_reflect::EnumDescriptor;

use super::{Changes, Comparison, Role};

impl Comparison<'_> {
    /// Compares the values of an enum, by name and by number.
    pub(super) fn enumeration(&mut self, changes: &mut Changes, role: Role, old: &EnumDescriptor, new: &EnumDescriptor) {
        if !self.compared.insert((old.full_name().to_owned(), role)) {
            return;
        }
        for value in old.values() {
            let element = format!("{}.{}", old.full_name(), value.name());
            match new.get_value_by_name(value.name()) {
                Some(same) if same.number() == value.number() => {}
                Some(moved) => {
                    let description = format!("its number changed from {} to {}", value.number(), moved.number());
                    changes.breaks(&element, description);
                }
                None => match new.get_value(value.number()) {
                    Some(renamed) => {
                        let description =
                            format!("was renamed to {}: programs and JSON texts that use the old name break", renamed.name());
                        changes.breaks(&element, description);
                    }
                    None => removed(changes, &element, (value.name(), value.number()), new),
                },
            }
        }
        for value in new.values() {
            let is_new = old.get_value_by_name(value.name()).is_none() && old.get_value(value.number()).is_none();
            if !is_new {
                continue;
            }
            let element = format!("{}.{}", new.full_name(), value.name());
            let is_reserved = old.reserved_ranges().any(|range| range.contains(&value.number()))
                || old.reserved_names().any(|name| name == value.name());
            if is_reserved {
                changes.breaks(&element, "was added under a number or name that is reserved for a removed value");
            } else {
                changes.notes(&element, format!("was added to the {}: older programs do not know it", role.as_str()));
            }
        }
        lost_reservations(changes, old, new);
    }
}

fn removed(changes: &mut Changes, element: &str, (name, number): (&str, i32), new: &EnumDescriptor) {
    let number_is_reserved = new.reserved_ranges().any(|range| range.contains(&number));
    let name_is_reserved = new.reserved_names().any(|reserved| reserved == name);
    if number_is_reserved && name_is_reserved {
        changes.notes(element, "was removed; its number and name are reserved");
    } else {
        let description =
            format!("was removed without reserving its number and name: write `reserved {number}; reserved \"{name}\";`");
        changes.breaks(element, description);
    }
}

/// A reservation that is gone would let the next passport reuse the number or the name.
fn lost_reservations(changes: &mut Changes, old: &EnumDescriptor, new: &EnumDescriptor) {
    for range in old.reserved_ranges().filter(|range| !range.is_empty()) {
        let is_kept = |number: i32| new.reserved_ranges().any(|r| r.contains(&number)) || new.get_value(number).is_some();
        // Ranges may be as wide as the type: only their starts, and what follows a new range's end, can be uncovered first.
        let after_ends = new.reserved_ranges().filter_map(|r| r.end().checked_add(1)).filter(|next| range.contains(next));
        let uncovered = std::iter::once(*range.start()).chain(after_ends).find(|number| !is_kept(*number));
        if let Some(number) = uncovered {
            changes.breaks(
                old.full_name(),
                format!("no longer reserves the number {number}: a removed value's number could be reused"),
            );
        }
    }
    for name in old.reserved_names() {
        let is_kept = new.reserved_names().any(|n| n == name) || new.get_value_by_name(name).is_some();
        if !is_kept {
            changes
                .breaks(old.full_name(), format!("no longer reserves the name “{name}”: a removed value's name could be reused"));
        }
    }
}
