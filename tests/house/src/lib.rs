//! The house rules of the project, read from its own sources.
//!
//! `tests/` holds them; `cargo run -p chapar-house` prints the figures. Nothing here compiles or runs the project.

pub mod circle;
pub mod database;
pub mod faults;
pub mod figures;
pub mod floor;
pub mod key;
pub mod page;
pub mod reference;
pub mod resolve;
pub mod size;
pub mod source;

use std::path::{Path, PathBuf};

/// The crates that have a floor plan, by the folder of their sources.
pub const CRATES: [&str; 6] =
    ["proto/core/src", "proto/src", "sidecar/relay/src", "sidecar/src", "control-plane/src", "control-plane/cli/src"];

/// The repository that this package stands in.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
