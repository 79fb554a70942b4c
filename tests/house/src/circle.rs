//! Circles: sets of modules each of which reaches every other.

use std::collections::{BTreeMap, BTreeSet};

use crate::arrow::Siblings;

/// The circles among siblings, each sorted by name.
#[must_use]
pub fn circles(siblings: &Siblings) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in siblings.keys() {
        next.entry(from).or_default().insert(to);
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|from| (*from, reached(from, &next))).collect();
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for (from, far) in &reach {
        if far.contains(from) && seen.insert(*from) {
            let circle: Vec<String> = far
                .iter()
                .filter(|other| reach.get(**other).is_some_and(|back| back.contains(from)))
                .map(ToString::to_string)
                .collect();
            seen.extend(far.iter().filter(|other| circle.iter().any(|name| name == **other)));
            circles.push(circle);
        }
    }
    circles
}

fn reached<'a>(from: &str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut far = BTreeSet::new();
    let mut left: Vec<&str> = next.get(from).into_iter().flatten().copied().collect();
    while let Some(name) = left.pop() {
        if far.insert(name) {
            left.extend(next.get(name).into_iter().flatten());
        }
    }
    far
}

/// The least that ties a circle: its arrows, each with one spot and how many more there are.
#[must_use]
pub fn ties(circle: &[String], siblings: &Siblings) -> String {
    let inside = |name: &String| circle.contains(name);
    let ties = siblings.iter().filter(|((from, to), _)| inside(from) && inside(to));
    ties.map(|((from, to), spots)| {
        let first = spots.first().map_or_else(String::new, ToString::to_string);
        let more = if spots.len() > 1 { format!("  (and {} more)", spots.len() - 1) } else { String::new() };
        format!("    {from} -> {to}  at {first}{more}\n")
    })
    .collect()
}
