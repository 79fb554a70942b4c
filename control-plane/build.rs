//! Rebuilds the crate when a migration is added: `sqlx::migrate!` embeds the files.

fn main() {
    println!("cargo::rerun-if-changed=src/store/sqlite/migrations");
}
