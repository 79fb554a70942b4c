//! A crate's modules, as its `mod` lines name them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use syn::{Attribute, Item, Meta};

/// One module: a file, or a `mod name { … }` inside one.
pub struct Module {
    /// From the crate's root down; empty for the root itself.
    pub path: Vec<String>,
    /// From the repository's root.
    pub file: PathBuf,
    /// All that stands in it, without its child modules and without what only tests see.
    pub items: Vec<Item>,
    /// By name, as indexes into [`Source::modules`].
    pub children: BTreeMap<String, usize>,
    /// Of the root: itself.
    pub parent: usize,
}

/// A crate as read.
pub struct Source {
    /// The folder of its sources, from the repository's root.
    pub folder: String,
    /// As other crates and its own programs name it: `chapar_core`.
    pub name: String,
    /// Whether the root is a program's `main.rs`, not a `lib.rs`.
    pub is_program: bool,
    /// The root first.
    pub modules: Vec<Module>,
}

impl Source {
    /// Reads the crate in `folder` of the repository at `top`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is no Rust, and when a `mod` line has no file.
    pub fn read(top: &Path, folder: &str) -> Result<Self> {
        let is_program = !top.join(folder).join("lib.rs").exists();
        let file = Path::new(folder).join(if is_program { "main.rs" } else { "lib.rs" });
        let name = package(&top.join(folder).join("../Cargo.toml"))?.replace('-', "_");
        let mut source = Self { folder: folder.to_owned(), name, is_program, modules: Vec::new() };
        let items = parse(top, &file)?;
        source.add(top, items, Place { path: Vec::new(), below: folder.into(), file, parent: 0 })?;
        Ok(source)
    }

    fn add(&mut self, top: &Path, items: Vec<Item>, place: Place) -> Result<usize> {
        let index = self.modules.len();
        let Place { path, below, file, parent } = place;
        let (file_here, path_here) = (file.clone(), path.clone());
        self.modules.push(Module { path, file, items: Vec::new(), children: BTreeMap::new(), parent });
        for item in items.into_iter().filter(|item| !is_for_tests(attributes(item))) {
            let Item::Mod(module) = item else {
                self.modules[index].items.push(item);
                continue;
            };
            let name = module.ident.to_string();
            let path = [path_here.as_slice(), std::slice::from_ref(&name)].concat();
            let child = if let Some((_, items)) = module.content {
                let place = Place { path, below: below.join(&name), file: file_here.clone(), parent: index };
                self.add(top, items, place)?
            } else {
                let (file, below) =
                    file_of(top, &below, &name).with_context(|| format!("{}: mod {name}", file_here.display()))?;
                self.add(top, parse(top, &file)?, Place { path, below, file, parent: index })?
            };
            self.modules[index].children.insert(name, child);
        }
        Ok(index)
    }

    /// What the root is called on the floor plan.
    #[must_use]
    pub const fn root_name(&self) -> &'static str {
        if self.is_program { "main" } else { "lib" }
    }
}

/// Where a module stands, and where its children's files are.
struct Place {
    path: Vec<String>,
    below: PathBuf,
    file: PathBuf,
    parent: usize,
}

/// The file of a child module, and the folder of its own children.
fn file_of(top: &Path, below: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
    let folder = below.join(name);
    for file in [below.join(format!("{name}.rs")), folder.join("mod.rs")] {
        if top.join(&file).exists() {
            return Ok((file, folder));
        }
    }
    bail!("neither {name}.rs nor {name}/mod.rs in {}", below.display())
}

/// Parses one Rust file of the repository.
///
/// # Errors
///
/// When it cannot be read, or is no Rust.
pub fn parse(top: &Path, file: &Path) -> Result<Vec<Item>> {
    let text = fs::read_to_string(top.join(file)).with_context(|| file.display().to_string())?;
    Ok(syn::parse_file(&text).with_context(|| format!("{} is no Rust", file.display()))?.items)
}

/// The name in a package's manifest.
///
/// # Errors
///
/// When there is none.
pub fn package(manifest: &Path) -> Result<String> {
    let text = fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    Ok(name.with_context(|| format!("{} names no package", manifest.display()))?.to_owned())
}

/// Whether these attributes leave an item out of everything but tests: `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[test]`.
#[must_use]
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

/// The attributes of an item, of whatever kind.
#[must_use]
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item defines in its module.
#[must_use]
pub fn defined(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}
