//! What fuzzing has found worth keeping, replayed: no input that was tried before breaks anything now.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)] // What fuzzing runs is a library there.

#[path = "../../proto/core/fuzz/src/lib.rs"]
mod core;
#[path = "../../control-plane/fuzz/src/lib.rs"]
mod exchange;
#[path = "../../sidecar/relay/fuzz/src/lib.rs"]
mod relay;

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

/// Gives every input of `corpus`, a folder of the repository, to `target`. An input that breaks it panics there.
fn replay(corpus: &str, target: fn(&[u8])) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(corpus);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        // Shown only when the test fails: the last one is what it failed on.
        println!("{}", path.display());
        target(&bytes);
        inputs += 1;
    }
    ensure!(inputs > 0, "{} is empty", folder.display());
    Ok(())
}

#[test]
fn frames() -> Result<()> {
    replay("sidecar/relay/fuzz/corpus/frames", relay::frames::run)
}

#[test]
fn header_blocks() -> Result<()> {
    replay("sidecar/relay/fuzz/corpus/hpack", relay::hpack::run)
}

#[test]
fn the_relay_between_scripted_ends() -> Result<()> {
    replay("sidecar/relay/fuzz/corpus/relay", relay::scripted::run)
}

#[test]
fn the_relay_beside_a_reference() -> Result<()> {
    replay("sidecar/relay/fuzz/corpus/reference", relay::reference::run)
}

#[test]
fn records() -> Result<()> {
    replay("proto/core/fuzz/corpus/record", core::record::run)
}

#[test]
fn spool_files() -> Result<()> {
    replay("proto/core/fuzz/corpus/spool", core::spool::run)
}

#[test]
fn subjects_of_requests() -> Result<()> {
    replay("proto/core/fuzz/corpus/subject", core::subject::run)
}

#[test]
fn exports_over_otlp() -> Result<()> {
    replay("control-plane/fuzz/corpus/otlp", exchange::otlp::run)
}
