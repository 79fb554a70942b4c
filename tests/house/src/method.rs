//! How many methods a type has.

use std::collections::BTreeMap;

use syn::{ImplItem, Item, Type};

use crate::{resolve::Read, source};

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
