//! What fuzzing has found worth keeping, replayed: no input that was tried before breaks anything now.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)] // What fuzzing runs is a library there.

#[path = "../../proto/core/fuzz/src/lib.rs"]
mod core;
#[path = "../../control-plane/fuzz/src/lib.rs"]
mod exchange;
#[path = "../../sidecar/relay/fuzz/src/lib.rs"]
mod relay;

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context as _, Result, ensure};

/// Gives every input of `corpus`, an archive of the repository, to `target`. An input that breaks it panics there.
fn replay(corpus: &str, target: fn(&[u8])) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(corpus).with_added_extension("tar.gz");
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    let mut inputs = 0;
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(file)).entries()? {
        let mut entry = entry?;
        // Shown only when the test fails: the last one is what it failed on.
        println!("{}", entry.path()?.display());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        target(&bytes);
        inputs += 1;
    }
    ensure!(inputs > 0, "{} is empty", path.display());
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
fn messages_in_protobufs_wire_format() -> Result<()> {
    replay("proto/core/fuzz/corpus/wire", core::wire::run)
}

#[test]
fn exports_over_otlp() -> Result<()> {
    replay("control-plane/fuzz/corpus/otlp", exchange::otlp::run)
}
