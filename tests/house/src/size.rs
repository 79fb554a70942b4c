//! Files and functions that grew too long, and types that have too many methods.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use syn::{
    ImplItem, ImplItemFn, Item, ItemFn, Signature, TraitItemFn, Type,
    spanned::Spanned as _,
    visit::{self, Visit},
};

use crate::{resolve::Read, source};

/// A file is read in one sitting; beyond this it has become two.
pub const FILE_LINES_MAX: usize = 400;
/// A function fits on one screen.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Every file that git tracks, and those that it soon will, from the repository's root.
///
/// # Errors
///
/// When git cannot list them.
pub fn files(top: &Path) -> Result<Vec<PathBuf>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(top).args(arguments).output().context("git")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).context("a file name is no UTF-8")?;
    let mut files: Vec<PathBuf> = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.retain(|file| top.join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// The Rust files among them.
///
/// # Errors
///
/// As [`files`].
pub fn rust_files(top: &Path) -> Result<Vec<PathBuf>> {
    Ok(files(top)?.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect())
}

/// A stretch of text with its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Length {
    /// `FILE` or `FILE:LINE: NAME`.
    pub what: String,
    /// From its first line to its last, both counted.
    pub lines: usize,
}

/// The length of a file.
///
/// # Errors
///
/// When it cannot be read.
pub fn of_file(top: &Path, file: &Path) -> Result<Length> {
    let text = fs::read_to_string(top.join(file)).with_context(|| file.display().to_string())?;
    Ok(Length { what: file.display().to_string(), lines: text.lines().count() })
}

/// The lengths of a file's functions, tests included; attributes and comments before them are not counted.
///
/// # Errors
///
/// When it cannot be read, or is no Rust.
pub fn of_functions(top: &Path, file: &Path) -> Result<Vec<Length>> {
    let mut functions = Functions { file, all: Vec::new() };
    for item in crate::source::parse(top, file)? {
        functions.visit_item(&item);
    }
    Ok(functions.all)
}

struct Functions<'a> {
    file: &'a Path,
    all: Vec<Length>,
}

impl Functions<'_> {
    fn add(&mut self, signature: &Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        let lines = body.span().end().line + 1 - first;
        self.all.push(Length { what: format!("{}:{first}: {}", self.file.display(), signature.ident), lines });
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// What one can hold in mind of one type.
pub const METHODS_MAX: usize = 25;

/// Methods of each type that the crate defines, by the type's path: its own in all their blocks together, and those of each trait for
/// themselves (`Path as Trait`), since they are known by the trait. Those of tests are not counted.
#[must_use]
pub fn methods(read: &Read) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (index, module) in read.source.modules.iter().enumerate() {
        for item in &module.items {
            let Item::Impl(block) = item else { continue };
            let Some(mut name) = type_of(read, index, &block.self_ty) else { continue };
            if let Some(of) = block.trait_.as_ref().and_then(|(_, path, _)| path.segments.last()) {
                name = format!("{name} as {}", of.ident);
            }
            let methods =
                block.items.iter().filter(|item| matches!(item, ImplItem::Fn(method) if !source::is_for_tests(&method.attrs)));
            *counts.entry(name).or_default() += methods.count();
        }
    }
    counts
}

/// The path of a type that this crate defines.
fn type_of(read: &Read, module: usize, of: &Type) -> Option<String> {
    let path = match of {
        Type::Path(of) => &of.path,
        Type::Reference(of) => return type_of(read, module, &of.elem),
        _ => return None,
    };
    let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
    let name = parts.last()?.clone();
    let home = match read.resolve(module, &parts) {
        Some(target) if target.name.is_some() => target.module,
        _ if parts.len() == 1 => module,
        _ => return None,
    };
    // A name that came by `use super::*`, or that a facade hands on, is looked up from there to the root, then anywhere.
    let mut above = home;
    while !read.defines(above, &name) && above != 0 {
        above = read.source.modules[above].parent;
    }
    let home = if read.defines(above, &name) { above } else { anywhere(read, &name)? };
    Some([read.source.modules[home].path.as_slice(), &[name]].concat().join("::"))
}

fn anywhere(read: &Read, name: &str) -> Option<usize> {
    let mut homes = (0..read.source.modules.len()).filter(|module| read.defines(*module, name));
    homes.next().filter(|_| homes.next().is_none())
}
