//! The paths that a module's text holds: in `use` lines, in code, in macros and in attributes.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{
    Attribute, ImplItem, Item, ItemUse, Macro, Meta, Path, UseTree,
    visit::{self, Visit},
};

use crate::source::{self, Module};

/// One path as written.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its parts, `crate`, `self` and `super` among them.
    pub path: Vec<String>,
    /// The line it stands on.
    pub line: usize,
}

/// A name that a `use` line brings into a module.
#[derive(Clone, Debug)]
pub struct Alias {
    /// As it is known there; `*` for all names.
    pub name: String,
    /// What it stands for.
    pub path: Vec<String>,
}

/// All references and aliases of one module.
#[derive(Debug, Default)]
pub struct References {
    /// In the order of the text.
    pub all: Vec<Reference>,
    /// Of the `use` lines among them.
    pub aliases: Vec<Alias>,
}

impl References {
    /// Reads a module's items.
    #[must_use]
    pub fn read(module: &Module) -> Self {
        let mut references = Self::default();
        for item in &module.items {
            references.visit_item(item);
        }
        references
    }

    fn add(&mut self, path: Vec<String>, line: usize) {
        self.all.push(Reference { path, line });
    }

    fn flatten(&mut self, tree: &UseTree, above: &[String]) {
        let joined = |ident: &Ident| [above, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(part) => self.flatten(&part.tree, &joined(&part.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.flatten(tree, above)),
            UseTree::Name(name) => self.brought_in(&name.ident, &name.ident, above),
            UseTree::Rename(rename) => self.brought_in(&rename.ident, &rename.rename, above),
            UseTree::Glob(star) => {
                self.add(above.to_vec(), star.star_token.spans[0].start().line);
                self.aliases.push(Alias { name: "*".to_owned(), path: above.to_vec() });
            }
        }
    }

    fn brought_in(&mut self, ident: &Ident, name: &Ident, above: &[String]) {
        // `use a::b::{self}` brings in `b`.
        let (path, name) = match above.last() {
            Some(last) if ident == "self" => (above.to_vec(), if name == "self" { last.clone() } else { name.to_string() }),
            _ => ([above, &[ident.to_string()]].concat(), name.to_string()),
        };
        self.add(path.clone(), ident.span().start().line);
        self.aliases.push(Alias { name, path });
    }

    /// Reads `a::b::c` wherever it stands in a macro's tokens.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let (mut colons, mut is_foreign) = (0, false);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    is_foreign |= path.is_empty() && colons == 2;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    if colons != 2 || path.is_empty() {
                        self.end_of_path(&mut path, line, is_foreign && colons != 2);
                        line = ident.span().start().line;
                        is_foreign = colons == 2;
                    }
                    path.push(ident.to_string());
                }
                TokenTree::Group(group) => {
                    self.end_of_path(&mut path, line, is_foreign);
                    is_foreign = false;
                    self.scan(group.stream());
                }
                _ => {
                    self.end_of_path(&mut path, line, is_foreign);
                    is_foreign = false;
                }
            }
            colons = 0;
        }
        self.end_of_path(&mut path, line, is_foreign);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>, line: usize, is_foreign: bool) {
        let path = std::mem::take(path);
        if path.len() > 1 && !is_foreign {
            self.add(path, line);
        }
    }
}

impl<'ast> Visit<'ast> for References {
    fn visit_item(&mut self, item: &'ast Item) {
        if !source::is_for_tests(source::attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !source::is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.flatten(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let line = path.segments[0].ident.span().start().line;
            self.add(path.segments.iter().map(|part| part.ident.to_string()).collect(), line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.scan(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let Meta::List(list) = &attribute.meta else { return };
        self.scan(list.tokens.clone());
        // `#[serde(with = "crate::time::as_text")]`
        for token in list.tokens.clone() {
            if let TokenTree::Literal(literal) = &token
                && let Ok(text) = syn::parse2::<syn::LitStr>(token.clone().into())
                && let Ok(path) = text.parse::<Path>()
                && path.segments.len() > 1
            {
                self.add(path.segments.iter().map(|part| part.ident.to_string()).collect(), literal.span().start().line);
            }
        }
    }
}
