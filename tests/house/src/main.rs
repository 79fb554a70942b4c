//! Prints the figures of this repository, or of another checkout of it: `cargo run -p chapar-house -- FOLDER`.

use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let top = std::env::args_os().nth(1).map_or_else(chapar_house::repository, PathBuf::from);
    print!("{}", chapar_house::figures::figures(&top)?);
    Ok(())
}
