//! Arrows between the children of one module: anything beneath the one names something beneath the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
    path::PathBuf,
};

use crate::resolve::Read;

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
