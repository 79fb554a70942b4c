//! Arrows between the children of one module (anything beneath the one names something beneath the other), and circles: sets of modules
//! each of which reaches every other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
    path::PathBuf,
};

use crate::resolve::Read;

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

/// Where an arrow is drawn in the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// From the repository's root.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// The path as written.
    pub path: String,
}

impl Display for Spot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.path)
    }
}

/// The arrows among the children of one module, with the spots that draw each.
pub type Siblings = BTreeMap<(String, String), BTreeSet<Spot>>;

/// The arrows of a crate, by the path of the module whose children they join. The crate's root stands among its own children, as
/// `main` or `lib`, for what is defined in it.
#[must_use]
pub fn arrows(read: &Read) -> BTreeMap<String, Siblings> {
    let mut all: BTreeMap<String, Siblings> = BTreeMap::new();
    for (from, references) in read.references.iter().enumerate() {
        let module = &read.source.modules[from];
        for reference in &references.all {
            let Some(target) = read.resolve(from, &reference.path) else { continue };
            let to = &read.source.modules[target.module].path;
            let shared = module.path.iter().zip(to).take_while(|(a, b)| a == b).count();
            let ends = match (module.path.get(shared), to.get(shared)) {
                (Some(one), Some(other)) => (one.clone(), other.clone()),
                (Some(one), None) if to.is_empty() && target.name.is_some_and(|name| read.defines(0, &name)) => {
                    (one.clone(), read.source.root_name().to_owned())
                }
                (None, Some(other)) if module.path.is_empty() => (read.source.root_name().to_owned(), other.clone()),
                _ => continue,
            };
            let spot = Spot { file: module.file.clone(), line: reference.line, path: reference.path.join("::") };
            all.entry(module.path[..shared].join("::")).or_default().entry(ends).or_default().insert(spot);
        }
    }
    all
}
