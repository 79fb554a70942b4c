//! Keys of the relay that are a bare `u32`.
//!
//! A connection, a call and an endpoint each have a key type of their own, so that one cannot be taken for another. A `u32` is such a
//! key when what it is bound to (a field, a parameter, an enum's variant, a function) is named after a thing, not after an
//! amount: `call: u32`, `Parked(u32)`, `fn choose(…) -> Option<u32>`. HTTP/2's own numbers stay what they are on the wire: streams,
//! codes, and everything in the modules that read and write it.

use syn::{
    Field, FnArg, Ident, ItemEnum, Pat, ReturnType, Signature, Type,
    visit::{self, Visit},
};

use crate::{resolve::Read, source};

/// Modules that speak HTTP/2 itself.
const WIRE: [&str; 3] = ["frame", "head", "hpack"];
/// Modules that define the keys, or hand out the numbers beneath them.
const HOMES: [&str; 3] = ["key", "keys", "slab"];
/// The last word of a name that means one thing among many.
const THINGS: [&str; 28] = [
    "slot",
    "slots",
    "key",
    "index",
    "position",
    "call",
    "calls",
    "connection",
    "connections",
    "link",
    "links",
    "place",
    "places",
    "endpoint",
    "endpoints",
    "client",
    "server",
    "peer",
    "prev",
    "previous",
    "next",
    "before",
    "after",
    "free",
    "list",
    "hungry",
    "tried",
    "node",
];
/// Words of a function's name that say that it answers with a number of HTTP/2 or gRPC.
const NUMBERS: [&str; 3] = ["stream", "status", "code"];

/// Each bare key: where it stands, and its name.
#[must_use]
pub fn bare(read: &Read) -> Vec<String> {
    let mut keys = Vec::new();
    for module in &read.source.modules {
        if module.path.first().is_some_and(|first| WIRE.contains(&first.as_str()) || HOMES.contains(&first.as_str())) {
            continue;
        }
        let file = module.file.display().to_string();
        let mut found = Found { file, keys: &mut keys };
        module.items.iter().for_each(|item| found.visit_item(item));
    }
    keys
}

struct Found<'a> {
    file: String,
    keys: &'a mut Vec<String>,
}

impl Found<'_> {
    fn add(&mut self, name: &Ident) {
        self.keys.push(format!("{}:{}: {name}", self.file, name.span().start().line));
    }

    fn check(&mut self, name: &Ident, of: &Type) {
        let text = name.to_string();
        if text.rsplit('_').next().is_some_and(|last| THINGS.contains(&last)) && holds_u32(of) {
            self.add(name);
        }
    }
}

impl<'ast> Visit<'ast> for Found<'_> {
    fn visit_field(&mut self, field: &'ast Field) {
        if let Some(name) = &field.ident {
            self.check(name, &field.ty);
        }
    }

    fn visit_item_enum(&mut self, of: &'ast ItemEnum) {
        for variant in &of.variants {
            if matches!(variant.fields, syn::Fields::Unnamed(_)) && variant.fields.iter().any(|field| holds_u32(&field.ty)) {
                self.add(&variant.ident);
            }
            variant.fields.iter().for_each(|field| self.visit_field(field));
        }
    }

    fn visit_signature(&mut self, signature: &'ast Signature) {
        for input in &signature.inputs {
            if let FnArg::Typed(typed) = input
                && let Pat::Ident(name) = &*typed.pat
            {
                self.check(&name.ident, &typed.ty);
            }
        }
        // `fn depth() -> u32` counts; `fn choose() -> Option<u32>` and `fn open_call() -> u32` name a thing.
        if let ReturnType::Type(_, answer) = &signature.output {
            if is_u32(answer) {
                self.check(&signature.ident, answer);
            } else if holds_u32(answer) && !signature.ident.to_string().split('_').any(|word| NUMBERS.contains(&word)) {
                self.add(&signature.ident);
            }
        }
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        // Where a key is made of its number and told as one: `impl Id for CallId`.
        let is_conversion =
            block.trait_.as_ref().is_some_and(|(_, path, _)| path.segments.last().is_some_and(|of| of.ident == "Id"));
        if !is_conversion {
            visit::visit_item_impl(self, block);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !source::is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        for input in &closure.inputs {
            if let Pat::Type(typed) = input
                && let Pat::Ident(name) = &*typed.pat
            {
                self.check(&name.ident, &typed.ty);
            }
        }
        visit::visit_expr_closure(self, closure);
    }
}

fn is_u32(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.path.is_ident("u32"))
}

/// Whether a bare `u32` stands anywhere in a type: in `Option<u32>`, `&[u32]`, `(u32, u32)`.
fn holds_u32(of: &Type) -> bool {
    struct Bare(bool);
    impl<'ast> Visit<'ast> for Bare {
        fn visit_type_path(&mut self, path: &'ast syn::TypePath) {
            self.0 |= path.path.is_ident("u32");
            visit::visit_type_path(self, path);
        }
    }
    let mut bare = Bare(false);
    bare.visit_type(of);
    bare.0
}
