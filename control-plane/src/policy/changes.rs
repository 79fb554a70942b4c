//! What lies between two versions of the policy: resources as unified diffs, and what that does to grants.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use similar::TextDiff;

use crate::{
    governance::{Grant, expand},
    resources::{Action, PolicySet, ResourceChange, ResourceName, Spec, yaml},
};

/// After this long a diff is no longer the shortest; a hostile pair of texts would take minutes.
const DIFF_TIME_MAX: Duration = Duration::from_millis(500);
/// Lines around a change, as in every diff.
const CONTEXT_LINES: usize = 3;
/// Text of all diffs in one answer; a gRPC client takes 4 MiB by default.
const DIFF_BYTES_MAX: usize = 1024 * 1024;
/// Grant changes in one answer, for the same reason; the diffs of the resources tell the rest.
pub(super) const GRANT_CHANGES_MAX: usize = 10_000;

/// Everything between two versions, and nothing that is the same in both.
pub(super) fn between(old: &PolicySet, new: &PolicySet) -> BTreeMap<ResourceName, ResourceChange> {
    let names: BTreeSet<&ResourceName> = old.keys().chain(new.keys()).collect();
    let changes = names.into_iter().map(|name| {
        let change = ResourceChange { before: old.get(name).cloned(), after: new.get(name).cloned() };
        (name.clone(), change)
    });
    changes.filter(|(_, change)| change.action() != Action::Unchanged).collect()
}

/// What a difference of two policies does to grants; at most [`GRANT_CHANGES_MAX`], and how many there are in all.
pub(super) fn of_grants(old: &PolicySet, new: &PolicySet) -> (Vec<(String, Action)>, usize) {
    let (old, new): (BTreeMap<String, Grant>, _) = (expand(old), expand(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    let mut count = 0;
    for name in names {
        let action = Action::between(old.get(name), new.get(name));
        if action == Action::Unchanged {
            continue;
        }
        count += 1;
        if changes.len() < GRANT_CHANGES_MAX {
            changes.push((name.clone(), action));
        }
    }
    (changes, count)
}

/// Writes diffs until the answer is full.
#[derive(Debug)]
pub(super) struct Diffs {
    bytes_left: usize,
}

impl Default for Diffs {
    fn default() -> Self {
        Self { bytes_left: DIFF_BYTES_MAX }
    }
}

impl Diffs {
    /// Unified diff of the canonical YAML; empty when nothing changed.
    pub(super) fn of(&mut self, name: &ResourceName, change: &ResourceChange) -> String {
        if change.action() == Action::Unchanged {
            return String::new();
        }
        let text = |spec: &Option<Arc<Spec>>| spec.as_ref().map(|spec| yaml(name, spec)).unwrap_or_default();
        let (old, new) = (text(&change.before), text(&change.after));
        let title = |there: bool, side: &str| if there { format!("{side}/{name}") } else { "/dev/null".to_owned() };
        let diff = TextDiff::configure().timeout(DIFF_TIME_MAX).diff_lines(old.as_str(), new.as_str());
        let (from, to) = (title(change.before.is_some(), "a"), title(change.after.is_some(), "b"));
        let text = diff.unified_diff().context_radius(CONTEXT_LINES).header(&from, &to).to_string();
        if text.len() > self.bytes_left {
            return format!(
                "--- {from}\n+++ {to}\n… the diff is left out: the answer would be too long; compare the versions in parts\n"
            );
        }
        self.bytes_left -= text.len();
        text
    }
}
