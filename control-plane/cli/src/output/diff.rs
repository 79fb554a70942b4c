//! Changes of resources and grants.

use std::fmt::Write as _;

use chapar_proto::admin::v1::{ChangeAction, GrantChange, ResourceChange};

use crate::{
    output::{
        Style,
        table::{Tone, paint},
    },
    text::{label, plain, plural},
};

/// One line a changed resource; with `diffs`, followed by what changes in it.
pub(crate) fn resources(style: &Style, changes: &[ResourceChange], diffs: bool) -> String {
    let mut text = String::new();
    for change in changes {
        let name = plain(&format!("{}/{}", change.kind, change.name));
        let (word, tone) = action(change.action());
        let _ = writeln!(text, "{name}  {}", paint(style, &word, tone));
        if diffs {
            unified(style, &change.diff, &mut text);
        }
    }
    text
}

/// A unified diff, its lines coloured.
fn unified(style: &Style, diff: &str, text: &mut String) {
    for line in diff.lines() {
        let tone = match line.as_bytes().first() {
            Some(b'+') => Tone::Good,
            Some(b'-') => Tone::Bad,
            Some(b'@') => Tone::Faded,
            _ => Tone::Plain,
        };
        let _ = writeln!(text, "{}", paint(style, &plain(line), tone));
    }
}

/// "grants: 26 created, 1 deleted", or nothing when none changed. With `names`, one line each as well.
pub(crate) fn grants(style: &Style, changes: &[GrantChange], names: bool) -> String {
    let mut text = String::new();
    let mut parts = Vec::new();
    for wanted in [ChangeAction::Created, ChangeAction::Changed, ChangeAction::Deleted] {
        let count = changes.iter().filter(|change| change.action() == wanted).count();
        let (word, tone) = action(wanted);
        if count > 0 {
            parts.push(paint(style, &format!("{count} {word}"), tone));
        }
    }
    if parts.is_empty() {
        return text;
    }
    if names {
        for change in changes.iter().filter(|change| is_change(change.action())) {
            let (word, tone) = action(change.action());
            let _ = writeln!(text, "grant {}  {}", plain(&change.grant), paint(style, &word, tone));
        }
    }
    let _ = writeln!(text, "grants: {}", parts.join(", "));
    text
}

pub(crate) fn is_change(action: ChangeAction) -> bool {
    action != ChangeAction::Unchanged
}

/// "1 created, 2 changed, 3 unchanged", of resources.
pub(crate) fn totals(changes: &[ResourceChange]) -> String {
    let wanted = [ChangeAction::Created, ChangeAction::Changed, ChangeAction::Deleted, ChangeAction::Unchanged];
    let count = |wanted| changes.iter().filter(|change| change.action() == wanted).count();
    let parts = wanted.into_iter().filter(|action| count(*action) > 0);
    let parts: Vec<_> = parts.map(|wanted| format!("{} {}", count(wanted), action(wanted).0)).collect();
    if parts.is_empty() { plural(0, "resource", "resources") } else { parts.join(", ") }
}

fn action(action: ChangeAction) -> (String, Tone) {
    let tone = match action {
        ChangeAction::Created => Tone::Good,
        ChangeAction::Deleted => Tone::Bad,
        ChangeAction::Unchanged => Tone::Faded,
        ChangeAction::Changed | ChangeAction::Unspecified => Tone::Plain,
    };
    (label(action.as_str_name(), "CHANGE_ACTION"), tone)
}
