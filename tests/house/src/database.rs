//! Which files name a database library.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use proc_macro2::{TokenStream, TokenTree};

use crate::size;

/// The libraries.
pub const LIBRARIES: [&str; 2] = ["sqlx", "rusqlite"];
/// Where they are at home: `store.rs` or anything beneath `store/`.
pub const HOMES: [&str; 3] = [
    "control-plane/src/store",
    "control-plane/src/ledger/store",
    // An attacker who writes the files asks nobody's trait.
    "tests/src/hostile/file_access",
];

/// Files of the product that name a database library and are not at home, tests beside the code included.
///
/// # Errors
///
/// When a file cannot be read, or is no Rust.
pub fn outside(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in size::rust_files(top)?.into_iter().filter(|file| file.components().any(|part| part.as_os_str() == "src")) {
        let stem = file.with_extension("");
        if HOMES.iter().any(|home| stem.starts_with(home)) {
            continue;
        }
        let text = fs::read_to_string(top.join(&file)).with_context(|| file.display().to_string())?;
        let tokens: TokenStream = text.parse().map_err(|error| anyhow::anyhow!("{} is no Rust: {error}", file.display()))?;
        if names_one(tokens) {
            found.push(file);
        }
    }
    Ok(found)
}

fn names_one(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => LIBRARIES.iter().any(|library| ident == library),
        TokenTree::Group(group) => names_one(group.stream()),
        _ => false,
    })
}
