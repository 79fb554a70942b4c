//! What a path means: the module that it ends in.

use crate::{
    reference::{Alias, References},
    source::{self, Source},
};

/// A crate with all its references read.
pub struct Read {
    /// Its modules.
    pub source: Source,
    /// Of each module, by its index.
    pub references: Vec<References>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The last module of the path.
    pub module: usize,
    /// What is meant in it, if not the module itself.
    pub name: Option<String>,
}

/// `use` lines that name one another end somewhere; this many are followed.
const ALIASES_FOLLOWED_MAX: usize = 16;

impl Read {
    /// Reads every reference of a crate.
    #[must_use]
    pub fn new(source: Source) -> Self {
        let references = source.modules.iter().map(References::read).collect();
        Self { source, references }
    }

    /// Follows a path written in module `from`. `None` when it leads out of the crate, or is no path to a module at all.
    #[must_use]
    pub fn resolve(&self, from: usize, path: &[String]) -> Option<Target> {
        self.follow(from, from, path, 0)
    }

    fn follow(&self, reader: usize, from: usize, path: &[String], followed: usize) -> Option<Target> {
        let (first, mut rest) = path.split_first()?;
        let mut here = match first.as_str() {
            "crate" => 0,
            "self" => from,
            "super" => self.source.modules[from].parent,
            "Self" => return None,
            name if name == self.source.name => 0,
            name => {
                if let Some(child) = self.source.modules[from].children.get(name) {
                    *child
                } else {
                    let target = self.through(reader, from, name, followed)?;
                    if target.name.is_some() {
                        return Some(target);
                    }
                    target.module
                }
            }
        };
        while let Some((part, after)) = rest.split_first() {
            rest = after;
            let module = &self.source.modules[here];
            if part == "super" {
                here = module.parent;
            } else if let Some(child) = module.children.get(part) {
                here = *child;
            } else {
                // What another module hands on is its own affair; what one that stands above us hands on is looked up.
                let beyond = if self.is_within(reader, here) { self.through(reader, here, part, followed) } else { None };
                match beyond {
                    Some(Target { module, name: None }) => here = module,
                    Some(target) => return Some(target),
                    None => return Some(Target { module: here, name: Some(part.clone()) }),
                }
            }
        }
        Some(Target { module: here, name: None })
    }

    /// What `name` stands for by a `use` line of module `at`.
    fn through(&self, reader: usize, at: usize, name: &str, followed: usize) -> Option<Target> {
        if followed == ALIASES_FOLLOWED_MAX {
            return None;
        }
        let aliases = &self.references[at].aliases;
        let named = |alias: &&Alias| alias.name == name && alias.path.first().is_some_and(|first| first != name);
        if let Some(alias) = aliases.iter().find(named) {
            return self.follow(reader, at, &alias.path, followed + 1);
        }
        let stars = aliases.iter().filter(|alias| alias.name == "*");
        stars.filter_map(|star| self.follow(reader, at, &star.path, followed + 1)).find_map(|target| {
            let is_here = target.name.is_none() && self.defines(target.module, name);
            is_here.then(|| Target { module: target.module, name: Some(name.to_owned()) })
        })
    }

    /// Whether an item of that name is written in that module itself.
    #[must_use]
    pub fn defines(&self, module: usize, name: &str) -> bool {
        self.source.modules[module].items.iter().any(|item| source::defined(item).as_deref() == Some(name))
    }

    /// Whether `inner` is `outer` or beneath it.
    #[must_use]
    pub fn is_within(&self, inner: usize, outer: usize) -> bool {
        self.source.modules[inner].path.starts_with(&self.source.modules[outer].path)
    }
}
